#!/bin/bash
# A day with the system unit and with the user unit, inside a machine that is thrown away. Called by check-live.sh.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset DATOCMS_API_TOKEN
area=http://127.0.0.1:3997
fail() { echo "FAILED: $*"; journalctl --no-pager -n 60 -u dato-mirror || true; exit 1; }
step() { echo "- $*"; }
# Waits up to 60 s for a command to succeed.
until_true() { for _ in $(seq 300); do if "$@" > /dev/null 2>&1; then return 0; fi; sleep 0.2; done; return 1; }
assets() { curl -sf -H 'Authorization: Bearer sandbox' -H 'X-Api-Version: 3' -H 'Accept: application/json' "$area/uploads?page%5Blimit%5D=500"; }
count() { assets | grep -o '"type":"upload","attributes"\|"md5":"' | wc -l; }
has_md5() { assets | grep -q "$(md5sum < "$1" | cut -d' ' -f1)"; }
journal() { journalctl --no-pager -o cat -u dato-mirror; }
says() { journal | grep -q "$1"; }

ip link set lo up 2> /dev/null || true
step "install the package"
dpkg -i /package.deb > /dev/null
systemd-run --quiet --unit=area dato-mirror sandbox --listen 127.0.0.1:3997 --data /var/tmp/area
until_true assets || fail "no sandbox"

[ -s /etc/dato-mirror/config.example.toml ] || fail "there is no example where the configuration is to be"
[ "$(systemctl is-enabled dato-mirror)" = disabled ] || fail "it is enabled with nothing to mirror"

step "the system unit, with nothing configured: said, exit 2, no restart"
rm -f /etc/dato-mirror/config.toml /etc/dato-mirror/token
refused() {
    systemctl start dato-mirror 2> /dev/null && fail "it started: $1"
    sleep 2
    [ "$(systemctl show -P ExecMainStatus dato-mirror)" = 2 ] || fail "not exit 2: $1"
    [ "$(systemctl show -P NRestarts dato-mirror)" = 0 ] || fail "restarted: $1"
    says "$2" || fail "not said: $1"
}
refused "no configuration" /etc/dato-mirror/config.toml
printf '[[mirror]]\nname = "brand"\nroot = "/srv/brand"\n' > /etc/dato-mirror/config.toml
mkdir -p /srv/brand
refused "no token" token
journal | tail -5
(umask 077; echo sandbox > /etc/dato-mirror/token)

step "configured: active, ready, mirrored"
echo one > /srv/brand/one.txt
cat > /etc/dato-mirror/config.toml <<CONFIG
[api]
base_url = "$area"
[status]
listen = "127.0.0.1:7878"
[[mirror]]
name = "brand"
root = "/srv/brand"
settle = "500ms"
CONFIG
systemctl enable --quiet dato-mirror
systemctl restart dato-mirror || fail "it does not start"
[ "$(systemctl is-active dato-mirror)" = active ] || fail "not active"
until_true has_md5 /srv/brand/one.txt || fail "not mirrored"
[ "$(stat -c %U:%a /etc/dato-mirror/token)" = root:600 ] || fail "the token is open"
until_true curl -sf http://127.0.0.1:7878/readyz || fail "not ready"
systemctl show -P StatusText dato-mirror

step "a saved file arrives"
echo two > /srv/brand/one.txt
until_true has_md5 /srv/brand/one.txt || fail "the change did not arrive"
says "degraded" && fail "degraded: $(journal | grep degraded)"

step "reload: a bad configuration is refused, a good one taken"
cp /etc/dato-mirror/config.toml /tmp/good
echo 'nonsense = 1' >> /etc/dato-mirror/config.toml
systemctl reload dato-mirror
until_true says "is refused, the old one stays" || fail "not refused"
sed 's/^settle.*/settle = "500ms"\ntags = ["live"]/' /tmp/good > /etc/dato-mirror/config.toml
systemctl reload dato-mirror
tagged() { assets | grep -q '"live"'; }
until_true tagged || fail "the new configuration is not in use"

