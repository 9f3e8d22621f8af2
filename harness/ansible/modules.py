# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Single modules, as the command `ansible` runs them, over connections that are open already."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

assert sys.platform != "win32"

from harness import process_group
from harness.ansible.broker import Broker
from harness.ansible.environment import PLUGINS, environment
from harness.ansible.find import HINT, find_command
from harness.ansible.folder import private_folder
from harness.ansible.inventory import write_private
from harness.ansible.job import AnsibleFailed
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, TransportFailed

_SECONDS = 600.0
"""Longest that a module may take."""
_TOLD = 2000
SKIPPED: Mapping[str, Any] = {
    "failed": True,
    "skipped": True,
    "msg": "Skipped. You might want to try check=False",
}
"""What testinfra gives for a module that knows no check mode."""


class Modules:
    """As a context: what serves the calls is there from the first one on, and gone when it is left. May be used by
    several threads, one call at a time. `connect` opens a host's connection by its name."""

    def __init__(
        self,
        hosts: Sequence[str],
        connect: Callable[[str], Connection],
        *,
        inventory: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._hosts = tuple(hosts)
        self._connections = _Opened(self._hosts, connect)
        self._inventory = inventory
        self._env = dict(env or {})
        self._cwd = cwd
        self._pythons: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._ansible: _Ansible | None = None

    def run(self, host: str, module: str, arguments: str | None, options: Sequence[str]) -> dict[str, Any]:
        """The module's own result. `options` are those of the command `ansible`. Raises AnsibleFailed with Ansible's
        words where it never ran, TransportFailed, CommandTimedOut."""
        with self._lock:
            folder = self._begin()
            assert self._ansible is not None
            with tempfile.TemporaryDirectory(dir=folder) as place:
                argv = ["ansible", "-i", str(self._inventory or folder / "inventory.yml"), "-m", module]
                argv += [*(["--args", arguments] if arguments else []), *options, *self._python_of(host), host]
                answer = self._ansible.call(argv, Path(place), Deadline(_SECONDS))
        if answer.outcome is None:
            words = answer.words[-_TOLD:]
            raise AnsibleFailed(f"{host}: the module {module} did not run (exit status {answer.rc}): {words}")
        if answer.outcome == "unreachable":
            raise TransportFailed(f"{host}: {answer.result.get('msg', 'Ansible could not reach it')}")
        facts = answer.result.get("ansible_facts")
        if isinstance(facts, dict) and isinstance(python := facts.get("discovered_interpreter_python"), str):
            self._pythons[host] = python
        if answer.outcome == "skipped":
            return dict(SKIPPED)
        return {**answer.result, **({"failed": True} if answer.outcome == "failed" else {})}

    def _python_of(self, host: str) -> list[str]:
        """Ansible would look for it again with every call: as long as most modules take."""
        found = self._pythons.get(host)
        return ["--extra-vars", json.dumps({"ansible_python_interpreter": found})] if found else []

    def _begin(self) -> Path:
        if self._folder is None:
            folder = self._stack.enter_context(private_folder())
            broker = self._stack.enter_context(Broker(folder / "broker", self._connections))
            env = environment(folder, self._env) | {
                "HARNESS_ANSIBLE_BROKER": str(broker.path),
                "HARNESS_ANSIBLE_TOKEN": broker.token,
                "ANSIBLE_VERBOSITY": "0",
                "ANSIBLE_STDOUT_CALLBACK": "harness_result",
                "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback"),
                "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True",
            }
            if self._inventory is None:
                hosts = {name: {"ansible_connection": "harness"} for name in self._hosts}
                write_private(folder / "inventory.yml", {"all": {"hosts": hosts}})
            self._ansible = self._stack.enter_context(_Ansible(env, self._cwd or Path.cwd()))
            self._folder = folder
        return self._folder

    def close(self) -> None:
        with self._lock:
            self._folder = self._ansible = None
            self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Answer:
    """`outcome` is None where Ansible came to no result; `words` is what it printed."""

    rc: int
    words: str
    outcome: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


class _Ansible:
    """A warm Ansible (warm.py), which is started with the first call."""

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self._env, self._cwd = dict(env), cwd
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, argv: list[str], folder: Path, deadline: Deadline) -> Answer:
        output, result = folder / "output", folder / "result"
        rc = self._ask({"argv": argv, "output": str(output), "result": str(result)}, deadline)
        words = output.read_text(encoding="utf-8", errors="replace").strip() if output.exists() else ""
        if not result.exists():
            return Answer(rc, words)
        found = json.loads(result.read_text(encoding="utf-8"))
        return Answer(rc, words, found["outcome"], found["result"])

    def _ask(self, request: Mapping[str, Any], deadline: Deadline) -> int:
        process = self._process = self._process or self._spawn()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = _line(process.stdout, deadline)
        except BrokenPipeError:
            answer = b""
        if answer is None:
            self._end()
            raise CommandTimedOut(f"{request['argv'][-1]}: the module was not done after {deadline}")
        if not answer:
            self._end()
            raise AnsibleFailed("Ansible ended before it had answered", hint=HINT)
        return int(json.loads(answer)["rc"])

    def _spawn(self) -> subprocess.Popen[bytes]:
        # By its path: as a module of ours it would load our package, which it has no use for.
        program = Path(__file__).with_name("warm.py")
        return subprocess.Popen(
            [interpreter(), "-I", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process_group.kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._end()


class _Opened(Mapping[str, Connection]):
    """Each connection is opened when it is first asked for."""

    def __init__(self, hosts: Sequence[str], connect: Callable[[str], Connection]) -> None:
        self._hosts, self._connect = hosts, connect

    def __getitem__(self, name: str) -> Connection:
        if name not in self._hosts:
            raise KeyError(name)
        return self._connect(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


def interpreter() -> str:
    """The Python that has Ansible: ours, or the one that its command names in its first line. Raises AnsibleFailed."""
    if find_spec("ansible") is not None:
        return sys.executable
    command = find_command("ansible")
    with command.open("rb") as file:
        first = file.readline(512).decode(errors="replace").strip()
    words = first.removeprefix("#!").split()
    if not first.startswith("#!") or len(words) != 1 or not Path(words[0]).is_file():
        raise AnsibleFailed(f"{command} is no Python program that could be kept running", hint=HINT)
    return words[0]


def _line(stream: IO[bytes], deadline: Deadline) -> bytes | None:
    """One line; empty at the end of the stream, None when the time is up."""
    found = bytearray()
    while not found.endswith(b"\n"):
        if not select.select([stream.fileno()], [], [], deadline.remaining())[0]:
            return None
        data = os.read(stream.fileno(), 4096)
        if not data:
            return b""
        found += data
    return bytes(found)
