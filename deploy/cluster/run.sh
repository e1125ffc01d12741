#!/usr/bin/env bash
# Starts a Kubernetes of one node, runs the suite on it, ends it, and prints the table.
# Needs root on Debian, Go and a module proxy; the first run builds Kubernetes, which takes
# both cores of a small machine for five to ten minutes.
#
#   deploy/cluster/run.sh                        the whole suite
#   deploy/cluster/run.sh -update                and write the table into README.md
#   deploy/cluster/run.sh -run Suite/redis       some rows
#   deploy/cluster/run.sh -keep                  leave the cluster running, to look around
set -euo pipefail
cd "$(dirname "$0")"

kubernetes=$(go -C kube list -m -f '{{.Version}}' k8s.io/kubernetes)
readonly kubernetes
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/chatidentity-cluster
export CLUSTER_KUBE=$cache/kube-$kubernetes CLUSTER_DIRECTORY=$cache/state CLUSTER_LOGS=$cache/logs

install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_kubernetes() {
  local package=k8s.io/component-base/version major minor
  IFS=. read -r major minor _ <<<"${kubernetes#v}"
  echo "building Kubernetes $kubernetes" >&2
  mkdir -p "$cache"
  CGO_ENABLED=0 go -C kube build -tags kube -trimpath -buildvcs=false -o "$CLUSTER_KUBE.new" -ldflags "-s -w \
    -X $package.gitVersion=$kubernetes -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean" .
  mv "$CLUSTER_KUBE.new" "$CLUSTER_KUBE"
}

install_packages containerd runc containernetworking-plugins iproute2 redis-server
[[ -x $CLUSTER_KUBE ]] || build_kubernetes
exec go test -count=1 -v -timeout 60m . "$@"
