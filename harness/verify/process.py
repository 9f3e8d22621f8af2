"""The verify child as a process: started early or when it is needed, listened to, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness import process_group
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.secrets import Mask

_GRACE = 5.0
"""Seconds that pytest has to end by itself after an interrupt."""


@dataclass(frozen=True)
class Ended:
    """`rc` as of Popen; `tail` the last words; `stopped` why it was stopped before its end."""

    rc: int
    tail: str
    stopped: str | None


class Child:
    """Leads a session of its own: a Ctrl-C at the terminal reaches it through us, once, and it takes all that its
    tests started with it."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._stopped: str | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "harness.verify.launch"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            raise HarnessError(f"pytest could not be started: {error}") from error

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        log: Path,
        mask: Mask,
        on_line: Callable[[str], None] | None,
        deadline: Deadline | None,
        cancellation: Cancellation | None,
    ) -> Ended:
        """pytest with `arguments`, to its end. Whatever is raised here ends it first."""
        with ExitStack() as stack:
            stack.callback(self.close)
            output = stack.enter_context(log.open("w", encoding="utf-8"))
            if deadline is not None:
                words = f"it did not end within {deadline.seconds:g} seconds"
                timer = threading.Timer(deadline.remaining(), lambda: self.stop(words))
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
            if cancellation is not None:
                stack.enter_context(cancellation.stopping(lambda: self.stop("it was called off")))
            self._order({"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)})
            assert self._process.stdout is not None
            tail = _read(self._process.stdout, output, mask, on_line)
            return Ended(self._process.wait(), tail, self._stopped)

    def stop(self, why: str) -> None:
        """Interrupt it; kill it when it has not ended after the grace."""
        if self._stopped is None:
            self._stopped = why
            self._signal(process_group.interrupt)
            killer = threading.Timer(_GRACE, lambda: self._signal(process_group.kill))
            killer.daemon = True
            killer.start()

    def close(self) -> None:
        """Nothing of it is left when this returns; a second call does nothing."""
        process = self._process
        if process.poll() is None:
            self.stop("it was interrupted")
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._signal(process_group.kill)
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def discard(self) -> None:
        """End one that was never given anything to do."""
        if self.alive:
            self._signal(process_group.kill)
            self._process.wait()
        self.close()

    def _order(self, work: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        # One that has died by itself tells why on its stdout, and by its exit status.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(work).encode() + b"\n")
            self._process.stdin.flush()

    def _signal(self, send: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process.poll() is None:
            send(self._process)


class Standby:
    """A child that loads while something else goes on. As a context: what is not taken is ended."""

    def __init__(self) -> None:
        self._child: Child | None = Child()

    @property
    def waiting(self) -> bool:
        """Whether there is a child that has not been taken."""
        return self._child is not None and self._child.alive

    def take(self) -> Child:
        """The child, once; a fresh one when it has been taken or has died."""
        child, self._child = self._child, None
        if child is not None and child.alive:
            return child
        if child is not None:
            child.discard()
        return Child()

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(stdout: IO[bytes], output: IO[str], mask: Mask, on_line: Callable[[str], None] | None) -> str:
    tail: list[str] = []
    for raw in stdout:
        line = mask.text(raw.decode(errors="backslashreplace").rstrip("\r\n"))
        output.write(line + "\n")
        tail = [*tail[-79:], line]
        if on_line is not None:
            on_line(line)
    return "\n".join(tail)
