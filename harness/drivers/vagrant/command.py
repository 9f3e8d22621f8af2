"""Vagrant's command line, by python-vagrant, whose way of running it is replaced.

python-vagrant knows the arguments and reads the answers. It drops what Vagrant writes when it fails, cannot be called
off, and its snapshots name no machine (docs/decisions/0036-vagrant-by-its-command-line.md).
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

from harness import process_group
from harness.drivers.vagrant import missing, refusals
from harness.drivers.vagrant.projects import Project, home
from harness.errors import DriverFailed, HarnessError

try:
    from vagrant import Vagrant as PythonVagrant
    from vagrant import get_vagrant_executable
except ImportError as error:
    raise HarnessError(missing.PACKAGE, hint=missing.INSTALL_PACKAGE) from error

Tell = Callable[[str], None]
"""Takes one line about what is going on."""
_READABLE = "--machine-readable"
_RAW = ("ssh-config", "--version")
"""What is read as it is printed for people."""
_PATIENCE = 900.0
"""Seconds for any command but `up`, which may fetch a box and is bounded by whoever waits for it."""
_LAST_WORDS = 12
_LOG_BYTES = 1 << 20
_PROGRESS_SECONDS = 5.0
_GRACE = 5.0
"""Seconds for Vagrant to give up its locks after SIGTERM."""


class CommandFailed(DriverFailed):
    """`kind` is Vagrant's name for the error, `status` what the command ended with."""

    def __init__(self, message: str, *, kind: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = status


@dataclass
class Heard:
    """What a command has said so far."""

    output: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """For people, the last ones."""
    kind: str = ""
    error: str = ""

    def line(self, line: str, *, readable: bool) -> str:
        """Take in one line of stdout; what of it is for people."""
        self.output.append(line)
        parts = line.split(",", 3)
        if not readable or len(parts) < 4:
            return self.remember(line)
        _, _, kind, data = parts
        if kind == "error-exit":
            self.kind, _, words = data.partition(",")
            self.error = _plain(words)
        return self.remember(_plain(data.partition(",")[2])) if kind == "ui" else ""

    def remember(self, words: str) -> str:
        said = words.strip()
        if said:
            self.words = [*self.words[1 - _LAST_WORDS :], said]
        return said


def _plain(data: str) -> str:
    return data.replace("%!(VAGRANT_COMMA)", ",").replace("\\n", "\n").replace("\\r", "")


class Vagrant(PythonVagrant):  # type: ignore[misc]
    """The machines of one project; `tell` hears of boxes that are being added. `stop` ends what other threads run."""

    def __init__(self, project: Project, tell: Tell | None = None, *, parallel: bool = True) -> None:
        super().__init__(root=project.root, env=environment(project, parallel=parallel))
        self._project = project
        self._tell = tell
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._told = 0.0

    def snapshot(self, verb: str, machine: str, name: str, *options: str) -> None:
        """`save`, `restore` or `delete`."""
        self._call_vagrant_command(["snapshot", verb, *options, machine, name])

    def bring_up(self, machines: Sequence[str], provider: str, *, provision: bool) -> None:
        wanted = "--provision" if provision else "--no-provision"
        self._call_vagrant_command(["up", *machines, f"--provider={provider}", wanted])

    def remove(self, machines: Sequence[str]) -> None:
        self._call_vagrant_command(["destroy", "--force", *machines])

    def stop(self) -> None:
        """End what runs now, and run nothing more."""
        self._stopped = True
        for process in list(self._running):
            end(process)

    # --- what python-vagrant calls ---------------------------------------------------------------------------------

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        words = [word for word in args if word is not None]
        if get_vagrant_executable() is None:
            raise DriverFailed(missing.VAGRANT, hint=missing.INSTALL_VAGRANT)
        readable = words[0] not in _RAW
        command = [*self._make_vagrant_command(words), *([_READABLE] if readable and _READABLE not in words else [])]
        heard, status = self._run(command, readable=readable)
        if status != 0:
            raise self._failure(" ".join(words[:2] if words[0] == "snapshot" else words[:1]), heard, status)
        return "\n".join(heard.output)

    def _run(self, command: Sequence[str], *, readable: bool) -> tuple[Heard, int]:
        heard = Heard()
        with self._open_log() as log:
            print("$", *command, file=log, flush=True)
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is ours to answer
            )
            self._running.add(process)
            if self._stopped:
                end(process)
            aside = threading.Thread(target=self._listen_aside, args=(process, heard), daemon=True)
            aside.start()
            patience = threading.Timer(_PATIENCE, end, [process])
            patience.daemon = True
            if "up" not in command[:2]:
                patience.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    self._say(line, heard.line(line.rstrip("\n"), readable=readable))
                status = process.wait()
                aside.join()
            except BaseException:
                end(process)
                raise
            finally:
                patience.cancel()
                self._running.discard(process)
                process.stdout.close()  # type: ignore[union-attr]
        return heard, status

    @staticmethod
    def _listen_aside(process: subprocess.Popen[str], heard: Heard) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                heard.remember(line)

    def _open_log(self) -> TextIO:
        path = self._project.log
        with suppress(OSError):
            if path.stat().st_size > _LOG_BYTES:
                path.unlink()
        try:
            return path.open("a", buffering=1, errors="replace")
        except OSError:  # a full disk, or a folder that has gone: the log is not what matters
            return open(os.devnull, "a")  # noqa: PTH123

    def _say(self, line: str, words: str) -> None:
        """Of the much that Vagrant says, what takes long and is silent otherwise."""
        progress = words.startswith("Progress: ")
        if self._tell is None or not words or not (progress or line.split(",", 2)[1:2] == ["box"]):
            return
        now = time.monotonic()
        if not progress or now - self._told > _PROGRESS_SECONDS:
            self._told = now
            self._tell(words)

    def _failure(self, verb: str, heard: Heard, status: int) -> CommandFailed:
        if self._stopped:
            return CommandFailed(f"vagrant {verb} was called off", kind="", status=status)
        words = heard.error.strip() or "\n".join(heard.words) or "it said nothing"
        message = f"vagrant {verb} ended with status {status}: {words}"
        return CommandFailed(message, kind=heard.kind, status=status, hint=refusals.hint(heard.kind, words))


def environment(project: Project, *, parallel: bool = True) -> dict[str, str]:
    """The variables of a command of this project."""
    found = {name: value for name, value in os.environ.items() if name not in ("VAGRANT_NO_PARALLEL", "BUNDLE_GEMFILE")}
    found |= {
        "VAGRANT_CWD": project.root,
        "VAGRANT_VAGRANTFILE": str(project.vagrantfile),
        "VAGRANT_DOTFILE_PATH": str(project.folder / ".vagrant"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
        "VAGRANT_NO_COLOR": "1",
    }
    if "LC_ALL" not in found:
        found["LC_ALL"] = "C.UTF-8"  # Ruby reads files in the locale's encoding
    if project.own_home:
        found["VAGRANT_HOME"] = str(home())
    if not parallel:
        found["VAGRANT_NO_PARALLEL"] = "1"
    return found


def end(process: subprocess.Popen[str]) -> None:
    """It and what it has started; what a provider's own daemon does is not touched."""
    process_group.terminate(process)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process_group.kill(process)
    process.wait()
