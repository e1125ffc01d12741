# Sourced by the scripts here: a container engine without a daemon, whose images
# and state are in dist/containers.
readonly containers=$PWD/dist/containers
readonly image=localhost/chatidentity:test

# vfs and the chroot isolation need nothing of the kernel that CI lacks.
readonly store=(--root "$containers/storage" --runroot "$containers/run" --storage-driver vfs)
readonly engine=("${store[@]}" --cgroup-manager cgroupfs --runtime runc)

# A container as the manifests' security context makes it. The limits are bounded
# since CI may not raise its own.
readonly confined=(--read-only --cap-drop all --security-opt no-new-privileges --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --pull never)

# podman and buildah put large files into TMPDIR.
export TMPDIR=$containers/tmp
mkdir -p "$TMPDIR"

# install_packages installs the engine and the given packages from Debian.
install_packages() {
  local missing=() package
  for package in buildah podman runc "$@"; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
