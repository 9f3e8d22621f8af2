# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Run a playbook: a fresh private folder, an environment that nothing of the user's slips into, and a process that
is gone, with all its children, when this returns.

ansible-runner makes the environment and decodes the events of its callback; the process is ours (decision 0014).
"""

from __future__ import annotations

import io
import json
import os
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

assert sys.platform != "win32"

from harness.ansible.environment import environment, write_config
from harness.ansible.events import Listener
from harness.ansible.find import find_command
from harness.ansible.folder import private_folder
from harness.ansible.inventory import inventory, write_private
from harness.ansible.job import AnsibleFailed, PlaybookJob, PlaybookRun, TaskEvent
from harness.cancellation import Cancellation
from harness.connections.processes import kill_below
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, Interrupted

_LOOK = 0.2
_TOLD = 12
"""Lines of Ansible's own words in an error."""


def run_playbook(
    job: PlaybookJob,
    *,
    deadline: Deadline,
    cancellation: Cancellation,
    on_event: Callable[[TaskEvent], None] = lambda event: None,
    on_line: Callable[[str], None] = lambda line: None,
) -> PlaybookRun:
    """Run it to its end; `on_event` and `on_line` are called in this thread, as things happen.

    A failed task is in the result. Raises AnsibleFailed where Ansible is missing or refuses the playbook before any
    task ran, CommandTimedOut at the deadline and Interrupted when called off, once everything it started is gone.
    """
    command = find_command("ansible-playbook")
    listener = Listener(on_event, on_line)
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        env = _environment(job, folder, stack)
        argv = [str(command), *_arguments(job, folder), str(job.playbook)]
        decoder = _Decoder(folder, listener)
        process = _Process(argv, env, job.cwd or job.playbook.parent)
        with process, cancellation.stopping(process.call_off):
            for data in process.output(deadline):
                decoder.feed(data)
        decoder.close(job.log)
    _check(process, job, listener, deadline)
    return _result(process, job, listener)


class _Process:
    """ansible-playbook in a session of its own. Leaving the context kills whatever is left of it."""

    def __init__(self, argv: list[str], env: Mapping[str, str], cwd: Path) -> None:
        self._mark = env[MARK]
        self.began = time.time()
        self.ended = self.began
        self.called_off = False
        self.timed_out = False
        try:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise AnsibleFailed(f"ansible-playbook could not be started: {error.strerror or error}: {cwd}") from error

    @property
    def rc(self) -> int:
        code = self._popen.returncode
        return 128 - code if code < 0 else code

    def call_off(self) -> None:
        self.called_off = True

    def output(self, deadline: Deadline) -> Any:
        """What it prints, until it ends, is called off, or out of time."""
        assert self._popen.stdout
        descriptor = self._popen.stdout.fileno()
        while not self.called_off:
            if deadline.expired():
                self.timed_out = True
                return
            if select.select([descriptor], [], [], min(_LOOK, max(0.01, deadline.remaining())))[0]:
                if not (data := os.read(descriptor, 1 << 18)):
                    self._popen.wait()
                    self.ended = time.time()
                    return
                yield data
            elif self._popen.poll() is not None:  # something it left in the background holds its stdout
                self.ended = time.time()
                return

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._popen.poll() is None or self.called_off or self.timed_out:
            self._kill()
        if self._popen.stdout:
            self._popen.stdout.close()

    def _kill(self) -> None:
        """Ansible's workers lead sessions of their own, and its ssh masters are nobody's children."""
        kill_below(self._popen.pid)
        with suppress(ProcessLookupError):
            self._popen.kill()
        self._popen.wait()
        _kill_marked(self._mark)
        self.ended = time.time()


MARK = "HARNESS_ANSIBLE_RUN"
"""Everything that a run starts has this in its environment."""


def _kill_marked(mark: str) -> None:
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                process.kill()


