#!/usr/bin/env bash
# Remove what end-to-end runs left on this machine: instances of this project, orphans of dead runs, logs and state.
#
# usage: scripts/cleanup-e2e.sh [--cache]
#
# --cache also removes what all projects share: compiled runners and root file systems.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cache=no
for argument in "$@"; do
    case $argument in
    --cache) cache=yes ;;
    --help | -h) usage && exit 0 ;;
    *) die "unknown option: $argument" "$(usage)" ;;
    esac
done

[ -x "$PROJECT/.venv/bin/harness" ] || die "the harness is not installed here" "scripts/setup-e2e-env.sh"
cd "$PROJECT"
step "instances of this project"
harness destroy --all
step "orphans of dead runs"
harness destroy --orphans
rm -rf "$PROJECT/.harness"
if [ "$cache" = yes ]; then
    step "images and compiled runners"
    harness images prune --all
    # Only what is ours: HARNESS_CACHE_DIR may name a folder that holds other things too.
    rm -rf "$("$PYTHON" -c 'from harness.cache import cache_dir; print(cache_dir())')/store"
fi
