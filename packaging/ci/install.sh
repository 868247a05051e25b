#!/bin/bash
# Downloads a released dato-mirror for this machine and checks its checksum. Called by action.yml with its inputs as variables:
#
#   DOWNLOAD_URL       where releases are: …/releases/download; else that of REPOSITORY
#   REPOSITORY         owner/name on GITHUB_SERVER_URL; else what Cargo.toml beside this script's project names
#   VERSION            the release; else the version of that Cargo.toml, so that action and binary fit each other
#   CHECKSUM           the archive's SHA-256, for those who trust no file beside it; else the release's SHA256SUMS has it
#
# Tells the path of the binary in GITHUB_OUTPUT as `binary`. Never builds anything.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
temp=${RUNNER_TEMP:-$(mktemp -d)}

# What a person reads in the annotation and in the job's summary alike.
fail() {
    echo "::error title=dato-mirror::$1%0A→ $2"
    printf '### dato-mirror\n\n**%s**\n\n%s\n' "$1" "$2" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
    exit 1
}
manifest() { sed -n "/^\[package\]/,/^\[/s/^$1 = \"\(.*\)\"/\1/p" "$project/Cargo.toml"; }
instead='Name another release with the input `version`, give a binary with `binary`, or have it built with `build: "true"`.'

[ "$(uname -s)" = Linux ] || fail "there is no release for $(uname -s)" "$instead"
case $(uname -m) in
    x86_64 | amd64) target=x86_64-unknown-linux-musl ;;
    aarch64 | arm64) target=aarch64-unknown-linux-musl ;;
    *) fail "there is no release for $(uname -m)" "$instead" ;;
esac
version=${VERSION:-$(manifest version)}
version=${version#v}
if [ -n "${DOWNLOAD_URL:-}" ]; then
    releases=${DOWNLOAD_URL%/}
elif [ -n "${REPOSITORY:-}" ]; then
    releases=${GITHUB_SERVER_URL:-https://github.com}/$REPOSITORY/releases/download
else
    releases=$(manifest repository)/releases/download
fi
# A name becomes part of an address and of a path.
case $version in
    '' | *[!0-9A-Za-z.+-]*) fail "\"${version//[^0-9A-Za-z.+ -]/?}\" is no version" "$instead" ;;
esac
case $releases in
    https://* | http://127.0.0.1:*) ;;
    *) fail "releases are fetched over https only" "$instead" ;;
esac

name=dato-mirror-$version-$target
archive=$temp/$name.tar.gz
sums=$temp/SHA256SUMS
get() {
    curl --fail --silent --show-error --location --proto-redir '=https' --retry 3 --connect-timeout 20 --max-time 300 \
        --output "$2" "$1" || fail "$1 cannot be fetched" "$instead"
}
get "$releases/v$version/$name.tar.gz" "$archive"
if [ -z "${CHECKSUM:-}" ]; then
    get "$releases/v$version/SHA256SUMS" "$sums"
    CHECKSUM=$(awk -v name="$name.tar.gz" '{ sub(/^\*/, "", $2) } $2 == name { print $1 }' "$sums")
    [ -n "$CHECKSUM" ] || fail "SHA256SUMS of the release does not name $name.tar.gz" "$instead"
fi
found=$(sha256sum "$archive" | cut -d' ' -f1)
if [ "$found" != "$(printf %s "$CHECKSUM" | tr 'A-F' 'a-f')" ]; then
    rm -f "$archive"
    fail "$name.tar.gz has another checksum than it should have ($found)" "Nothing of it was run. Try again; if it stays so, tell whoever publishes the releases."
fi
mkdir -p "$temp/dato-mirror/bin"
tar -xzf "$archive" -C "$temp/dato-mirror/bin" --strip-components=1 --no-same-owner "$name/dato-mirror"
"$temp/dato-mirror/bin/dato-mirror" --version || fail "the downloaded dato-mirror does not run on this machine" "$instead"
echo "binary=$temp/dato-mirror/bin/dato-mirror" >> "${GITHUB_OUTPUT:-/dev/null}"
