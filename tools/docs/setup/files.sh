# What the pages take for there already.
(
	umask 077
	head -c 32 /dev/urandom | base64 >kustomer.secret
	head -c 32 /dev/urandom | base64 >audit.key
)
