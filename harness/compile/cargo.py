"""One run of cargo: the runner's stub. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.cancellation import Cancellation
from harness.compile.targets import Target
from harness.compile.toolchain import Toolchain, find_linker, require_std
from harness.errors import CompileFailed
from harness.tool import ToolRun, run_tool

PACKAGE = "runner-stub"
"""The crate of the workspace whose one binary is the stub."""
LAST_WORDS = 40
"""Lines of cargo's own output that an error carries at most."""

CURES = {
    "No space left on device": "free some space, or set HARNESS_CACHE_DIR to a folder on another disk",
    "Permission denied|Read-only file system": "set HARNESS_CACHE_DIR to a folder that you may write to",
    "failed to (download|fetch|get)|resolve host|network failure|Unable to update|--offline": (
        "cargo could not fetch the crates that runner/Cargo.lock names: check the network, the proxy settings and"
        " CARGO_NET_OFFLINE; once they are in cargo's cache no network is needed"
    ),
    "linker `|linking with": "install a C compiler and the C library's static archive: gcc libc6-dev",
    "can't find crate for `std`|target may not be installed": "rustup target add for this target",
    "lock ?file|--locked": "runner/Cargo.lock does not fit runner/Cargo.toml: run cargo update there",
}
"""What cargo's words mean for a person; the first that fits is told."""


@dataclass(frozen=True)
class BuildJob:
    """`target_dir` is kept between builds; only one build may run in it at a time. `timeout` in seconds."""

    crate: Path
    target: Target
    toolchain: Toolchain
    profile: str
    target_dir: Path
    timeout: float
    features: tuple[str, ...] = ()
    on_line: Callable[[str], None] | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)


def rustflags(target: Target) -> tuple[str, ...]:
    """Beside the target's own: no path of this machine gets into a binary that travels."""
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path("~/.cargo").expanduser())
    return (*target.rustflags, f"--remap-path-prefix={cargo_home}=cargo")


def build(job: BuildJob) -> Path:
    """Run cargo and return the executable it made. Raises ToolchainMissing, CompileFailed with cargo's last words."""
    find_linker()
    require_std(job.toolchain, job.target.triple, job.crate)
    argv = [
        *(str(job.toolchain.cargo), "build", "--locked", "--message-format=json-render-diagnostics"),
        *("--package", PACKAGE, "--bins"),
        # With --target the flags are for the runner only, not for build scripts and macros, which must stay dynamic.
        *("--target", job.target.triple),
        *("--manifest-path", str(job.crate / "Cargo.toml")),
        *(["--release"] if job.profile == "release" else []),
        *(["--features", ",".join(job.features)] if job.features else []),
    ]
    told: deque[str] = deque(maxlen=400)
    made: list[Path] = []

    def hear(line: str) -> None:
        told.append(line.rstrip())
        if job.on_line is not None:
            job.on_line(line.strip())

    status = run_tool(
        ToolRun(
            name="cargo",
            command=argv,
            env=_environment(job),
            cwd=job.crate,
            timeout=job.timeout,
            on_stdout=lambda line: made.extend(_executable(line)),
            on_stderr=hear,
            cancellation=job.cancellation,
            failure=CompileFailed,
        )
    )
    if status != 0 or len(made) != 1:
        raise _failure(status, list(told), made)
    return made[0]


def _environment(job: BuildJob) -> Mapping[str, str]:
    """This process's, without what would turn the build into another one than the store's key says."""
    ours = {
        key: value
        for key, value in os.environ.items()
        if key not in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS")
        and not key.startswith("CARGO_PROFILE_")
    }
    return ours | {
        "CARGO_TARGET_DIR": str(job.target_dir),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(rustflags(job.target)),
        "CARGO_TERM_COLOR": "never",
        "RUSTC": str(job.toolchain.rustc),
    }


def _executable(line: str) -> list[Path]:
    """https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages"""
    try:
        message = json.loads(line)
    except ValueError:
        # A macro may print what it likes, and a cargo that is stopped ends in the midst of a line.
        return []
    if isinstance(message, dict) and message.get("reason") == "compiler-artifact" and message.get("executable"):
        return [Path(message["executable"])]
    return []


def _failure(status: int, told: list[str], made: list[Path]) -> CompileFailed:
    if status == 0:
        return CompileFailed(f"cargo made {len(made)} executables where one is expected")
    words = [line for line in told if line and not line.startswith(("   Compiling", " Downloading", "  Downloaded"))]
    text = "\n".join(words[-LAST_WORDS:])
    return CompileFailed(f"cargo build ended with exit status {status}:\n{text}", hint=cure(text))


def cure(words: str) -> str | None:
    """What to do about what cargo has said."""
    return next((cure for signs, cure in CURES.items() if re.search(signs, words)), None)
