"""What every connection is: commands and files, never lifecycle.

Exit status, stdout and stderr are exact, binary-safe and never mixed. A failure of the transport is
`TransportFailed` and a passed deadline `CommandTimedOut`; a command that fails is a `Completed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness.errors import CommandTimedOut, TransportFailed, Unsupported
from harness.models.facts import Facts

if TYPE_CHECKING:
    from socket import socket

    from harness.connections.traffic import Traffic

Command = Sequence[str] | str
"""An argument vector, or a string for the platform's own shell."""


@dataclass(frozen=True)
class Completed:
    """A command that ended. `rc` is 128 + N where signal N killed it; `duration` in seconds."""

    rc: int
    stdout: bytes
    stderr: bytes
    duration: float

    @property
    def ok(self) -> bool:
        return self.rc == 0

    @property
    def out(self) -> str:
        """stdout as text, undecodable bytes escaped."""
        return self.stdout.decode(errors="backslashreplace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="backslashreplace")


class Process(AbstractContextManager["Process"], ABC):
    """A running command on a channel of its own. Leaving the context kills its process group."""

    @abstractmethod
    def lines(self) -> Iterator[bytes]:
        """stdout line by line as it comes, newline kept; the last one may lack it."""

    @abstractmethod
    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """stdout and stderr as they come, in pieces of any size; of each perhaps nothing."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """To its stdin. Raises TransportFailed when it has gone."""

    @abstractmethod
    def close_stdin(self) -> None: ...

    @abstractmethod
    def signal(self, number: int) -> None:
        """To its whole process group INSIDE the platform; nothing happens when it has ended."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> Completed:
        """Until it ends; returns what has not been consumed of stdout and stderr (with a PTY: empty).
        Raises CommandTimedOut without killing it."""

    @abstractmethod
    def interact(self) -> int:
        """Join this process's terminal to its PTY until it ends; returns its exit status."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to its process group, and reap it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Connection(AbstractContextManager["Connection"], ABC):
    """An open endpoint. Safe to use from several threads: commands wait for one another."""

    name: str
    """For messages: `node1 (sandbox 4711)`."""
    traffic: Traffic | None = None
    """What has passed over it; None where that is not known."""
    kept: dict[str, str] | None = None
    """By sha256, folders there with a binary that need not be pushed again, until `tidy`. None: nothing is kept, since
    a push costs little."""

    @abstractmethod
    def run(
        self,
        command: Command,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        user: str | None = None,
    ) -> Completed:
        """Run to its end. stdin is empty unless given; `env` is added to the platform's own environment;
        `timeout` in seconds, after which the whole process group is killed."""

    @abstractmethod
    def start(
        self,
        command: Command,
        *,
        stdin: bool = False,
        pty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
    ) -> Process:
        """Start on a channel of its own, in its own session and process group; `stdin` keeps stdin open for writing."""

    @abstractmethod
    def push(self, source: bytes | Path, destination: str, *, mode: int | None = None) -> None:
        """Write bytes, a file or a tree (links and modes kept).

        A file appears whole or not at all; parents are made."""

    @abstractmethod
    def pull(self, source: str, destination: Path) -> None:
        """Fetch a file or a tree to `destination`. Raises FileNotFoundError when `source` does not exist."""

    @abstractmethod
    def read(self, source: str) -> bytes:
        """A file's content. Raises FileNotFoundError."""

    @abstractmethod
    def facts(self) -> Facts:
        """Probed once, then remembered."""

    def reach(self, timeout: float | None = None) -> None:
        """Raises TransportFailed unless the platform answers, within so many seconds."""
        try:
            self.run(["true"], timeout=timeout)
        except CommandTimedOut as error:
            words = f"{self.name}: the platform does not answer within {timeout:.3g} s"
            raise TransportFailed(f"{words}: it stands still, or nothing gets through to it") from error

    def tidy(self) -> None:
        """Remove what is kept there for later; before a snapshot, and at the end."""

    def listen(self, port: int) -> AbstractContextManager[socket]:
        """A socket here that hears whoever connects to `127.0.0.1:port` there, and nobody else; closed at the end.
        Raises PortTaken, TransportFailed, Unsupported."""
        hint = "a compiler's `results: exit-status` does without"
        raise Unsupported("a listener on its loopback", by=self.name, hint=hint)

    @abstractmethod
    def close(self) -> None:
        """Ends what it started; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
