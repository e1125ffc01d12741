# A CA, and a function that has it certify a name, which then leads here.
. tools/docs/setup/files.sh
cp /etc/hosts hosts
mount --bind hosts /etc/hosts

key() { # FILE NAME and how to sign
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 1 \
		-keyout "$1.key" -out "$1.crt" -subj "/CN=$2" "${@:3}" 2>/dev/null
}

certify() { # FILE NAME
	key "$1" "$2" -CA ca.crt -CAkey ca.key -addext "subjectAltName=DNS:$2" -addext basicConstraints=CA:FALSE
	echo "127.0.0.1 $2" >>hosts
}

key ca "CA of a test"
