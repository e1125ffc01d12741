#!/usr/bin/env bash
# Writes go.mod and go.sum for another version of Kubernetes: kube/update.sh 1.34.4
#
# Kubernetes is one repository whose parts are published as modules. k8s.io/kubernetes names them
# as v0.0.0, and the folder ./staging of the repository is put in their place; that folder is not
# in the module. Each part of Kubernetes 1.X.Y is published as v0.X.Y.
set -euo pipefail
cd "$(dirname "$0")"
version=${1:?"usage: $0 1.34.4"}
upstream=$(go mod download -json "k8s.io/kubernetes@v$version" | jq -r .GoMod)
rm -f go.mod go.sum
go mod init github.com/chatidentity/chatidentity/deploy/cluster/kube
go mod edit -go "$(awk '$1 == "go" {print $2}' "$upstream")" -require "k8s.io/kubernetes@v$version"
awk '$2 == "v0.0.0" && $1 ~ /^k8s\.io\// {print $1}' "$upstream" | sort -u | while read -r part; do
  go mod edit -replace "$part=$part@v0.${version#1.}"
done
go mod tidy
