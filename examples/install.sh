#!/usr/bin/env bash
# Installs from Debian what the examples and their tests need beside Go, Python,
# Node, a JDK and Rust. Run as root.
set -euo pipefail
packages=(
  curl
  ruby ruby-grpc ruby-grpc-tools ruby-googleapis-common-protos-types libprotobuf-dev ruby-sinatra ruby-jwt puma
  chromium fonts-dejavu-core
)
command -v mvn >/dev/null || packages+=(maven)
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
