#!/usr/bin/env bash
# Builds the real Dockerfile as committed, without a container engine or a
# registry, checks the image, and runs it. Needs root on Debian, Go, and a module proxy.
#
#   deploy/image-test.sh            leaves the images in dist/containers for deploy/test
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/engine.sh

# More means that something makes the linker keep every method: reflect's MethodByName, text/template.
readonly max_compressed=$((8 * 1000 * 1000))
readonly version=0.0.0-rc.1 # as deploy/release-test.sh

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
equal() { [[ "$2" == "$3" ]] || fail "$1 is '$2', want '$3'"; say "ok: $1: $2"; }

# stand_in makes an image under the name of the build stage's base, since no
# registry can be reached: this machine's Go, a shell, and its certificates.
stand_in() {
  local base=docker.io/library/golang:$1-bookworm container root
  container=$(buildah "${store[@]}" from scratch)
  root=$(buildah "${store[@]}" mount "$container")
  mkdir -p "$root"/{bin,etc/ssl/certs,go,root,tmp,usr/local/go}
  cp /bin/busybox "$root/bin/busybox"
  local applet
  for applet in sh cp mkdir; do ln -s busybox "$root/bin/$applet"; done
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  local goroot
  goroot=$(go env GOROOT)
  cp -r "$goroot"/{VERSION,go.env,bin,lib,pkg,src} "$root/usr/local/go/"
  buildah "${store[@]}" config --env GOPATH=/go --env GOTOOLCHAIN=local \
    --env PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah "${store[@]}" commit --quiet --rm --format oci "$container" "$base" >/dev/null
  say "stand-in for $base made of $(go version)"
}

# build PLATFORM TAG builds the Dockerfile. The module cache is this machine's,
# so that nothing is downloaded twice; the build cache is none, so that all is
# compiled. Docker tells the build platform by itself, this buildah does not.
build() {
  buildah "${store[@]}" build --isolation chroot --network host --pull-never --quiet \
    --volume "$(go env GOMODCACHE):/go/pkg/mod" \
    --env GOPROXY="$(go env GOPROXY)" --env GOSUMDB="$(go env GOSUMDB)" --unsetenv GOPROXY --unsetenv GOSUMDB \
    --timestamp 0 --platform "$1" --tag "$2" \
    --build-arg BUILDPLATFORM="linux/$(go env GOHOSTARCH)" --build-arg GO_VERSION="$go_version" --build-arg VERSION="$version" --build-arg REVISION="$revision" "$work/source" >/dev/null
  say "built $2 for $1"
}

# released is the digest of the program in the release that deploy/release-test.sh
# made of the same commit, at another path with another build cache.
released() { # ARCHITECTURE
  sha256sum <"dist/release/chatidentity_${version}_linux_$1" | cut -d' ' -f1
}

digest_in() { # IMAGE
  local container
  container=$(buildah "${store[@]}" from --pull-never "$1")
  sha256sum <"$(buildah "${store[@]}" mount "$container")/usr/local/bin/chatidentity" | cut -d' ' -f1
  buildah "${store[@]}" rm "$container" >/dev/null
}

blob() { cat "$1/blobs/${2/://}"; }

check_image() { # IMAGE ARCHITECTURE
  local oci=$work/oci-$2
  buildah "${store[@]}" push --quiet --format oci "$1" "oci:$oci"
  check_layout "$oci" "$2" "$(jq -r '.manifests[0].digest' "$oci/index.json")"
}

# check_released checks the image that the release has, by the same table.
check_released() { # ARCHITECTURE
  local oci=$work/oci-release
  mkdir -p "$oci"
  tar -xf "dist/release/chatidentity_${version}_image.oci.tar" -C "$oci"
  check_layout "$oci" "$1" "$(jq -r --arg a "$1" '.manifests[] | select(.platform.architecture == $a) | .digest' "$oci/index.json")"
}

check_layout() { # LAYOUT ARCHITECTURE DIGEST
  local oci=$1 manifest config
  manifest=$(blob "$oci" "$3")
  config=$(blob "$oci" "$(jq -r .config.digest <<<"$manifest")")
  get() { jq -r "$1" <<<"$config"; }
  equal "platform" "$(get '.os + "/" + .architecture')" "linux/$2"
  equal "user" "$(get .config.User)" 65532:65532
  equal "entry point and command" "$(get '.config.Entrypoint + .config.Cmd | join(" ")')" "/usr/local/bin/chatidentity serve"
  equal "version label" "$(get '.config.Labels["org.opencontainers.image.version"]')" "$version"
  equal "revision label" "$(get '.config.Labels["org.opencontainers.image.revision"]')" "$revision"
  equal "title and source label" "$(get '.config.Labels | [."org.opencontainers.image.title", ."org.opencontainers.image.source"] | join(" ")')" \
    "chatidentity https://github.com/chatidentity/chatidentity"
  equal "health check (Kubernetes has probes of its own)" "$(get '.config.Healthcheck // "none"')" none
  local size
  size=$(jq '[.layers[].size] | add' <<<"$manifest")
  ((size <= max_compressed)) || fail "compressed size is $size bytes, want at most $max_compressed"
  say "ok: compressed size: $size bytes, at most $max_compressed"
}

