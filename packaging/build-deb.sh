#!/bin/sh
# Makes a Debian package of a built binary: packaging/build-deb.sh BINARY [OUTPUT_DIR]
#
# Needs dpkg-deb, and gzip; no Rust, no root. The binary says what its completions and manual page are, so they always
# fit it. SOURCE_DATE_EPOCH, as everywhere, makes the same package twice.
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
# Debian sorts 1.0~rc.1 before 1.0.
version=$("$binary" --version | cut -d' ' -f2 | sed 's/-/~/')
now=${SOURCE_DATE_EPOCH:-$(date +%s)}
export SOURCE_DATE_EPOCH="$now"
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# mktemp's mode would become that of the root folder.
chmod 755 "$stage"

put() { install -D -m "$1" "$2" "$stage/$3"; }
put 755 "$binary" usr/bin/dato-mirror
put 644 "$here/systemd/dato-mirror.service" usr/lib/systemd/system/dato-mirror.service
put 644 "$here/systemd/user/dato-mirror.service" usr/lib/systemd/user/dato-mirror.service
# The example lies where the configuration is to be, and beside the README, which speaks of it.
put 644 "$here/config.example.toml" etc/dato-mirror/config.example.toml
for document in README.md ARCHITECTURE.md CHANGELOG.md config.example.toml; do
    put 644 "$here/$document" "usr/share/doc/dato-mirror/$document"
done
for page in "$here"/docs/*.md; do
    put 644 "$page" "usr/share/doc/dato-mirror/docs/$(basename "$page")"
done
put 644 "$here/packaging/debian/README.Debian" usr/share/doc/dato-mirror/README.Debian
put 644 "$here/packaging/debian/copyright" usr/share/doc/dato-mirror/copyright
sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(LC_ALL=C date -u -R -d "@$now")/" \
    "$here/packaging/debian/changelog.in" | gzip -9n > "$stage/usr/share/doc/dato-mirror/changelog.gz"
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
else
    put 644 "$here/packaging/debian/lintian-overrides" usr/share/lintian/overrides/dato-mirror
fi
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$(du -sk "$stage/usr" | cut -f1)/" "$here/packaging/debian/control.in" > "$stage/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 755 "$here/packaging/debian/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find etc -type f | sed 's|^|/|' > DEBIAN/conffiles &&
    find usr -type f | LC_ALL=C sort | xargs md5sum > DEBIAN/md5sums)
chmod 644 "$stage/DEBIAN/conffiles" "$stage/DEBIAN/md5sums" "$stage/usr/share/doc/dato-mirror/changelog.gz"
mkdir -p "$output"
package="$output/dato-mirror_${version}_${architecture}.deb"
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$stage" "$package" > /dev/null
echo "$package"
