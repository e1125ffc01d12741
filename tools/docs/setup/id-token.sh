# An issuer's keys.json, and ID_TOKEN: what the issuer says of user_id.
. tools/docs/setup/files.sh
end_background # the sidecar of the block before
base64url() { base64 --wrap 0 | tr '+/' '-_' | tr -d '='; }
openssl genrsa -out issuer.key 2048 2>/dev/null
modulus=$(openssl rsa -in issuer.key -noout -modulus | sed 's/.*=//; s/../\\x&/g')
cat >keys.json <<END
{"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "e": "AQAB", "n": "$(printf '%b' "$modulus" | base64url)"}]}
END
ID_TOKEN=$(printf '{"alg":"RS256","kid":"1"}' | base64url).$(printf '{"iss":"https://login.example.com","aud":"shop",
	"sub":"user_id","iat":%d,"exp":%d}' "$(date +%s)" "$(date --date 'now + 5 minutes' +%s)" | base64url)
ID_TOKEN=$ID_TOKEN.$(printf %s "$ID_TOKEN" | openssl dgst -sha256 -sign issuer.key | base64url)
