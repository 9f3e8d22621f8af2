#!/usr/bin/env bash
# The project's own checks: ruff, mypy (the package for Linux, Windows and macOS), cargo fmt, clippy and test, then pytest.
#
# usage: scripts/run-tests.sh [OPTIONS OF pytest]
#
# Installs what is missing first. CI=1 asks nothing. Stops at the first check that fails.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
--help | -h) usage && exit 0 ;;
esac

"$PROJECT/scripts/setup-e2e-env.sh"
cd "$PROJECT"

step "ruff"
ruff check .
ruff format --check .
step "mypy: all of it here, the package for the other systems"
mypy
for platform in linux win32 darwin; do
    [ "$platform" = "$("$PYTHON" -c 'import sys; print(sys.platform)')" ] ||
        mypy --platform "$platform" --cache-dir ".mypy_cache/$platform" harness
done

step "the runner: rustfmt, clippy, tests"
cd "$PROJECT/runner"
cargo fmt --all --check
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
cargo clippy --quiet --locked --package runner-stub --features mutants -- -D warnings
cargo test --quiet --locked --workspace
cd "$PROJECT"

step "pytest"
exec pytest "$@"
