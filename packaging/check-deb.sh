#!/bin/sh
# Installs a package into a clean root and looks at what is there: packaging/check-deb.sh PACKAGE
# Needs no root and touches nothing of this machine: dependencies and maintainer scripts are left out.
set -eu
package=${1:?usage: packaging/check-deb.sh PACKAGE}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

fail() { echo "check-deb: $*" >&2; exit 1; }
has() { [ -s "$root/$1" ] || fail "$1 is missing or empty"; }

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
    : > "$root/var/lib/dpkg/status"
    dpkg --root="$root" --force-depends --force-script-chrootless --force-not-root --log=/dev/null \
        --unpack "$package" > /dev/null
    dpkg --root="$root" --status dato-mirror > /dev/null || fail "dpkg does not know the package"
    # Configuration files get their names in the next step, which runs scripts.
    find "$root/etc" -name '*.dpkg-new' | while read -r new; do mv "$new" "${new%.dpkg-new}"; done
else
    dpkg-deb -x "$package" "$root"
fi
for file in usr/bin/dato-mirror usr/lib/systemd/system/dato-mirror.service usr/lib/systemd/user/dato-mirror.service \
    etc/dato-mirror/config.example.toml usr/share/doc/dato-mirror/config.example.toml \
    usr/share/doc/dato-mirror/copyright usr/share/doc/dato-mirror/changelog.gz usr/share/doc/dato-mirror/CHANGELOG.md \
    usr/share/doc/dato-mirror/README.md usr/share/doc/dato-mirror/README.Debian usr/share/doc/dato-mirror/docs/systemd.md \
    usr/share/man/man1/dato-mirror.1.gz usr/share/man/man1/dato-mirror-status.1.gz \
    usr/share/bash-completion/completions/dato-mirror usr/share/zsh/vendor-completions/_dato-mirror \
    usr/share/fish/vendor_completions.d/dato-mirror.fish; do
    has "$file"
done
"$root/usr/bin/dato-mirror" --version > /dev/null || fail "the binary does not run"
for page in "$root"/usr/share/man/man1/*.1.gz; do
    zcat "$page" | grep -q '^\.TH dato-mirror' || fail "$page is no manual page"
    # Every page that one names is there.
    for named in $(zcat "$page" | tr -d '\\' | grep -o '[a-z-]*([0-9])' | sort -u); do
        [ -s "$root/usr/share/man/man1/${named%(1)}.1.gz" ] || fail "$page names $named, which is not there"
    done
done
# What lies in /etc is the user's: an upgrade asks before it overwrites, and a purge removes no more than was brought.
(cd "$root" && find etc -type f | sed 's|^|/|' | sort) > "$root/in-etc"
dpkg-deb --ctrl-tarfile "$package" | tar -xO ./conffiles | sort | cmp -s - "$root/in-etc" || fail "a file in /etc is no conffile"
dpkg-deb --ctrl-tarfile "$package" | tar -xO ./md5sums | (cd "$root" && md5sum --check --quiet) || fail "md5sums is wrong"
zcat "$root/usr/share/doc/dato-mirror/changelog.gz" | head -1 |
    grep -qF "dato-mirror ($(dpkg-deb -f "$package" Version)) " || fail "the changelog is of another version"
bash -n "$root/usr/share/bash-completion/completions/dato-mirror" || fail "the completion for bash is no script"
for script in postinst prerm postrm; do
    dpkg-deb --ctrl-tarfile "$package" | tar -xO "./$script" | sh -n || fail "$script is no script"
done
owners=$(dpkg-deb -c "$package" | cut -d' ' -f2 | sort -u)
[ "$owners" = root/root ] || fail "files belong to $owners"
closed=$(dpkg-deb -c "$package" | grep '^d' | grep -v '^drwxr-xr-x' || true)
[ -z "$closed" ] || fail "folders are closed to others: $closed"
echo "check-deb: fine"
