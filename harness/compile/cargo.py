"""One run of cargo: the runner's stub. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.cancellation import Cancellation
from harness.compile.targets import Target
from harness.compile.toolchain import Toolchain, find_linker, require_std
from harness.errors import CompileFailed, Interrupted

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


@dataclass(frozen=True, slots=True)
class BuildJob:
    """`target_dir` is kept between builds; only one build may run in it at a time. `timeout` in seconds."""

    crate: Path
    target: Target
    toolchain: Toolchain
    profile: str
    target_dir: Path
    timeout: float
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
        *_dying_with_us(),
        *(str(job.toolchain.cargo), "build", "--locked", "--message-format=json-render-diagnostics"),
        *("--package", PACKAGE, "--bins"),
        # With --target the flags are for the runner only, not for build scripts and macros, which must stay dynamic.
        *("--target", job.target.triple),
        *("--manifest-path", str(job.crate / "Cargo.toml")),
        *(["--release"] if job.profile == "release" else []),
    ]
    told: deque[str] = deque(maxlen=400)
    expired = threading.Event()
    with _start(argv, _environment(job), job.crate) as process:

        def expire() -> None:
            expired.set()
            _kill(process)

        reader = threading.Thread(target=_listen, args=(process.stderr, told, job.on_line), daemon=True)
        watchdog = threading.Timer(job.timeout, expire)
        watchdog.daemon = True
        try:
            reader.start()
            watchdog.start()
            with job.cancellation.stopping(lambda: _kill(process)):
                made = list(_executables(process.stdout or ()))
                process.wait()
            reader.join(5)
        finally:
            watchdog.cancel()
            _kill(process)
    if job.cancellation.called:
        raise Interrupted("compiling was called off")
    if expired.is_set():
        raise CompileFailed(
            f"cargo did not finish within {job.timeout:.0f} seconds and was stopped", hint="raise the time limit"
        )
    if process.returncode != 0 or len(made) != 1:
        raise _failure(process.returncode, list(told), made)
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


def _dying_with_us() -> list[str]:
    """Even after SIGKILL to this process, cargo does not go on for nobody (prctl(2), PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    # busybox has one that does not know the option.
    if setpriv is None or Path(setpriv).resolve().name == "busybox":
        return []
    return [setpriv, "--pdeathsig", "KILL", "--"]


def _start(argv: list[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CompileFailed(f"cargo cannot be started: {argv[0]}: {error.strerror or error}") from error


def _listen(stream: Iterable[str], told: deque[str], on_line: Callable[[str], None] | None) -> None:
    for line in stream:
        told.append(line.rstrip())
        if on_line is not None:
            on_line(line.strip())


def _executables(stream: Iterable[str]) -> Iterable[Path]:
    """https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages"""
    for line in stream:
        try:
            message = json.loads(line)
        except ValueError:
            # A macro may print what it likes, and a cargo that is stopped ends in the midst of a line.
            continue
        if isinstance(message, dict) and message.get("reason") == "compiler-artifact" and message.get("executable"):
            yield Path(message["executable"])


def _kill(process: subprocess.Popen[str]) -> None:
    """cargo and every rustc under it."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(status: int, told: list[str], made: list[Path]) -> CompileFailed:
    if status == 0:
        return CompileFailed(f"cargo made {len(made)} executables where one is expected")
    words = [line for line in told if line and not line.startswith(("   Compiling", " Downloading", "  Downloaded"))]
    text = "\n".join(words[-LAST_WORDS:])
    hint = next((cure for signs, cure in CURES.items() if re.search(signs, text)), None)
    return CompileFailed(f"cargo build ended with exit status {status}:\n{text}", hint=hint)
