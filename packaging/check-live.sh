#!/bin/bash
# Installs a package on a copy of this machine that boots its own systemd, and lives through a day with both units:
# packaging/check-live.sh PACKAGE. Needs root, systemd-nspawn (Debian: systemd-container) and overlayfs; changes nothing here.
set -euo pipefail
package=$(realpath "${1:?usage: packaging/check-live.sh PACKAGE}")
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "check-live: needs root" >&2; exit 2; }

work=$(mktemp -d -p "${LIVE_DIR:-/dev/shm}")
root=$work/root
mkdir "$work/upper" "$work/scratch" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" "$root"
trap 'umount "$root"; rm -rf "$work"' EXIT

install -m 755 "$here/live/day.sh" "$root/day.sh"
cp "$package" "$root/package.deb"
# Only what is needed is started: none of this machine's own services.
cat > "$root/etc/systemd/system/day.service" <<'UNIT'
[Unit]
After=basic.target systemd-logind.service dbus.service
Wants=systemd-logind.service dbus.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/day.sh
StandardOutput=file:/day.log
StandardError=inherit
TimeoutStartSec=5min
UNIT
cat > "$root/etc/systemd/system/day.target" <<'UNIT'
[Unit]
Requires=basic.target
Wants=day.service
AllowIsolate=yes
UNIT
# The container's own network would need none of this machine's; a loopback is all it uses.
timeout 400 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
    systemd.unit=day.target < /dev/null > "$work/console.log" 2>&1 || true
cat "$root/day.log" || cat "$work/console.log"
grep -q '^the day is over$' "$root/day.log"
