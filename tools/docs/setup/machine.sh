# A machine of its own for docs/install.md, with a user shop, sudo, and what systemd would do with
# the unit: directories, credentials, and its command as its user. Only root can make it.
for folder in /etc /usr/local /var/lib; do
	mount -t tmpfs none /mnt
	mkdir /mnt/upper /mnt/work
	mount -t overlay none -o "lowerdir=$folder,upperdir=/mnt/upper,workdir=/mnt/work" "$folder"
	umount --lazy /mnt
done
mount -t tmpfs none /run
useradd shop
cat >/usr/local/bin/journalctl <<'END'
#!/bin/sh
case "$*" in
*chatidentity-verify*) cat /run/verify.log ;;
*) cat /run/service.log ;;
esac
END
chmod 0755 /usr/local/bin/journalctl

as() { # USER COMMAND
	setpriv --reuid="$1" --regid="$1" --init-groups env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"
}

sudo() {
	if [ "$1" = -u ]; then as "${@:2}"; else "$@"; fi
}

systemctl() {
	case "$*" in
	daemon-reload) systemd-analyze verify /etc/systemd/system/chatidentity* ;;
	"enable --now chatidentity") start_unit ;;
	"restart chatidentity")
		kill "$unit"
		wait "$unit" # with exit code 0
		start_unit
		;;
	"enable --now chatidentity-verify.timer") test -f /etc/systemd/system/chatidentity-verify.timer ;;
	"start chatidentity-verify")
		setpriv --bounding-set=-all,+dac_read_search bash -c "$(command_of chatidentity-verify)" >/run/verify.log
		;;
	*) return 1 ;;
	esac
}

command_of() { # UNIT
	sed -z 's/\\\n//g' "/etc/systemd/system/$1.service" | sed -n 's/^ExecStart=//p' |
		sed 's#%t#/run#g; s#%S#/var/lib#g; s#\${CREDENTIALS_DIRECTORY}#/run/credentials#g; s/\$\$/$/g'
}

start_unit() {
	local file=/etc/systemd/system/chatidentity.service command
	install -d -m 0750 -o chatidentity -g chatidentity /run/chatidentity
	install -d -m 0700 -o chatidentity /var/lib/chatidentity /run/credentials
	sed -n 's/^LoadCredential=\(.*\):\(.*\)/\2 \1/p' "$file" | while read -r from to; do
		install -m 0400 -o chatidentity "$from" "/run/credentials/$to"
	done
	command=$(command_of chatidentity)
	(
		set -a
		. /etc/chatidentity/environment
		umask 0077
		# shellcheck disable=SC2086 # words
		exec setpriv --reuid=chatidentity --regid=chatidentity --init-groups $command
	) >/run/service.log 2>&1 &
	unit=$!
	until as shop test -S /run/chatidentity/chatidentity.sock; do
		kill -0 "$unit" || { cat /run/service.log; return 1; }
		sleep 0.05
	done
}
