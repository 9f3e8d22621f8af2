#!/usr/bin/env bash
# The main job, end to end: install what is missing, then create, converge, verify and destroy the default scenario.
#
# usage: scripts/run-e2e-tests.sh [OPTIONS OF harness test]
#
# Without options: harness test -s default. CI=1 asks nothing. An ordinary user gets its platforms from the image debian-12
# (SITE_IMAGE in molecule/default): over this machine's own root folder only root may write what the plan writes.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
esac
[ $# -gt 0 ] || set -- -s default

"$PROJECT/scripts/setup-e2e-env.sh"
cd "$PROJECT"
[ "$(id -u)" = 0 ] || export SITE_IMAGE="${SITE_IMAGE:-debian-12}"
exec "$PROJECT/.venv/bin/harness" test "$@"
