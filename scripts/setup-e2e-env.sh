#!/usr/bin/env bash
# Install what the harness, its tests and its end-to-end runs need, and nothing that is there already.
#
# usage: scripts/setup-e2e-env.sh [--yes] [--libvirt] [--vagrant]
#
# --libvirt brings virtual machines, too: QEMU, libvirt, libvirt-python, and a libvirtd where none runs. --vagrant brings
# Vagrant with vagrant-libvirt beside all that.
#
# System packages come from apt (Debian, Ubuntu); Rust from rustup where it is installed, else from apt; Python
# packages go into .venv here. It says what it will install and why, asks on a terminal, and goes on without asking
# with --yes, where CI is set, or as root without a terminal (a container, a provisioning script).
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

consent=ask
extras=docker,ssh,ansible,vagrant
machines="" # whether virtual machines are wanted
vagrant=""
for argument in "$@"; do
    case $argument in
    --yes | -y) consent=yes ;;
    --libvirt) machines=yes extras+=,libvirt ;;
    --vagrant) machines=yes vagrant=yes extras+=,libvirt ;;
    --help | -h) usage && exit 0 ;;
    *) die "unknown option: $argument" "$(usage)" ;;
    esac
done

packages=() # what apt shall install
machine_packages=() # the same, of virtual machines
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
    [ -z "$machines" ] || look_for_machines
    [ -z "$vagrant" ] || look_for_vagrant
    look_for_rust
}

look_for_machines() {
    local emulator=qemu-system-x86
    [ "$(uname -m)" != aarch64 ] || emulator=qemu-system-arm
    have "qemu-system-$(uname -m)" || want_machine $emulator "runs virtual machines"
    have qemu-img || want_machine qemu-utils "makes their disks"
    if ! have libvirtd && [ ! -x /usr/sbin/libvirtd ]; then
        want_machine libvirt-daemon-system "looks after them"
        want_machine libvirt-daemon-driver-qemu "its part for QEMU"
    fi
    have virsh || want_machine libvirt-clients "for a look at them by hand"
    pkg-config --exists libvirt 2>/dev/null || want_machine libvirt-dev "libvirt-python is compiled against it"
    have pkg-config || want_machine pkg-config "libvirt-python is compiled with it"
    have dnsmasq || [ -x /usr/sbin/dnsmasq ] || want_machine dnsmasq-base "networks of theirs: addresses and names"
    have iptables || [ -x /usr/sbin/iptables ] || want_machine iptables "networks of theirs: a way out"
    [ -e /usr/share/OVMF ] || want_machine ovmf "guests that boot by UEFI"
    have mkfs.ext4 || [ -x /sbin/mkfs.ext4 ] || want_machine e2fsprogs "makes the debian-12 disk"
    has_headers || want_machine python3-dev "libvirt-python is compiled against it"
}

look_for_vagrant() {
    have vagrant || want_machine vagrant "machines from Vagrantfiles"
    compgen -G '/usr/share/vagrant-plugins/plugins.d/*libvirt*' >/dev/null ||
        want_machine vagrant-libvirt "its provider"
    compgen -G '/usr/lib/*/libvirt/connection-driver/libvirt_driver_storage.so' >/dev/null ||
        want_machine libvirt-daemon-driver-storage "the pool that vagrant-libvirt keeps disks in"
    [ -e /usr/lib/grub/i386-pc/boot.img ] || want_machine grub-pc-bin "the boot loader of boxes that are built here"
    have grub-mkimage || want_machine grub-common "the boot loader of boxes that are built here"
}

# Of the Python that .venv is, or will be, made with.
has_headers() {
    local python=$PYTHON
    [ -x "$python" ] || python=$(find_python) || return 1
    "$python" -c 'import pathlib, sysconfig as s; (pathlib.Path(s.get_path("include")) / "Python.h").stat()' 2>/dev/null
}

want_machine() { # PACKAGE WHY
    machine_packages+=("$1")
    reasons+=("$1: $2")
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

# QEMU and its tools come from one suite: where qemu-utils is there from backports already, the others are refused from
# the release itself ("held broken packages").
suite_of_machines() {
    case $(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null) in
    *~bpo*) (. /etc/os-release && say "$VERSION_CODENAME-backports") ;;
    esac
}

install_machines() {
    local suite mirror
    suite=$(suite_of_machines)
    if [ -n "$suite" ]; then
        if ! apt-cache policy | grep -q "n=$suite"; then
            mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/\?$')
            as_root tee /etc/apt/sources.list.d/harness-backports.sources >/dev/null <<END
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
            apt update
        fi
        set -- --target-release "$suite"
    elif at_least "10" "$(candidate libvirt-daemon-system)"; then
        # Before libvirt 10 the storage driver was no package of its own, but in libvirt-daemon (Debian 12).
        local package kept=()
        for package in "${machine_packages[@]}"; do
            [ "$package" = libvirt-daemon-driver-storage ] || kept+=("$package")
        done
        machine_packages=("${kept[@]}")
    fi
    [ ${#machine_packages[@]} = 0 ] || apt install --no-install-recommends "$@" "${machine_packages[@]}"
}

install_system() {
    if [ ${#packages[@]} -gt 0 ] || [ ${#machine_packages[@]} -gt 0 ] || [ "$rust" = apt ]; then
        have apt-get ||
            die "this script installs with apt-get only" "install by hand: ${packages[*]} ${machine_packages[*]} and Rust"
        apt update
        [ "$rust" != apt ] || choose_apt_rust
        [ ${#packages[@]} = 0 ] || apt install --no-install-recommends "${packages[@]}"
        [ ${#machine_packages[@]} = 0 ] || install_machines
    fi
    case $rust in
    rustup) rustup toolchain install stable --profile minimal --component clippy,rustfmt && rustup default stable ;;
    components) rustup component add clippy rustfmt ;;
    esac
}

# .venv holds the project (editable) and its development tools; the stamp says for which pyproject.toml.
install_python() {
    local stamp=$PROJECT/.venv/.harness-setup wanted
    # What was asked for once stays: a later call without it takes nothing away.
    [ -n "$machines" ] || ! grep -q ',libvirt' "$stamp" 2>/dev/null || extras+=,libvirt
    wanted="$(cksum <"$PROJECT/pyproject.toml") $PROJECT $extras"
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
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "${PROJECT}[$extras]" \
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
[ -z "$machines" ] || "$PROJECT/scripts/start-libvirt.sh"
