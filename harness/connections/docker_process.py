# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Commands in a container, each an exec of its own; and what ends them: another exec."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal as signals
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

assert sys.platform != "win32"

from harness.connections.exec_stream import ExecStream
from harness.connections.stream import StreamProcess
from harness.connections.terminal import END_OF_FILE, TerminalStream

if TYPE_CHECKING:
    from docker.api.client import APIClient

# proc(5), stat: after the name, which may hold anything, come state, ppid, pgrp and session. Zombies count as gone.
_LOOK = """
look() {
l=; { read -r l <"/proc/$1/stat"; } 2>/dev/null || return 1
set -- ${l##*) }; parent=$2 group=$3 session=$4
case $1 in Z | X) return 1;; esac
}
"""
_KILL_BELOW = f"""{_LOOK}
root=$1 own= n=0; look "$root" && own=$session
kin=" $root " sessions=" "
while [ $n -lt 200 ]; do
n=$((n + 1)) grew=1 found=
while [ -n "$grew" ]; do
grew=
for f in /proc/[0-9]*; do
p=${{f#/proc/}}
case $kin in *" $p "*) continue;; esac
[ "$p" != $$ ] && look "$p" || continue
case $kin in *" $parent "*) ;; *) case $sessions in *" $session "*) ;; *) continue;; esac;; esac
grew=1 kin="$kin$p "
[ "$session" = "$own" ] || sessions="$sessions$session "
done
done
for p in $kin; do
if [ "$p" != "$root" ] && look "$p"; then found=1; kill -9 "$p" 2>/dev/null; fi
done
[ -n "$found" ] || break
done
"""
"""SIGKILL to all below the process $1 and to all in their sessions, except its own, until there is nobody."""
_KILL_SESSION = f"""{_LOOK}
root=$1 n=0
while [ $n -lt 200 ]; do
n=$((n + 1)) found=
for f in /proc/[0-9]*; do
p=${{f#/proc/}}
look "$p" || continue
if [ "$session" = "$root" ] || [ "$p" = "$root" ]; then found=1; kill -9 "$p" 2>/dev/null; fi
done
[ -n "$found" ] || break
done
"""
_SIGNAL_GROUP = f"""{_LOOK}
look "$1" && kill -"$2" "-$group" 2>/dev/null
"""


class Executor:
    """Starts execs in one container."""

    def __init__(self, client: APIClient, container: str) -> None:
        self.client = client
        self.container = container

    def stream(self, argv: list[str], *, stdin: bool, pty: bool = False, user: str = "") -> ExecStream:
        return ExecStream(self.client, self.container, argv, stdin=stdin, pty=pty, user=user)

    def kill_below(self, pid: int) -> None:
        self._quietly(_KILL_BELOW, str(pid))

    def kill_session(self, leader: int) -> None:
        self._quietly(_KILL_SESSION, str(leader))

    def signal_group(self, leader: int, number: int) -> None:
        self._quietly(_SIGNAL_GROUP, str(leader), str(number))

    def resize(self, stream: ExecStream) -> None:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            with contextlib.suppress(Exception):  # it may have ended; and a wrong size hurts nobody
                self.client.exec_resize(stream.id, height=size.lines, width=size.columns)

    def _quietly(self, script: str, *arguments: str, seconds: float = 10.0) -> None:
        """As root of the container, to its end. Nothing where the container has gone: then all in it has, too."""
        import requests
        from docker.errors import DockerException

        try:
            stream = self.stream(["sh", "-c", script, "sh", *arguments], stdin=False, user="0")
        except (DockerException, requests.RequestException, OSError):
            return
        until = time.monotonic() + seconds
        try:
            while not stream.ended and (left := until - time.monotonic()) > 0:
                if not stream.ahead:
                    select.select([stream.descriptor], [], [], left)
                stream.read()
        finally:
            stream.close()


class _Marked:
    """Lets a stream pass up to the mark; `status` is what follows it."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = bytearray()
        self._found = False
        self.status: int | None = None

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What of it, and of what was held back, is surely the command's."""
        self._held += data
        if self._found:
            self._read_status()
            return b""
        at = self._held.find(self._mark)
        if at < 0 and not last:
            longest = min(len(self._mark) - 1, len(self._held))
            kept = next((size for size in range(longest, 0, -1) if self._held.endswith(self._mark[:size])), 0)
            at = len(self._held) - kept
        elif at < 0:
            at = len(self._held)
        else:
            self._found = True
        passed = bytes(self._held[:at])
        del self._held[: at + (len(self._mark) if self._found else 0)]
        if self._found:
            self._read_status()
        return passed

    def _read_status(self) -> None:
        if self.status is None and b"\n" in self._held:
            self.status = int(self._held.split(b"\n", 1)[0])


