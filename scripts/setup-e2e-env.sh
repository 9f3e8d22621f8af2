#!/usr/bin/env bash
# Install what the harness, its tests and its end-to-end runs need, and nothing that is there already.
#
# usage: scripts/setup-e2e-env.sh [--yes]
#
# System packages come from apt (Debian, Ubuntu); Rust from rustup where it is installed, else from apt; Python
# packages go into .venv here. It says what it will install and why, asks on a terminal, and goes on without asking
# with --yes, where CI is set, or as root without a terminal (a container, a provisioning script).
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

consent=ask
for argument in "$@"; do
    case $argument in
    --yes | -y) consent=yes ;;
    --help | -h) usage && exit 0 ;;
    *) die "unknown option: $argument" "$(usage)" ;;
    esac
done

packages=() # what apt shall install
reasons=()  # the same for a person
rust=""     # what is to be done about Rust: rustup, components, apt or nothing

want() { # PACKAGE WHY
    packages+=("$1")
    reasons+=("$1: $2")
}

have() { command -v "$1" >/dev/null; }

# The sentence "A is at least B" for dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_needed() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$PROJECT/runner/Cargo.toml" | head -n 1; }

rust_is_new_enough() {
    local version
    have cargo && have rustc || return 1
    version=$(cd "$PROJECT/runner" && rustc --version 2>/dev/null | sed 's/^rustc \([0-9.]*\).*/\1/') || return 1
    [ -n "$version" ] && at_least "$version" "$(rust_needed)"
}

# The first Python that is new enough and can make virtual environments.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$name" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            say "$name"
            return
        fi
    done
    return 1
}

look() {
    [ -x "$PYTHON" ] || find_python >/dev/null ||
        want python3-venv "Python 3.11 or newer, and its virtual environments, for .venv here"
    have git || want git "finds what belongs to the project"
    have cc || want gcc "Rust links with it"
    compgen -G '/usr/lib/*/libc.a' >/dev/null || compgen -G '/usr/lib*/libc.a' >/dev/null ||
        want libc6-dev "the runner is linked statically"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || want ca-certificates "cargo and pip fetch over https"
    if [ "$(uname -s)" = Linux ]; then
        have mmdebstrap || want mmdebstrap "makes the debian-12 root file system"
        have newuidmap || want uidmap "sandboxes without root"
        have unshare || want util-linux "name spaces"
        have tar || want tar "moves file trees"
        have busybox || want busybox-static "a platform of busybox alone, for the tests"
        have ip || want iproute2 "networks of sandboxes"
        have ssh || want openssh-client "reaches platforms as Ansible does"
        [ -x /usr/sbin/sshd ] || have sshd || want openssh-server "platforms with connection: ssh that are a view of this host"
    fi
    look_for_rust
}

look_for_rust() {
    if rust_is_new_enough; then
        if have rustup && ! (cargo fmt --version && cargo clippy --version) >/dev/null 2>&1; then
            rust=components
            reasons+=("rustfmt, clippy (rustup): they check the runner")
        fi
    elif have rustup; then
        rust=rustup
        reasons+=("Rust $(rust_needed) or newer (rustup's stable toolchain): compiles the runner")
    else
        rust=apt
        reasons+=("Rust $(rust_needed) or newer (rustc-web and cargo-web, else rustc and cargo): compiles the runner")
    fi
}

ask() {
    say "The harness needs, and will install:"
    printf '  %s\n' "${reasons[@]}"
    if [ "$consent" = yes ] || [ -n "${CI:-}" ]; then
        return
    fi
    if [ -t 0 ]; then
        local answer
        read -r -p "Go on? [Y/n] " answer
        case $answer in
        "" | [yY]*) return ;;
        *) die "nothing was installed" ;;
        esac
    fi
    [ "$(id -u)" = 0 ] || die "there is no terminal to ask on" "run: scripts/setup-e2e-env.sh --yes"
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -q -y "$@"; }

candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p'; }

# Debian carries a newer Rust, made for Firefox and Chromium, beside its own.
choose_apt_rust() {
    local set version
    for set in "rustc-web cargo-web rustfmt-web rust-web-clippy" "rustc cargo rustfmt rust-clippy"; do
        version=$(candidate "${set%% *}")
        if [ -n "$version" ] && at_least "$version" "$(rust_needed)"; then
            # shellcheck disable=SC2206 # a list of words
            packages+=($set)
            return
        fi
    done
    die "no package of this system has Rust $(rust_needed) or newer" "install rustup: https://rustup.rs"
}

install_system() {
    if [ ${#packages[@]} -gt 0 ] || [ "$rust" = apt ]; then
        have apt-get || die "this script installs with apt-get only" "install by hand: ${packages[*]} and Rust"
        apt update
        [ "$rust" != apt ] || choose_apt_rust
        apt install --no-install-recommends "${packages[@]}"
    fi
    case $rust in
    rustup) rustup toolchain install stable --profile minimal --component clippy,rustfmt && rustup default stable ;;
    components) rustup component add clippy rustfmt ;;
    esac
}

# .venv holds the project (editable) and its development tools; the stamp says for which pyproject.toml.
install_python() {
    local stamp=$PROJECT/.venv/.harness-setup wanted
    wanted="$(cksum <"$PROJECT/pyproject.toml") $PROJECT"
    if [ -x "$PYTHON" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$PYTHON" -c '' 2>/dev/null; then
        return
    fi
    step "Python packages into .venv"
    if ! "$PYTHON" -c 'import pip' 2>/dev/null; then
        local python
        python=$(find_python) || die "there is no Python 3.11 or newer" "install python3.11 and python3.11-venv"
        "$python" -m venv --clear "$PROJECT/.venv"
    fi
    local requirements
    # pip reads dependency groups since 25.1 only.
    requirements=$("$PYTHON" -c '
import sys, tomllib
print("\n".join(tomllib.load(open(sys.argv[1], "rb"))["dependency-groups"]["dev"]))' "$PROJECT/pyproject.toml")
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "${PROJECT}[docker,ssh,ansible]" \
        --requirement <(printf '%s\n' "$requirements")
    printf '%s\n' "$wanted" >"$stamp"
}

look
if [ ${#reasons[@]} -gt 0 ]; then
    ask
    step "System packages"
    install_system
fi
install_python
