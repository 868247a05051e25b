#!/bin/sh
# Whether a tag may be published: packaging/check-release.sh [--notes]
#
#   TAG          the tag, v and the version
#   IS_TAG       false: there is none, only the version and its notes are looked at
#   REPOSITORY   the address of the repository that publishes
#
# With --notes: prints what CHANGELOG.md says of the version, and nothing else.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "check-release: $*" >&2; exit 1; }
manifest() { sed -n "/^\[package\]/,/^\[/s/^$1 = \"\(.*\)\"/\1/p" "$here/Cargo.toml"; }

version=$(manifest version)
notes() {
    awk -v version="$version" '
        /^## / { inside = index($0, "[" version "]") > 0; next }
        inside' "$here/CHANGELOG.md"
}
if [ "${1:-}" = --notes ]; then
    notes
    exit
fi
if [ "${IS_TAG:-true}" != false ]; then
    [ "${TAG:-}" = "v$version" ] || fail "the tag is ${TAG:-missing}, and Cargo.toml says $version: they have to be v$version and $version"
    [ "${REPOSITORY:-}" = "$(manifest repository)" ] ||
        fail "this is ${REPOSITORY:-nowhere}, and \`repository\` in Cargo.toml says $(manifest repository), where nobody would find the release"
    [ -n "$(notes)" ] || fail "CHANGELOG.md has no section [$version]: name what is released"
fi
echo "check-release: $version"
