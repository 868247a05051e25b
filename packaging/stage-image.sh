#!/bin/sh
# Lays a released binary where the Dockerfile takes it with `--build-arg BINARY=released`:
# packaging/stage-image.sh ARCHIVE_OR_BINARY ARCHITECTURE [CERTIFICATES]
#
# ARCHITECTURE is Docker's name, amd64 or arm64. CERTIFICATES is the list of authorities that goes into the image; else this
# machine's. Once for each architecture; then
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg BINARY=released .
set -eu
umask 022

from=${1:?usage: packaging/stage-image.sh ARCHIVE_OR_BINARY ARCHITECTURE [CERTIFICATES]}
architecture=${2:?usage: packaging/stage-image.sh ARCHIVE_OR_BINARY ARCHITECTURE [CERTIFICATES]}
certificates=${3:-/etc/ssl/certs/ca-certificates.crt}
here=$(cd "$(dirname "$0")/.." && pwd)
stage=$here/image/$architecture

rm -rf "$stage"
# The folder of the index has to be there for the image; COPY leaves out nothing, not even an empty folder.
mkdir -p "$stage/state"
case $from in
    *.tar.gz)
        name=$(basename "$from" .tar.gz)
        tar -xzf "$from" -C "$stage" --strip-components=1 --no-same-owner "$name/dato-mirror"
        ;;
    *) install -m 755 "$from" "$stage/dato-mirror" ;;
esac
install -m 644 "$certificates" "$stage/ca-certificates.crt"
# Nothing is there that could load a library.
if readelf -l "$stage/dato-mirror" | grep -q INTERP; then
    echo "stage-image: $from is no static binary; it would not start in an empty image" >&2
    exit 1
fi
echo "$stage"
