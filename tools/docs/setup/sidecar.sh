# A sidecar that has issued a token to anna: the token in a file, its record in /var/log/chatidentity
# under the key in audit.key.
(umask 077 && head -c 32 /dev/urandom | base64 >audit.key && head -c 32 /dev/urandom | base64 >kustomer.secret)
mkdir /var/log/chatidentity
chatidentity serve --secret-file kustomer.secret \
	--audit-key-file audit.key --audit-file /var/log/chatidentity/audit.jsonl >serve.log 2>&1 &
chatidentity wait --strict
chatidentity issue --email anna@example.com >token
