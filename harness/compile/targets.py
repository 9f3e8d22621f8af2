"""Target triples: which one fits a machine, and what a binary for it looks like."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ToolchainMissing, UsageError

if TYPE_CHECKING:
    from harness.models.facts import Facts

ARCHES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
"""Other names of the architectures, as `platform.machine()` and Docker give them."""


@dataclass(frozen=True)
class Target:
    """`rustflags` are what a self-contained binary needs; `static` says that nothing may be linked dynamically."""

    triple: str
    os: str
    arch: str
    binary_format: str
    static: bool = False
    rustflags: tuple[str, ...] = ()


def _linux(arch: str, libc: str) -> Target:
    # Static with glibc as well, so that one binary runs wherever the kernel and the architecture fit.
    # https://doc.rust-lang.org/reference/linkage.html#static-and-dynamic-c-runtimes
    # A sixth less to push: what never moves needs no relocations, what aborts in a panic nothing to unwind itself by.
    options = ("target-feature=+crt-static", "relocation-model=static", "force-unwind-tables=no")
    flags = tuple(word for option in options for word in ("-C", option))
    return Target(f"{arch}-unknown-linux-{libc}", "linux", arch, "elf", True, flags)


TARGETS: dict[str, Target] = {
    target.triple: target
    for target in (
        _linux("x86_64", "gnu"),
        _linux("x86_64", "musl"),
        _linux("aarch64", "gnu"),
        _linux("aarch64", "musl"),
        Target("x86_64-apple-darwin", "macos", "x86_64", "mach-o"),
        Target("aarch64-apple-darwin", "macos", "aarch64", "mach-o"),
        Target("x86_64-pc-windows-gnu", "windows", "x86_64", "pe"),
        Target("aarch64-pc-windows-gnullvm", "windows", "aarch64", "pe"),
    )
}


def known_target(triple: str) -> Target:
    """Raises UsageError for a triple that is not in the table."""
    if triple in TARGETS:
        return TARGETS[triple]
    from difflib import get_close_matches

    near = get_close_matches(triple, TARGETS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no target {triple!r}", hint=f"{hint}known: {', '.join(TARGETS)}")


def normal_arch(machine: str) -> str:
    """The architecture as a target triple spells it."""
    machine = machine.lower()
    return ARCHES.get(machine, machine)


def host_target() -> str:
    """The triple of the machine this process runs on. Raises ToolchainMissing for one that has none here."""
    arch = normal_arch(platform.machine())
    if sys.platform == "linux":
        triple = f"{arch}-unknown-linux-{'musl' if _musl() else 'gnu'}"
    elif sys.platform == "darwin":
        triple = f"{arch}-apple-darwin"
    elif sys.platform == "win32":
        triple = f"{arch}-pc-windows-{'gnullvm' if arch == 'aarch64' else 'gnu'}"
    else:
        triple = f"{arch}-{sys.platform}"
    if triple not in TARGETS:
        raise ToolchainMissing(
            f"this machine ({triple}) is none that a runner is compiled for", hint=f"known: {', '.join(TARGETS)}"
        )
    return triple


def target_for(facts: Facts) -> str:
    """The triple whose binary runs on a platform with these facts. Raises ToolchainMissing when there is none.

    A Linux runner is static: one built here also runs on a platform of this architecture with another libc.
    """
    arch = normal_arch(facts.arch)
    here = TARGETS.get(host_target())
    if here is not None and (here.os, here.arch) == (facts.os, arch):
        return here.triple
    for target in TARGETS.values():
        # Elsewhere musl: it links statically without a libc of that architecture installed here.
        if (target.os, target.arch) == (facts.os, arch) and not target.triple.endswith("linux-gnu"):
            return target.triple
    raise ToolchainMissing(
        f"no target triple is known for {facts.os} on {facts.arch}", hint=f"known: {', '.join(TARGETS)}"
    )


def require_supported(triple: str) -> Target:
    """The target, when a runner can be compiled for it here; else raises ToolchainMissing that names what is needed.

    Cross compilation hooks in here: for now only this machine's own operating system and architecture.
    """
    target = known_target(triple)
    here = known_target(host_target())
    if (target.os, target.arch, target.binary_format) == (here.os, here.arch, here.binary_format):
        return target
    raise ToolchainMissing(
        f"cannot compile for {triple} on this machine ({here.triple}) yet",
        hint=f"it would need Rust's standard library and a linker for {triple}; leave --target out, or run the"
        f" harness on {target.os} {target.arch}",
    )


def _musl() -> bool:
    return any(Path("/lib").glob("ld-musl-*"))
