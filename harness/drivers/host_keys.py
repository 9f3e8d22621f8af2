"""The host keys of machines that were made a moment ago: nobody has seen another one yet."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import NotReady


def known_host(path: Path, host: str, port: int, deadline: Deadline, *, hint: str | None = None) -> Path:
    """The key that it shows now, written to `path` as a known_hosts file. Raises NotReady."""
    try:
        done = subprocess.run(
            ["ssh-keyscan", "-T", "15", "-p", str(port), host],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(1.0, min(60.0, deadline.remaining())),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReady(
            f"ssh-keyscan of {host}:{port} failed: {error}", hint="apt-get install openssh-client"
        ) from error
    # Newer ones write what they are greeted with, too, as comments.
    keys = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
    if not keys:
        raise NotReady(f"no sshd answers at {host}:{port}", hint=hint)
    return private_file(path, "".join(f"{line}\n" for line in keys))


def private_file(path: Path, text: str) -> Path:
    """Mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path
