#!/usr/bin/env bash
# The long sweeps: 10,000 generated inputs, every test at length, the default scenario 20 times over.
#
# usage: scripts/soak.sh [OPTIONS OF pytest]
#
# HARNESS_FUZZ is the number of generated inputs a test takes, HARNESS_REPEAT how often the default scenario runs.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
esac

"$PROJECT/scripts/setup-e2e-env.sh"
cd "$PROJECT"
step "tests at length"
HARNESS_SOAK=1 HARNESS_FUZZ=${HARNESS_FUZZ:-10000} pytest "$@"
step "the default scenario, ${HARNESS_REPEAT:-20} times"
for round in $(seq "${HARNESS_REPEAT:-20}"); do
    say "round $round"
    harness test -s default
done
step "nothing is left behind"
harness list --live
