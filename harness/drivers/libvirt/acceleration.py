"""KVM or QEMU's own emulation. /dev/kvm may be there, and even make a machine, and still not run a stock kernel: only a
boot proves it. The kernel that is booted has no root file system, and says so when it has come that far."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.models.serde import StrictModel

SLOWNESS = 10.0
"""How many times longer everything may take without KVM."""
_ENOUGH = 30.0
"""Seconds; a kernel that runs is there in one or two."""
_PROOF = b"Unable to mount root fs"
Kind = Literal["kvm", "qemu"]


class Verdict(StrictModel):
    """`why` KVM does not do, in words; None where it does. `created` in Unix seconds."""

    why: str | None
    created: float


@dataclass(frozen=True)
class Choice:
    kind: Kind
    why: str = ""
    """Why not KVM."""

    @property
    def emulated(self) -> bool:
        return self.kind == "qemu"


def choose(wanted: Literal["auto", "kvm", "tcg"], arch: str, emulator: str, kernel: Path | None) -> Choice:
    """`kernel`: one to try it with, of this machine's architecture."""
    if wanted == "tcg":
        return Choice("qemu", "`acceleration: tcg` asks for it")
    if wanted == "kvm":
        return Choice("kvm")
    if arch != platform.machine():
        return Choice("qemu", f"a guest of {arch} on {platform.machine()}")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        there = Path("/dev/kvm").exists()
        return Choice("qemu", "/dev/kvm is not for this user" if there else "there is no /dev/kvm")
    verdict = _known(emulator)
    if verdict is None:
        kernel = kernel or _host_kernel()
        if kernel is None:
            return Choice("qemu", "there is no kernel to try KVM with")
        verdict = Verdict(why=try_out(emulator, arch, kernel), created=time.time())
        write_atomically(_place(emulator), verdict.model_dump_json())
    return Choice("kvm") if verdict.why is None else Choice("qemu", verdict.why)


def _known(emulator: str) -> Verdict | None:
    try:
        return Verdict.model_validate_json(_place(emulator).read_text())
    except (OSError, ValidationError):
        return None


def _place(emulator: str) -> Path:
    """Another one for every boot of another kernel, and every other QEMU."""
    parts = [platform.node(), platform.release(), platform.machine(), emulator, str(_stamp(Path(emulator)))]
    return cache_dir() / "libvirt" / "kvm" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _host_kernel() -> Path | None:
    mine = Path(f"/boot/vmlinuz-{platform.release()}")
    found = [mine, *sorted(Path("/boot").glob("vmlinuz-*"), reverse=True)]
    return next((path for path in found if os.access(path, os.R_OK)), None)


def try_out(emulator: str, arch: str, kernel: Path, *, accelerator: str = "kvm") -> str | None:
    """None when the kernel came up; else what was seen in its place."""
    machine = "virt" if arch == "aarch64" else "pc"
    console = "ttyAMA0" if arch == "aarch64" else "ttyS0"
    command = [
        *(emulator, "-nodefaults", "-no-user-config", "-display", "none", "-machine", machine, "-accel", accelerator),
        *("-cpu", "host" if accelerator == "kvm" else "max", "-m", "256", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(kernel), "-append", f"console={console} panic=-1"),
    ]
    if shutil.which(emulator) is None:
        return f"{emulator} is missing"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ENOUGH, check=False, cwd="/"
        )
        said, words = done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        said, words = error.stdout or b"", b"it hung"
    if _PROOF in said:
        return None
    last = (words.strip() or said.strip() or b"it said nothing").decode(errors="replace").splitlines()[-1]
    return f"/dev/kvm is there, but a kernel does not boot with it: {last.strip()}"
