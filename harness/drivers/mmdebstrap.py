"""Building a root file system with mmdebstrap."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.drivers import apt_sources
from harness.errors import ImageFailed
from harness.sandbox.command import program

_SCRATCH_BYTES = 3 << 30
_SHARED_MEMORY = Path("/dev/shm")


def build(
    suite: str,
    packages: Sequence[str],
    scratch: Path,
    tar: Path,
    tell: Callable[[str], None],
    *,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Write the root file system of `suite` with `packages` to `tar`; `scratch` is a folder to work in, `options` are
    more of mmdebstrap's, and `env` is added for the packages' own scripts.

    Raises ImageFailed with mmdebstrap's last words.
    """
    sources = scratch / "debian.sources"
    own = apt_sources.for_suite(suite)
    sources.write_text(own)
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *apt_sources.proxy_options(),
        *options,
        suite,
        str(tar),
        # Where this machine is no Debian of that suite (Ubuntu, say), mmdebstrap knows Debian's own mirrors.
        *([str(sources)] if own else []),
    ]
    environment = {**os.environ, **(env or {})}
    if os.geteuid() == 0:
        work = scratch / "work"
        work.mkdir()
        environment["TMPDIR"] = str(work)
        if _available_memory() > _SCRATCH_BYTES:
            # dpkg syncs every file: on disk this takes twice as long.
            command = program("scratch", [str(work), str(_SCRATCH_BYTES - (1 << 30)), "--", *command])
    elif _available_memory() > _SCRATCH_BYTES and _is_roomy(_SHARED_MEMORY):
        environment["TMPDIR"] = str(_SHARED_MEMORY)
    _run(command, environment, suite, tell)


def _cure(words: str) -> str:
    if "chroot mode" in words:  # it has looked for root's rights and for a range of user ids (mmdebstrap(1), MODES)
        return "build it as root, or with uidmap installed and a range for this user in /etc/subuid and /etc/subgid"
    return "can `apt-get update` reach the package sources of this machine?"


def _run(command: Sequence[str], environment: Mapping[str, str], suite: str, tell: Callable[[str], None]) -> None:
    last: list[str] = []
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdout is not None
    try:
        for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            last = [*last[-9:], line]
            if line.startswith("I: "):
                tell(line[3:])
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        process.stdout.close()
    if status != 0:
        raise ImageFailed(
            f"building {suite}: mmdebstrap ended with {status}: " + "\n".join(last),
            hint=_cure("\n".join(last)),
        )


def _is_roomy(folder: Path) -> bool:
    """Whether an ordinary user's mmdebstrap can work there: writable, big enough, and programs may run."""
    try:
        seen = os.statvfs(folder)
    except OSError:
        return False
    forbidden = seen.f_flag & (os.ST_NODEV | os.ST_NOEXEC)
    return not forbidden and seen.f_bavail * seen.f_frsize > _SCRATCH_BYTES and os.access(folder, os.W_OK)


def _available_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