step "killed: it comes back and goes on"
mkdir -p /etc/systemd/system/dato-mirror.service.d
printf '[Service]\nRestartSec=1s\n' > /etc/systemd/system/dato-mirror.service.d/quick.conf
systemctl daemon-reload
systemctl kill -s KILL dato-mirror
echo three > /srv/brand/three.txt
until_true has_md5 /srv/brand/three.txt || fail "it did not come back"
[ "$(systemctl show -P NRestarts dato-mirror)" = 1 ] || fail "restarts: $(systemctl show -P NRestarts dato-mirror)"

step "upgraded: a service that runs is restarted, and only that"
pid() { systemctl show -P MainPID dato-mirror; }
before=$(pid)
dpkg -i /package.deb > /dev/null
[ "$(pid)" != "$before" ] && [ "$(systemctl is-active dato-mirror)" = active ] || fail "the upgrade did not restart it"
echo four > /srv/brand/four.txt
until_true has_md5 /srv/brand/four.txt || fail "it does not mirror after the upgrade"

step "stopped: a clean end"
systemctl stop dato-mirror
[ "$(systemctl show -P Result dato-mirror)/$(systemctl show -P ExecMainStatus dato-mirror)" = success/0 ] || fail "no clean end"
journal | grep -qF sandbox-secret && fail "a secret in the journal"
systemd-analyze security --no-pager dato-mirror | tail -1

step "the user unit"
useradd -m designer
uid=$(id -u designer)
systemctl start "user@$uid"
as() { runuser -u designer -- env XDG_RUNTIME_DIR="/run/user/$uid" HOME=/home/designer "$@"; }
as mkdir -p /home/designer/.config/dato-mirror /home/designer/brand
as sh -c 'umask 077; echo sandbox > ~/.config/dato-mirror/token; echo designed > ~/brand/logo.svg'
as sh -c "cat > ~/.config/dato-mirror/config.toml" <<CONFIG
[api]
base_url = "$area"
token_file = "token"
[[mirror]]
name = "mine"
root = "/home/designer/brand"
settle = "500ms"
tags = ["brand"]
[[mirror.rule]]
match = "logos/**"
tags = ["logo"]
CONFIG
as systemctl --user enable --quiet --now dato-mirror || fail "the user unit does not start: $(as systemctl --user status dato-mirror)"
until_true has_md5 /home/designer/brand/logo.svg || fail "the user's file is not mirrored"
as sh -c 'echo anew > ~/brand/logo.svg'
until_true has_md5 /home/designer/brand/logo.svg || fail "the user's change did not arrive"

step "a rule, a sidecar file, a file that fails: found with status, mended by its advice"
as sh -c 'mkdir ~/brand/logos; echo mark > ~/brand/logos/mark.svg; printf "[alt]\nen = \"Our mark\"\n" > ~/brand/logos/mark.svg.meta.toml'
marked() { assets | grep -q '"Our mark"' && assets | grep -q '"logo"'; }
until_true marked || fail "the rule or the sidecar file did not arrive"
as sh -c 'echo secret > ~/brand/closed.txt; chmod 000 ~/brand/closed.txt'
told() { as dato-mirror status | grep -q closed.txt; }
until_true told || fail "status does not tell of the file: $(as dato-mirror status)"
as dato-mirror status
as chmod 644 /home/designer/brand/closed.txt
until_true has_md5 /home/designer/brand/closed.txt || fail "not mirrored after it was mended"
untold() { ! told; }
until_true untold || fail "still told: $(as dato-mirror status)"
as dato-mirror explain /home/designer/brand/logos/mark.svg
as systemctl --user stop dato-mirror
[ "$(as systemctl --user show -P Result dato-mirror)" = success ] || fail "no clean end of the user unit"

step "removed: units and binary are gone, the configuration stays"
dpkg -r dato-mirror > /dev/null
[ ! -e /usr/bin/dato-mirror ] && [ -e /etc/dato-mirror/config.toml ] || fail "the removal"
step "purged: the example and the index are gone as well; what a person wrote stays"
dpkg --purge dato-mirror > /dev/null
for gone in /etc/dato-mirror/config.example.toml /var/lib/dato-mirror /var/lib/private/dato-mirror \
    /etc/systemd/system/multi-user.target.wants/dato-mirror.service; do
    [ ! -e "$gone" ] && [ ! -L "$gone" ] || fail "$gone is left"
done
[ -e /etc/dato-mirror/config.toml ] && [ -e /etc/dato-mirror/token ] || fail "the configuration went"
echo "the day is over"
