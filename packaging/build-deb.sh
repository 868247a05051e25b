#!/bin/sh
# Makes a Debian package of a built binary: packaging/build-deb.sh BINARY [OUTPUT_DIR]
#
# Needs dpkg-deb, and gzip; no Rust, no root. The binary says what its completions and manual page are, so they always
# fit it.
#
# A static binary, which runs on any Linux of its architecture whatever its libc, is built beforehand with
#   rustup target add x86_64-unknown-linux-musl      (and a musl C compiler, Debian's musl-tools, for SQLite)
#   cargo build --release --target x86_64-unknown-linux-musl
# A package of a binary built the usual way depends on the libc of the machine that built it.
set -eu
umask 022

binary=${1:?usage: packaging/build-deb.sh BINARY [OUTPUT_DIR]}
output=${2:-.}
here=$(cd "$(dirname "$0")/.." && pwd)
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# mktemp's mode would become that of the root folder.
chmod 755 "$stage"

put() { install -D -m "$1" "$2" "$stage/$3"; }
put 755 "$binary" usr/bin/dato-mirror
put 644 "$here/systemd/dato-mirror.service" usr/lib/systemd/system/dato-mirror.service
put 644 "$here/systemd/user/dato-mirror.service" usr/lib/systemd/user/dato-mirror.service
put 644 "$here/config.example.toml" usr/share/doc/dato-mirror/config.example.toml
put 644 "$here/LICENSE" usr/share/doc/dato-mirror/copyright
for drop_in in "$here"/systemd/drop-ins/*.conf; do
    put 644 "$drop_in" "usr/share/doc/dato-mirror/drop-ins/$(basename "$drop_in")"
done
mkdir -p "$stage/usr/share/man/man1" "$stage/usr/share/bash-completion/completions" \
    "$stage/usr/share/zsh/vendor-completions" "$stage/usr/share/fish/vendor_completions.d" "$stage/DEBIAN"
"$binary" man --dir "$stage/usr/share/man/man1"
gzip -9n "$stage"/usr/share/man/man1/*.1
"$binary" completions bash > "$stage/usr/share/bash-completion/completions/dato-mirror"
"$binary" completions zsh > "$stage/usr/share/zsh/vendor-completions/_dato-mirror"
"$binary" completions fish > "$stage/usr/share/fish/vendor_completions.d/dato-mirror.fish"

# A static binary needs no libc. The version is that of the machine that built it: older ones may lack symbols.
depends=ca-certificates
if ldd "$binary" 2> /dev/null | grep -q libc.so; then
    libc=$(dpkg-query -W -f '${Version}' libc6 2> /dev/null | cut -d- -f1)
    depends="libc6${libc:+ (>= $libc)}, $depends"
fi
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$(du -sk "$stage/usr" | cut -f1)/" "$here/packaging/debian/control.in" > "$stage/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 755 "$here/packaging/debian/$script" "$stage/DEBIAN/$script"
done
mkdir -p "$output"
package="$output/dato-mirror_${version}_${architecture}.deb"
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$stage" "$package" > /dev/null
echo "$package"
