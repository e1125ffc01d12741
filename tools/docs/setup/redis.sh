# A Redis over TLS, whose CA is the system's.
. tools/docs/setup/certificates.sh
certify redis redis.example.com
export SSL_CERT_FILE=$PWD/ca.crt
echo PASSWORD >redis.password
redis-server --port 0 --tls-port 6379 --tls-cert-file redis.crt --tls-key-file redis.key \
	--tls-ca-cert-file ca.crt --tls-auth-clients no --save '' >redis.log &
redis-cli() { command redis-cli --tls --cacert ca.crt -h redis.example.com "$@"; }
until redis-cli ping; do sleep 0.05; done >/dev/null 2>&1
