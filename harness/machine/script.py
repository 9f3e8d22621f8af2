"""One shell script of many questions, whose answers come in sections framed by a random token.

No content of a file can be mistaken for a frame. POSIX sh; each question is run without stdin.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from harness.connections.base import Connection
from harness.errors import TransportFailed

TIMEOUT = 120.0
_ARGUMENT = 100_000
"""Bytes: a single argument of exec is limited to 128 KiB on Linux. What is longer travels by stdin, which may need a
channel of its own."""
Reader = Callable[[int, bytes], None]
"""Given the exit status of a question, and what it wrote to stdout."""


class Script:
    """Numbered sections and what to do with each one's answer."""

    def __init__(self, preface: str = "") -> None:
        self.token = secrets.token_hex(16)
        self._lines = [
            f"token={self.token}",
            "export LC_ALL=C",
            r"begin() { printf '\n%s begin %s\n' $token $1; }",
            r"end() { printf '\n%s end %s\n' $token $?; }",
            preface,
        ]
        self._readers: list[Reader] = []

    def ask(self, command: str, reader: Reader) -> None:
        self._lines.append(f"begin {len(self._readers)}\n{command} </dev/null\nend")
        self._readers.append(reader)

    def add(self, text: str) -> None:
        self._lines.append(text)

    @property
    def empty(self) -> bool:
        return not self._readers

    def run(self, connection: Connection, timeout: float = TIMEOUT) -> None:
        """Hand each answer to its reader. Raises TransportFailed when the script ended early, CommandTimedOut."""
        text = "\n".join([*self._lines, ""])
        data = text.encode(errors="surrogateescape")
        if len(data) < _ARGUMENT and b"\0" not in data:
            completed = connection.run(["sh", "-c", text], timeout=timeout)
        else:
            completed = connection.run(["sh", "-s"], stdin=data, timeout=timeout)
        output, position = completed.stdout, 0
        for index, reader in enumerate(self._readers):
            begin = f"\n{self.token} begin {index}\n".encode()
            end = f"\n{self.token} end ".encode()
            start = output.find(begin, position)
            stop = output.find(end, start + len(begin) - 1) if start >= 0 else -1
            line_end = output.find(b"\n", stop + len(end)) if stop >= 0 else -1
            if line_end < 0:
                raise TransportFailed(
                    f"{connection.name}: the script that looks at the host ended early (exit status {completed.rc})",
                    hint=completed.err.strip()[-400:] or None,
                )
            reader(int(output[stop + len(end) : line_end]), output[start + len(begin) : stop])
            position = line_end
