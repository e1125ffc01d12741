# A sidecar that has issued a token to anna: the token in a file, its record in
# /var/log/chatidentity under the key in audit.key.
. tools/docs/setup/files.sh
mkdir /var/log/chatidentity
chatidentity serve --secret-file kustomer.secret \
	--audit-key-file audit.key --audit-file /var/log/chatidentity/audit.jsonl >serve.log 2>&1 &
sidecar=$!
chatidentity wait --strict
chatidentity issue --email anna@example.com >token