# run_image runs it as the manifests do, but on the loopback of its own alone.
run_image() {
  local secret=$work/secret token signed
  printf 'an-image-test-secret-of-over-32-bytes' >"$secret"
  podman "${engine[@]}" run --detach --name image-test "${confined[@]}" --network none \
    --volume "$secret:/run/secrets/kustomer:ro" "$image" serve --secret-file /run/secrets/kustomer >/dev/null
  trap 'podman "${engine[@]}" rm --force --time 2 image-test >/dev/null; rm -rf "$work"' EXIT
  local tries=0
  until podman "${engine[@]}" exec image-test chatidentity health >"$work/health" 2>&1; do
    ((++tries < 50)) || fail "not healthy: $(<"$work/health") $(podman "${engine[@]}" logs image-test 2>&1)"
    sleep 0.2
  done
  equal "health" "$(<"$work/health")" '{"status":"SERVING"}'
  local pid
  pid=$(podman "${engine[@]}" inspect --format '{{.State.Pid}}' image-test)
  equal "uids and gids of the process" "$(awk '/^[UG]id/ {print $2, $3, $4, $5}' "/proc/$pid/status" | xargs)" \
    "65532 65532 65532 65532 65532 65532 65532 65532"
  equal "capabilities" "$(awk '/^Cap(Eff|Bnd)/ {print $2}' "/proc/$pid/status" | xargs)" "0000000000000000 0000000000000000"
  equal "root file system" "$(awk '$2 == "/" {split($4, o, ","); print o[1]}' "/proc/$pid/mounts")" ro
  token=$(podman "${engine[@]}" exec image-test chatidentity issue --external-id user_id)
  signed=$(printf %s "${token%.*}" | openssl dgst -sha256 -hmac "$(<"$secret")" -binary | base64 -w0 | tr '+/' '-_' | tr -d '=')
  equal "signature of the token, computed by openssl," "${token##*.}" "$signed"
  local started=$SECONDS
  podman "${engine[@]}" stop --time 20 image-test >/dev/null
  equal "exit code after SIGTERM" "$(podman "${engine[@]}" inspect --format '{{.State.ExitCode}}' image-test)" 0
  ((SECONDS - started < 15)) || fail "stopping took $((SECONDS - started)) s"
}

# run_writing shows that the read-only root is one: asked to write there, the
# program says that it cannot.
run_writing() {
  local said
  said=$(podman "${engine[@]}" run --rm "${confined[@]}" --network none --env KUSTOMER_SECRET_KEY=worthless "$image" \
    serve --strict-start --audit-file /audit.jsonl 2>&1) && fail "it could write to its root"
  [[ "$said" == *"read-only file system"* ]] || fail "writing to the root: $said"
  say "ok: writing to the root: refused"
  podman "${engine[@]}" run --rm "${confined[@]}" --network none --tmpfs /tmp "$image" dev --exit >"$work/dev" 2>&1 || fail "dev: $(<"$work/dev")"
  say "ok: dev runs in the image, with a tmpfs at /tmp"
}

install_packages busybox-static jq openssl
rm -rf "$containers"
mkdir -p "$TMPDIR"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
revision=$(git rev-parse HEAD)
mkdir "$work/source"
git archive "$revision" | tar -x -C "$work/source"

go_version=$(go env GOVERSION)
go_version=${go_version#go}
grep -qx "ARG GO_VERSION=$go_version" Dockerfile || say "note: this machine has Go $go_version, the Dockerfile names another"

stand_in "$go_version"
build linux/amd64 "$image"
equal "binary built twice, in the image and for the release," "$(digest_in "$image")" "$(released amd64)"
check_image "$image" amd64
check_released amd64
build linux/arm64 "$image-arm64"
equal "binary for arm64, built twice," "$(digest_in "$image-arm64")" "$(released arm64)"
check_image "$image-arm64" arm64
check_released arm64
run_image
run_writing
say "the image passed"
