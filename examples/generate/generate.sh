#!/usr/bin/env bash
# Generates gen/python (with .pyi) and gen/typescript from proto/, with plugins
# pinned beside this script, as packages that pip and npm install. gen/go is
# buf's: see buf.gen.yaml.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD root=$(cd ../.. && pwd)

if ! cmp -s requirements.txt .venv/installed.txt; then
  python3 -m venv --clear .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
  cp requirements.txt .venv/installed.txt
fi
if ! cmp -s package-lock.json node_modules/installed.json; then
  npm ci --silent --ignore-scripts
  cp package-lock.json node_modules/installed.json
fi

cd "$root"
rm -rf gen/python gen/typescript
mkdir -p gen/python gen/typescript
protoc() { PATH=$here/.venv/bin:$PATH python -m grpc_tools.protoc "$@"; }
contract=proto/chatidentity/v1/chat_identity_service.proto
protoc --proto_path=proto \
  --python_out=gen/python --mypy_out=gen/python \
  --grpc_python_out=gen/python --mypy_grpc_out=gen/python \
  "$contract"
typescript() {
  protoc --proto_path=proto --plugin="$here/node_modules/.bin/protoc-gen-ts_proto" --ts_proto_out=gen/typescript \
    --ts_proto_opt=emitImportedFiles=false,outputServices=grpc-js,esModuleInterop=true,importSuffix=.js,outputJsonMethods=false,"$@"
}
typescript comments=true "$contract"
typescript comments=false google/protobuf/timestamp.proto # what the contract imports

# The packages ask for the versions that the code was generated with.
version() { sed -nE "s/$1/\\1/p" "$2" | grep .; }
grpcio=$(version "GRPC_GENERATED_VERSION = '(.*)'" gen/python/chatidentity/v1/chat_identity_service_pb2_grpc.py)
protobuf=$(version '# Protobuf Python Version: (.*)' gen/python/chatidentity/v1/chat_identity_service_pb2.py)
sed -e "s/@grpcio@/$grpcio/" -e "s/@protobuf@/$protobuf/" -e "s/@next@/$((${protobuf%%.*} + 1))/" "$here/pyproject.toml" >gen/python/pyproject.toml
touch gen/python/chatidentity/v1/py.typed
sed -e "s/@protobuf@/$(version ' *"@bufbuild\/protobuf": "(.*)",?' "$here/package.json")/" \
  -e "s/@grpc@/$(version ' *"@grpc\/grpc-js": "(.*)",?' "$here/package.json")/" "$here/typescript.json" >gen/typescript/package.json
"$here/node_modules/.bin/tsc" --project "$here/tsconfig.json"
