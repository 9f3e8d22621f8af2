# Sourced by the other scripts: where the project is, and how they speak.
# shellcheck shell=bash

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by those who source this
PYTHON=$PROJECT/.venv/bin/python
# The tools that this project starts (pytest, cargo, Ansible) find its own Python and rustup's Rust first.
export PATH="$PROJECT/.venv/bin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"

say() { printf '%s\n' "$*"; }
step() { printf '\n==> %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
    exit 2
}

# The comment at the top of the calling script is its help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed for: $*" "run it as root, or install sudo"
    fi
}
