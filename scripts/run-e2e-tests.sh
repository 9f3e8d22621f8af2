#!/usr/bin/env bash
# The main job, end to end: install what is missing, then create, converge, verify and destroy the default scenario.
#
# usage: scripts/run-e2e-tests.sh [OPTIONS OF harness test]
#
# Without options: harness test -s default. CI=1 asks nothing.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
esac
[ $# -gt 0 ] || set -- -s default

"$PROJECT/scripts/setup-e2e-env.sh"
cd "$PROJECT"
exec "$PROJECT/.venv/bin/harness" test "$@"
