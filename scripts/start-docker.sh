#!/usr/bin/env bash
# Make a Docker daemon answer, for the tests that need one: nothing to do where it does, else it is installed (apt) and
# started. For machines of CI and containers without systemd.
#
# usage: scripts/start-docker.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
"") ;;
*) die "unknown option: $1" "$(usage)" ;;
esac

answers() { curl -fs --max-time 5 --unix-socket /var/run/docker.sock http://docker/_ping >/dev/null 2>&1; }

if [ -n "${DOCKER_HOST:-}" ] || answers; then
    exit 0
fi
if ! command -v dockerd >/dev/null || ! command -v curl >/dev/null; then
    step "Docker (docker.io from apt)"
    command -v apt-get >/dev/null || die "there is no Docker daemon" "install Docker: https://docs.docker.com/engine/install/"
    as_root apt-get -q -y update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
        docker.io iptables fuse-overlayfs curl ca-certificates
fi
if ! answers; then
    step "starting dockerd"
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    else
        # A session of its own: it shall outlive this script.
        as_root setsid dockerd >"${TMPDIR:-/tmp}/dockerd.log" 2>&1 </dev/null &
    fi
fi
for _ in $(seq 150); do
    if answers; then
        exit 0
    fi
    sleep 0.2
done
tail -n 20 "${TMPDIR:-/tmp}/dockerd.log" 2>/dev/null >&2 || true
die "the Docker daemon does not answer after 30 s" "see ${TMPDIR:-/tmp}/dockerd.log, or journalctl -u docker"