class ExecProcess(StreamProcess):
    """Without a PTY.

    The daemon ends a stream only when the last holder of it has gone, or two seconds later: so the shell that waits for
    the command closes both streams itself, with a mark that no command can know and its status.
    """

    def __init__(
        self,
        executor: Executor,
        text: str,
        label: str,
        description: str,
        why_gone: Callable[[], str | None],
        *,
        stdin: bool,
    ) -> None:
        super().__init__(label, description, why_gone)
        self._executor = executor
        self._rc: int | None = None
        self._writable = stdin
        self._mark = secrets.token_hex(16)
        self._marked = _Marked(self._mark.encode()), _Marked(self._mark.encode())
        self._stream = self._open(text, stdin=stdin)
        try:
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def close_stdin(self) -> None:
        if self._writable:
            self._writable = False
            self._stream.close_stdin()

    def signal(self, number: int) -> None:
        if self._leader is not None and not self._look():
            self._executor.signal_group(self._leader, number)

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._look() and self._leader is not None:
            self._executor.kill_session(self._leader)
        self._stream.close()
        self._ended_at = self._ended_at or time.monotonic()

    @property
    def _stdin_open(self) -> bool:
        return self._writable

    def _write_some(self, data: memoryview) -> int:
        if self._ended_at is not None:
            raise BrokenPipeError
        return self._stream.write(data)

    def _has_ended(self) -> bool:
        return self._ended_at is not None

    def _open(self, text: str, *, stdin: bool) -> ExecStream:
        # In two halves: the list of processes must not show the mark.
        first, second = self._mark[:16], self._mark[16:]
        say = f"printf '%s%s %s\\n' {first} {second} $_h_r"
        return self._executor.stream(["sh", "-c", f"{text}_h_r=$?\n{say}\n{say} >&2\nexit $_h_r"], stdin=stdin)

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        if self._ended_at is not None:
            return False
        poller = select.poll()
        writing = select.POLLOUT if write and self._writable else 0
        poller.register(self._stream.descriptor, select.POLLIN | writing)
        if also is not None:
            poller.register(also, select.POLLIN)
        pause = 0.0 if self._stream.ahead else 60.0 if until is None else max(0.0, until - time.monotonic())
        poller.poll(pause * 1000)
        self._take()
        return True

    def _take(self) -> None:
        out, err = self._stream.read()
        last = self._stream.ended
        self._out += self._marked[0].feed(out, last=last)
        self._err += self._marked[1].feed(err, last=last)
        self._rc = self._marked[0].status
        if last or (self._rc is not None and self._marked[1].status is not None):
            self._ended_at = time.monotonic()

    def _look(self) -> bool:
        """Whether it has ended, as far as it has been heard."""
        if self._ended_at is None and (self._stream.ahead or select.select([self._stream.descriptor], [], [], 0)[0]):
            self._take()
        return self._ended_at is not None

    def _status(self) -> int:
        if self._rc is None:
            self._rc = self._asked_status()
        return self._rc

    def _asked_status(self) -> int:
        """The daemon's word, where the shell could not give its own; 137 (SIGKILL) when the container has gone."""
        import requests
        from docker.errors import DockerException

        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                status = self._stream.status()
            except (DockerException, requests.RequestException):
                break
            if status is not None:
                return status
            time.sleep(0.01)
        return 128 + signals.SIGKILL


class ExecTerminal(ExecProcess, TerminalStream):
    """With a PTY, which lies in the container."""

    def close_stdin(self) -> None:
        """What a person does: Ctrl-D."""
        if self._ended_at is None:
            with contextlib.suppress(OSError):
                self._stream.write(memoryview(END_OF_FILE))

    def _open(self, text: str, *, stdin: bool) -> ExecStream:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            text = f"stty rows {size.lines} cols {size.columns} 2>/dev/null\n{text}"
        return self._executor.stream(["sh", "-c", text], stdin=True, pty=True)

    def _resize(self) -> None:
        self._executor.resize(self._stream)
