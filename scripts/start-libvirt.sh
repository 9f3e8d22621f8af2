#!/usr/bin/env bash
# Make libvirt's daemon of the system answer, where it is installed (scripts/setup-e2e-env.sh --libvirt): nothing to do
# where it does. For machines of CI and containers without systemd.
#
# usage: scripts/start-libvirt.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export PATH=$PATH:/usr/sbin:/sbin

case ${1:-} in
--help | -h) usage && exit 0 ;;
"") ;;
*) die "unknown option: $1" "$(usage)" ;;
esac

# What libvirtd leaves to the first process it collects itself: libvirt takes a QEMU for gone when nobody has to collect
# it any more, and a first process that is no init does that late, or never. It ends with the last of them.
COLLECTING='
import ctypes, os, sys
if os.fork():
    sys.exit()
os.setsid()
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
'

answers() { as_root timeout 10 virsh --quiet --connect qemu:///system list >/dev/null 2>&1; }

if answers; then
    exit 0
fi
command -v libvirtd >/dev/null || die "libvirtd is not installed" "scripts/setup-e2e-env.sh --libvirt"
step "starting libvirtd"
if [ -d /run/systemd/system ]; then
    as_root systemctl start libvirtd
else
    # As udev leaves it (50-udev-default.rules). Where QEMU's user may not use it, libvirtd finds at every single call that
    # what it once learned of QEMU no longer holds, and learns it anew: seconds for each, minutes on a busy machine.
    if [ -e /dev/kvm ] && [ "$(stat -c %a:%G /dev/kvm)" = 600:root ] && getent group kvm >/dev/null; then
        as_root chgrp kvm /dev/kvm
        as_root chmod 660 /dev/kvm
    fi
    # virtlogd writes the consoles' logs; without systemd nobody starts it when it is needed. Both leave for sessions of
    # their own: they shall outlive this script.
    pgrep -x virtlogd >/dev/null || as_root virtlogd --daemon # one may have outlived its libvirtd
    as_root python3 -I -S -c "$COLLECTING" libvirtd --daemon </dev/null >/dev/null 2>&1
fi
for _ in $(seq 150); do
    if answers; then
        exit 0
    fi
    sleep 0.2
done
die "libvirtd does not answer after 30 s" "see /var/log/libvirt, or journalctl -u libvirtd; libvirtd --verbose tells why"
