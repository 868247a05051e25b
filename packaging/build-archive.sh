#!/bin/sh
# Makes the archive of a release: packaging/build-archive.sh BINARY TARGET [OUTPUT_DIR]
#
# TARGET is Rust's name of what BINARY runs on. Its name and what is in it are what `cargo binstall` looks for
# (Cargo.toml, package.metadata.binstall) and what the GitHub Action downloads (packaging/ci/install.sh).
# SOURCE_DATE_EPOCH, as everywhere, makes the same archive twice.
set -eu
umask 022

binary=${1:?usage: packaging/build-archive.sh BINARY TARGET [OUTPUT_DIR]}
target=${2:?usage: packaging/build-archive.sh BINARY TARGET [OUTPUT_DIR]}
output=${3:-.}
here=$(cd "$(dirname "$0")/.." && pwd)
name=dato-mirror-$("$binary" --version | cut -d' ' -f2)-$target
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

put() { install -D -m "$1" "$2" "$stage/$name/$3"; }
put 755 "$binary" dato-mirror
for document in README.md CHANGELOG.md LICENSE config.example.toml; do
    put 644 "$here/$document" "$document"
done
for page in "$here"/docs/*.md; do
    put 644 "$page" "docs/$(basename "$page")"
done
for unit in dato-mirror.service user/dato-mirror.service; do
    put 644 "$here/systemd/$unit" "systemd/$unit"
done
for drop_in in "$here"/systemd/drop-ins/*.conf; do
    put 644 "$drop_in" "systemd/drop-ins/$(basename "$drop_in")"
done
mkdir -p "$stage/$name/man" "$stage/$name/completions" "$output"
"$binary" man --dir "$stage/$name/man"
for shell in bash zsh fish; do
    "$binary" completions "$shell" > "$stage/$name/completions/dato-mirror.$shell"
done
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$(date +%s)}" \
    -cf - "$name" | gzip -9n > "$output/$name.tar.gz"
echo "$output/$name.tar.gz"
