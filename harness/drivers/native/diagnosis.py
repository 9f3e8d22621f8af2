"""Why there can be no sandbox here, and what to do about it."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.drivers.base import PlatformSpec
from harness.drivers.native import identity
from harness.drivers.native.options import NativeOptions
from harness.errors import DriverFailed, Problem
from harness.sandbox import privileges
from harness.sandbox.chroot import IN_A_CHROOT
from harness.sandbox.command import program

_IN_CONTAINER = "start the container with --cap-add SYS_ADMIN --security-opt seccomp=unconfined"
_AS_A_USER = (
    "start the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined "
    "(Podman: --security-opt unmask=ALL in place of the latter), or run as root there"
)
"""A user name space may mount /proc only where no part of the container's own is masked (mount_namespaces(7))."""
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_MOST = Path("/proc/sys/user/max_user_namespaces")


def diagnose() -> list[Problem]:
    """Tries, in a process of its own, what a sandbox needs."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        done = subprocess.run(
            program("probe", [folder, *(["root"] if root else [])]), capture_output=True, text=True, check=False
        )
    words = done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]
    return [] if words == "ok" else [Problem("native driver", f"no sandbox can be made here: {words}", cure(words))]


def limits() -> list[Problem]:
    """What ordinary users lack, and a view of this host does not need."""
    if os.geteuid() == 0 or not identity.for_this_user().single:
        return []
    words = "an image has only the user root here: no other user ids are available"
    return [Problem("native driver", words, _ids_cure())]


def obstacles() -> list[Problem]:
    """`diagnose`, but once: a sandbox that could be made under the same circumstances can be made again. Should that be
    wrong for once, its creation fails with the same words."""
    stamp = cache_dir() / "native" / "tried"
    here = _circumstances()
    with suppress(OSError):
        if stamp.read_text() == here:
            return []
    problems = diagnose()
    if not problems:
        with suppress(OSError):
            write_atomically(stamp, here)
    return problems


def _circumstances() -> str:
    """This boot, this root folder, and what this process may do."""
    status = Path("/proc/self/status").read_text().splitlines()
    rights = [line for line in status if line.startswith(("Uid", "Cap", "NoNewPrivs", "Seccomp"))]
    spaces = [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("mnt", "user", "pid")]
    root = Path("/").stat()
    limits = [str(_number(path)) for path in (_APPARMOR, _CLONE, _MOST)]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "\n".join([boot, f"{root.st_dev}:{root.st_ino}", *spaces, *limits, *rights])


def _ids_cure() -> str:
    if identity.missing_helper():
        return "apt-get install uidmap"
    return f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {os.environ.get('USER', '$USER')}"


def in_container() -> bool:
    """Docker, Podman and systemd-nspawn each leave a trace."""
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    try:
        return b"container=" in Path("/proc/1/environ").read_bytes()
    except OSError:
        return False


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def cure(words: str) -> str:
    """What to do about the step that failed with these words."""
    if IN_A_CHROOT in words:
        return "run harness outside the chroot, or enter that tree as a container (docker, podman, systemd-nspawn)"
    if "Too many open files" in words:
        return "this process may open too few files: ulimit -n 1024"
    if os.geteuid() != 0:
        if _number(_MOST) == 0:
            return "user name spaces are switched off: sudo sysctl user.max_user_namespaces=15000; or run as root"
        if _number(_CLONE) == 0:
            return "sudo sysctl kernel.unprivileged_userns_clone=1; or run as root"
        if _number(_APPARMOR) == 1:
            return (
                "AppArmor keeps ordinary users from name spaces: "
                "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; or run as root"
            )
    if "overlay" in words:
        if "No such device" in words:
            return "the kernel has no overlay file system: modprobe overlay"
        if os.geteuid() != 0:
            return "overlays for ordinary users need Linux 5.11 or later; or run as root"
        return "put HARNESS_CACHE_DIR on a file system that an overlay can lie on, or use `upper: memory`"
    if "new" in words and "map" in words:
        return _ids_cure()
    if "No space left" in words and "name space" in words:
        return "the limit of name spaces is reached: see /proc/sys/user/max_*_namespaces"
    if os.geteuid() != 0 and (in_container() or "mount proc" in words):
        return _AS_A_USER
    if in_container() or not _holds_sys_admin():
        return _IN_CONTAINER
    return "see `harness doctor` for what this machine allows"


def _holds_sys_admin() -> bool:
    return bool(privileges.permitted() >> privileges.CAPABILITIES.index("SYS_ADMIN") & 1) or os.geteuid() != 0


def failure(platform: str, words: str) -> DriverFailed:
    """The error for a sandbox that could not be made, from the supervisor's one line."""
    return DriverFailed(
        f"{platform}: no sandbox could be made: {words or 'its supervisor ended without a word'}", hint=cure(words)
    )


def check_options(spec: PlatformSpec, options: NativeOptions) -> None:
    """What the model cannot know: the machine and the options among each other. Raises DriverFailed."""
    if spec.os != "linux":
        raise DriverFailed(f"{spec.name}: a sandbox is Linux, not {spec.os}", hint="use another driver")
    machine = os.uname().machine
    if spec.arch not in (None, machine, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine)):
        raise DriverFailed(
            f"{spec.name}: a sandbox has this machine's own architecture, {machine}, not {spec.arch}",
            hint="`driver: libvirt` emulates others, or name a machine that has it: `driver: ssh`",
        )
    if options.init == "systemd" and spec.image is None:
        raise DriverFailed(
            f"{spec.name}: `init: systemd` needs an image",
            hint="add `image: debian-12`: the host's own units must not run twice",
        )
    if options.init == "systemd" and os.geteuid() != 0:
        raise DriverFailed(f"{spec.name}: `init: systemd` needs root", hint="run harness with sudo")
    unknown = [
        name for name in options.capabilities if name.upper().removeprefix("CAP_") not in privileges.CAPABILITIES
    ]
    if unknown:
        raise DriverFailed(f"{spec.name}: there is no capability {', '.join(unknown)}", hint="see capabilities(7)")
