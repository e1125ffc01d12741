#!/usr/bin/env bash
# Runs one pod's worth of containers of the image that deploy/image-test.sh built,
# and checks how they call, start and stop. Needs root on Debian and Go.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/engine.sh

install_packages curl util-linux
podman "${engine[@]}" image exists "$image" || { echo "no image: run deploy/image-test.sh first" >&2; exit 1; }
cd deploy/test
POD_TEST_ENGINE="podman ${engine[*]}" POD_TEST_CONFINED="${confined[*]}" POD_TEST_IMAGE=$image go test -count=1 -v ./...
