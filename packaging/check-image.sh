#!/bin/bash
# Builds the container image of a static binary and looks at what is in it, and at what it does: packaging/check-image.sh BINARY
#
# Needs root, buildah and readelf; no Docker, no registry, no network. The stage that compiles is left out: its base image
# comes from a registry.
set -euo pipefail
binary=$(realpath "${1:?usage: packaging/check-image.sh BINARY}")
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
architecture=$(dpkg --print-architecture 2> /dev/null || echo amd64)
ours() { buildah --storage-driver vfs --root "$work/root" --runroot "$work/run" "$@"; }
trap 'rm -rf "$here/image"; ours rm --all > /dev/null 2>&1 || true; rm -rf "$work"' EXIT
fail() { echo "check-image: $*" >&2; exit 1; }

"$here/packaging/stage-image.sh" "$binary" "$architecture" > /dev/null
# Podman's own format has no health check.
ours bud --quiet --format docker --isolation chroot --build-arg BINARY=released --tag dato-mirror "$here" > /dev/null
made=$(ours from dato-mirror)
tree=$(ours mount "$made")
told() { ours inspect --format "$1" "$made"; }

files=$(cd "$tree" && find . -type f | sort | tr '\n' ' ')
[ "$files" = "./dato-mirror ./etc/ssl/certs/ca-certificates.crt " ] || fail "there is more, or less, in it: $files"
[ "$(stat -c %u:%g "$tree/var/lib/dato-mirror")" = 65532:65532 ] || fail "the index's folder is not the user's"
[ "$(told '{{.Docker.Config.User}}')" = 65532:65532 ] || fail "it runs as another user"
[ "$(told '{{.Docker.Config.Entrypoint}}')" = '[/dato-mirror]' ] || fail "it starts something else"
told '{{.Docker.Config.Healthcheck}}' | grep -q /dato-mirror || fail "it has no health check"
run() { ours run --isolation chroot "$made" -- /dato-mirror "$@"; }
run --version || fail "it does not start"
# The demo needs nothing but a folder for a moment: here the one of the index.
ours run --isolation chroot --env TMPDIR=/var/lib/dato-mirror "$made" -- /dato-mirror demo > /dev/null || fail "the demo fails"
code=0
run healthcheck 2> /dev/null || code=$?
[ "$code" = 1 ] || fail "the health check of what does not run ends with $code"
echo "check-image: fine"
