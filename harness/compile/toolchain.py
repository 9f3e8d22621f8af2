"""Finding cargo, rustc and a linker. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, ToolchainMissing

INSTALL_RUST = (
    "install Rust: `apt-get install cargo-web rustc-web` on Debian 12, `apt-get install cargo rustc` where that is"
    " new enough, or rustup from https://rustup.rs; scripts/setup-e2e-env.sh does it in a checkout"
)
INSTALL_LINKER = {
    "linux": "install a C compiler: `apt-get install gcc libc6-dev`, or gcc and the static C library",
    "darwin": "install Apple's command line tools: xcode-select --install",
    "win32": "install MinGW-w64, or Visual Studio's build tools",
}
QUICK = 60.0
"""Seconds that a compiler may take to tell its version (rustup may have to fetch it first)."""


@dataclass(frozen=True)
class Toolchain:
    """`version` is rustc's whole first line, which also tells the commit; `host` its own triple."""

    cargo: Path
    rustc: Path
    version: str
    release: tuple[int, ...]
    host: str


def find_toolchain(crate: Path) -> Toolchain:
    """The first cargo and rustc, side by side, that work and are new enough for the crate.

    Looked for on PATH and where rustup puts them, and asked in the crate's folder: rustup's choice depends on it.
    Raises ToolchainMissing that tells of every one that was found.
    """
    minimum = minimum_version(crate)
    wanted = ".".join(map(str, minimum))
    refused: list[str] = []
    for cargo, rustc in _candidates():
        try:
            toolchain = _ask(cargo, rustc, crate)
        except HarnessError as error:
            refused.append(error.message)
            continue
        if toolchain.release >= minimum:
            return toolchain
        refused.append(f"{rustc} is {toolchain.version!r}, too old")
    need = f"Rust {wanted} or newer" if wanted else "Rust"
    if not refused:
        raise ToolchainMissing(f"{need} is needed and cargo with rustc is not on PATH", hint=INSTALL_RUST)
    raise ToolchainMissing(f"{need} is needed: {'; '.join(refused)}", hint=INSTALL_RUST)


def described(rustc: Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """All that it says of itself: version, commit, host and LLVM. `env` is its whole environment. Raises
    ToolchainMissing."""
    asked = _run([str(rustc), "-vV"], cwd, env)
    if asked.returncode != 0 or not asked.stdout.strip():
        words = (asked.stderr.strip() or asked.stdout.strip() or f"exit {asked.returncode}").splitlines()[-1]
        raise ToolchainMissing(f"{rustc} does not work: {words}", hint=INSTALL_RUST)
    return asked.stdout


def minimum_version(crate: Path) -> tuple[int, ...]:
    """`rust-version` of the crate's or workspace's Cargo.toml; empty when it names none.

    Raises ToolchainMissing where there is no crate.
    """
    manifest = crate / "Cargo.toml"
    try:
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ToolchainMissing(
            f"the runner's sources cannot be read: {manifest}: {error}",
            hint="install the harness again, or restore runner/ in the checkout",
        ) from error
    package = document.get("package") or document.get("workspace", {}).get("package", {})
    return release_of(str(package.get("rust-version", "")))


def release_of(text: str) -> tuple[int, ...]:
    """The first dotted version number in a text, as numbers."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def find_linker() -> Path:
    """The C compiler that rustc links with. Raises ToolchainMissing."""
    named = os.environ.get("CC")
    for name in ([named] if named else []) + ["cc", "gcc", "clang"]:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ToolchainMissing(
        "Rust needs a linker, and there is no C compiler (cc) on PATH", hint=INSTALL_LINKER.get(sys.platform)
    )


def require_std(toolchain: Toolchain, triple: str, crate: Path) -> None:
    """Raises ToolchainMissing when the toolchain has no standard library for the target."""
    asked = _run([str(toolchain.rustc), "--print", "target-libdir", "--target", triple], crate)
    folder = Path(asked.stdout.strip())
    if asked.returncode == 0 and any(folder.glob("libstd-*.rlib")):
        return
    raise ToolchainMissing(
        f"{toolchain.version} at {toolchain.rustc} has no standard library for {triple}",
        hint=f"rustup target add {triple}, or leave --target out to compile for {toolchain.host}",
    )


def _candidates() -> Iterator[tuple[Path, Path]]:
    suffix = ".exe" if sys.platform == "win32" else ""
    rustup = Path(os.environ.get("CARGO_HOME") or Path("~/.cargo").expanduser())
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    seen: set[Path] = set()
    for folder in [*folders, rustup / "bin"]:
        cargo, rustc = folder / f"cargo{suffix}", folder / f"rustc{suffix}"
        if cargo not in seen and os.access(cargo, os.X_OK) and os.access(rustc, os.X_OK):
            seen.add(cargo)
            yield cargo, rustc


def _ask(cargo: Path, rustc: Path, cwd: Path) -> Toolchain:
    told = described(rustc, cwd)
    lines = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    release = release_of(lines.get("release", ""))
    if not release:
        raise ToolchainMissing(f"{rustc} does not work: it says {told.splitlines()[-1]}")
    return Toolchain(cargo, rustc, told.splitlines()[0], release, lines.get("host", ""))


def _run(argv: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=QUICK,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolchainMissing(f"{argv[0]} did not answer within {QUICK:.0f} seconds") from error
    except OSError as error:
        raise ToolchainMissing(f"{argv[0]} cannot be started: {error.strerror or error}") from error
