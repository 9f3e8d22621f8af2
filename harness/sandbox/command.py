"""How the programs of this package are started: an interpreter without site-packages, and a cached module."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.models.endpoint import Sandbox

_ROOT = str(Path(__file__).resolve().parents[2])
# A script file would be compiled anew at every start; an imported module comes from its .pyc.
_START = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));from harness.sandbox.{} import main;sys.exit(main(sys.argv[1:]))"
)


def program(module: str, arguments: Sequence[str]) -> list[str]:
    """The argument vector that runs `harness.sandbox.<module>` with these arguments."""
    return [sys.executable, "-I", "-S", "-c", _START.format(module), _ROOT, *arguments]


def enter_command(
    endpoint: Sandbox,
    argv: Sequence[str],
    *,
    pty: bool = False,
    user: str | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """The argument vector that runs `argv` in the sandbox: see `harness.sandbox.enter` for what it does.

    `env` is added to the sandbox's own environment; nothing of this process's environment goes in.
    """
    options = ["--pid", str(endpoint.pid), "--start-time", str(endpoint.start_time)]
    if endpoint.rootless:
        options.append("--rootless")
    if endpoint.unconfined:
        options.append("--unconfined")
    for capability in endpoint.capabilities:
        options += ["--cap", capability]
    for directory in endpoint.cgroups:
        options += ["--cgroup", directory]
    for name, value in {**endpoint.environment, **(env or {})}.items():
        options += ["--env", f"{name}={value}"]
    if user is not None:
        options += ["--user", user]
    if cwd is not None:
        options += ["--chdir", cwd]
    if pty:
        options.append("--pty")
    return program("enter", [*options, "--", *argv])