class _Decoder:
    """ansible-runner's: the callback's events stand in what Ansible prints."""

    def __init__(self, folder: Path, listener: Listener) -> None:
        import codecs

        from ansible_runner.runner import Runner
        from ansible_runner.utils import OutputEventFilter

        @dataclass
        class Config:
            artifact_dir: str
            ident: str = "run"
            check_job_event_data: bool = False

        self._printed = io.StringIO()
        runner = Runner(Config(str(folder / "artifacts" / "run")), event_handler=listener.take)
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._filter = OutputEventFilter(self._printed, runner.event_callback, suppress_ansible_output=True)

    def feed(self, data: bytes) -> None:
        self._filter.write(self._text.decode(data))

    def close(self, log: Path | None) -> None:
        printed = self._printed.getvalue()
        self._filter.close()
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(printed)


def _environment(job: PlaybookJob, folder: Path, stack: ExitStack) -> dict[str, str]:
    connections = {host.name: host.connection for host in job.hosts if host.connection is not None}
    env = environment(folder, job.env)
    env[MARK] = secrets.token_hex(16)
    config = job.config_file or folder / "ansible.cfg"
    write_config(config, job.config)
    env["ANSIBLE_CONFIG"] = str(config)
    if connections:
        from harness.ansible.broker import Broker

        broker = stack.enter_context(Broker(folder / "broker", connections))
        env["HARNESS_ANSIBLE_BROKER"] = str(broker.path)
        env["HARNESS_ANSIBLE_TOKEN"] = broker.token
    return env


def _arguments(job: PlaybookJob, folder: Path) -> list[str]:
    source = job.inventory
    if source is None:
        source = folder / "inventory.yml"
        write_private(source, inventory(job.hosts, job.group_vars))
    arguments = ["--inventory", str(source)]
    if job.extra_vars:
        variables = folder / "variables.json"
        with os.fdopen(os.open(variables, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            json.dump(dict(job.extra_vars), file)
        arguments += ["--extra-vars", f"@{variables}"]
    if job.forks or "forks" not in job.config.get("defaults", {}):
        arguments += ["--forks", str(job.forks or max(1, len(job.hosts)))]
    return [*arguments, *(["--check"] if job.check else []), *job.arguments]


def _check(process: _Process, job: PlaybookJob, listener: Listener, deadline: Deadline) -> None:
    doing = f" (it was at the task {listener.doing!r})" if listener.doing else ""
    if process.timed_out:
        raise CommandTimedOut(
            f"{job.playbook.name} was not done after {deadline} and was killed{doing}",
            stdout="\n".join(listener.last_lines).encode(),
        )
    if process.called_off:
        raise Interrupted(f"{job.playbook.name} was called off{doing}")
    if process.rc != 0 and listener.started is None:
        words = _words(listener)
        raise AnsibleFailed(f"{job.playbook.name}: {words or f'ansible-playbook ended with status {process.rc}'}")


def _result(process: _Process, job: PlaybookJob, listener: Listener) -> PlaybookRun:
    events = listener.finish()
    rc = process.rc
    told = any(event.outcome in ("failed", "unreachable") for event in events)
    return PlaybookRun(
        rc=rc,
        status="failed" if rc else "successful",
        events=events,
        stats=listener.stats,
        started=listener.started or process.began,
        ended=listener.ended or process.ended,
        duration=process.ended - process.began,
        error=None if rc == 0 or told else _words(listener) or f"ansible-playbook ended with status {rc}",
        unmatched=tuple(listener.unmatched),
        warnings=tuple(dict.fromkeys(listener.warnings)),
    )


def _words(listener: Listener) -> str:
    """From where Ansible says ERROR to the end, or what its command line objects to, or else its last lines."""
    lines = listener.last_lines
    begin = next((at for at, line in enumerate(lines) if line.startswith(("ERROR!", "[ERROR]"))), None)
    if begin is not None:
        return "\n".join(lines[begin : begin + _TOLD])
    usage = [line for line in lines if line.startswith("ansible-playbook: error: ")]
    return "\n".join(usage or lines[-_TOLD:])
