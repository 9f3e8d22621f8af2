#!/usr/bin/env bash
# The long sweeps: 10,000 generated inputs, every test at length (50 kills at random moments; with libvirt every promise of
# a driver on virtual machines, too, and 50 rounds there and back), the scenarios 20 times over; then nothing may be left.
#
# usage: scripts/soak.sh [OPTIONS OF pytest]
#
# HARNESS_FUZZ is the number of generated inputs a test takes, HARNESS_KILLS that of kills, HARNESS_REPEAT how often each
# scenario runs, HARNESS_SCENARIOS which (default and docker; libvirt and vagrant where they are installed). A short form:
# HARNESS_FUZZ=50 HARNESS_KILLS=2 HARNESS_REPEAT=1 scripts/soak.sh tests/drivers. Virtual machines alone:
# HARNESS_KILLS=20 HARNESS_SCENARIOS="libvirt vagrant" scripts/soak.sh tests/drivers -m 'libvirt or vagrant'
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
esac

export PATH=$PATH:/usr/sbin:/sbin
scenarios=(default docker)
! command -v libvirtd >/dev/null || scenarios+=(libvirt)
! command -v vagrant >/dev/null || scenarios+=(vagrant)
[ -z "${HARNESS_SCENARIOS:-}" ] || read -r -a scenarios <<<"$HARNESS_SCENARIOS"

# What of this user's exists: others may be at work on the same daemons.
alive() {
    local cache=${HARNESS_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/harness}
    harness list --live
    docker ps --all --filter "label=harness-e2e.cache=$cache" --format '{{.Names}}' | sort
    docker network ls --filter "label=harness-e2e.cache=$cache" --format '{{.Name}}' | sort
}

"$PROJECT/scripts/start-docker.sh"
"$PROJECT/scripts/setup-e2e-env.sh"
! command -v libvirtd >/dev/null || "$PROJECT/scripts/start-libvirt.sh"
cd "$PROJECT"
before=$(alive)
step "tests at length"
HARNESS_SOAK=1 HARNESS_FUZZ=${HARNESS_FUZZ:-10000} HARNESS_KILLS=${HARNESS_KILLS:-50} pytest "$@"
for scenario in "${scenarios[@]}"; do
    step "the scenario $scenario, ${HARNESS_REPEAT:-20} times"
    for round in $(seq "${HARNESS_REPEAT:-20}"); do
        say "round $round"
        harness test -s "$scenario"
    done
done
step "nothing is left behind"
after=$(alive)
if [ "$before" != "$after" ]; then
    diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") >&2 || true
    die "something is left behind, or has gone" "harness list --live; harness destroy --orphans"
fi
