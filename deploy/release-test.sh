#!/usr/bin/env bash
# Makes a release for Linux with `make release`, as docs/release.md says, checks it as its users
# would, and leaves it in dist/release for deploy/image-test.sh. Needs root on Debian.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=0.0.0-rc.1 release=dist/release

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

missing=()
for package in minisign qemu-user; do
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
minisign -G -W -p "$work/minisign.pub" -s "$work/minisign.key" >/dev/null

export CHATIDENTITY_RELEASE_KEY_FILE=$work/minisign.key
make --no-print-directory release VERSION=v$version PLATFORMS=linux/amd64,linux/arm64

cp -r "$release" "$work/received"
cd "$work/received"
program=chatidentity_${version}_linux_amd64
minisign -V -q -p "$work/minisign.pub" -m SHA256SUMS || fail "the signature is not good"
sha256sum --check --quiet SHA256SUMS || fail "a checksum is not good"
say "ok: the signature and all checksums are good"

printf x >>"$program"
sha256sum --check --quiet SHA256SUMS 2>/dev/null && fail "a program with another byte passes"
sed -i "s/^\(.*\)  $program\$/$(sha256sum <"$program" | cut -d' ' -f1)  $program/" SHA256SUMS
sha256sum --check --quiet SHA256SUMS || fail "the forged checksums should fit"
minisign -V -q -p "$work/minisign.pub" -m SHA256SUMS 2>/dev/null && fail "forged checksums pass"
say "ok: another byte is refused, and so are checksums that fit it"

grep -q '"version": "'"$version"'"' chatidentity_${version}_linux_amd64.cdx.json || fail "the bill of materials does not have the version"
qemu-aarch64 "chatidentity_${version}_linux_arm64" dev --exit --output json >dev.json || fail "dev on arm64"
say "ok: dev runs on arm64 (emulated)"
