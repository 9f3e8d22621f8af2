# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""The persistent shell: each command costs a round trip, not a new process and a new connection.

One `sh` per platform reads commands from one byte stream and answers on it. Every command runs in a session of its
own, without stdin, its stdout and stderr appended to two fresh files in a private folder (on a tmpfs where there is
one). When it has ended the shell sends

    TOKEN rc SPACE way SPACE stdout TOKEN stderr TOKEN

(or, where this host sees that folder, only the status: the files are then read from here, which saves a process),
where TOKEN is 128 random bits that only the shell is told and that no command sees. So the answer is exact whatever
the bytes are; what a background process writes later lands in a file that nobody reads; and one stream is enough
(a serial port has no more). A command that hangs is killed through a second way, and a shell that dies is replaced.

A folder may fill up meanwhile. Where there is no room before a command, it is not started, and a new shell looks for
another folder. Afterwards the shell ends both files with a mark: where that finds no room, what the command wrote may
have found none either, and an error says so.

Since stdout is a file there, a command that itself opens /dev/stdout anew would truncate it; `PosixConnection`
gives commands that name it a channel of their own.
"""

from __future__ import annotations

import posixpath
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

assert sys.platform != "win32"

from harness.connections.base import Completed
from harness.connections.channel import Channel, ChannelClosed
from harness.connections.script import Invocation, encode, in_shell, printf_format
from harness.connections.traffic import Traffic
from harness.errors import CommandTimedOut, TransportFailed

FOLDERS = ("/dev/shm", "/run", "/tmp", "/var/tmp")
LARGEST_OUTPUT = 1 << 30
"""Bytes of stdout and stderr of one command, after which the platform is taken to have gone mad."""
SWEEP = 32
"""Commands after which the files of earlier ones are removed; at once where they are large."""
_START_SECONDS = 30.0
_LEAST_SECONDS = 2.0
"""For a shell to start, however little time its first command is given."""
ROOM = 1 << 16
"""Bytes that a folder must have room for when a shell chooses it; before each command it is asked for two pages."""

_KILLED_SECONDS = 5.0
"""For the output of a command that was killed: its host may stand still."""
_START = """exec 2>/dev/null
_h_find() {{ _h_p=$(command -v "$1"); case $_h_p in /*) printf '%s' "$_h_p";; *) printf '%s' "$2";; esac; }}
_h_sh=$(_h_find sh /bin/sh); _h_cat=$(_h_find cat /bin/cat); _h_rm=$(_h_find rm /bin/rm); _h_setsid=$(command -v setsid)
for _h_base in {folders}; do
_h_d=$_h_base/.harness-{name}
if [ -d "$_h_base" ] && mkdir -m 700 "$_h_d" && printf %{room}s . >"$_h_d/0"; then break; fi
[ -z "$_h_d" ] || "$_h_rm" -rf "$_h_d"
_h_d=
done
trap '[ -z "$_h_d" ] || "$_h_rm" -rf "$_h_d"' EXIT
trap exit HUP TERM
printf '{token}%s\\n%s\\n%s\\n%s{token}' $$ "$_h_d" "$_h_sh" "$_h_setsid"
"""

_COMMAND = """_h_r= _h_room=1
printf %8192s . >{folder}/0 || _h_room=
{stdin}[ -z "$_h_room" ] || {{ (
{snippet}
) <&7 >&5 2>&6 3<&- 4<&- 5>&- 6>&- 7<&-
_h_r=$? _h_out= _h_err= _h_way=sent
[ -e {out} ] && [ ! -s {out} ] || _h_out=1
[ -e {err} ] && [ ! -s {err} ] || _h_err=1
printf {mark} >&5 && printf {mark} >&6 || _h_way=full
if {seen} && [ $_h_way = sent ] && [ -e {out} ] && [ -e {err} ]; then printf '%s' "{token}$_h_r seen {token}{token}"
else
printf '%s' "{token}$_h_r $_h_way "
[ -z "$_h_out" ] || "$_h_cat" <&3; printf {token}
[ -z "$_h_err" ] || "$_h_cat" <&4; printf {token}
fi
}} 5>>{out} 6>>{err} 3<{out} 4<{err} 7<{input}
[ -n "$_h_r" ] || printf '{token}x x {token}{token}'
{sweep}
"""


class NoFolder(Exception):
    """No folder of the platform can be written to."""


@dataclass(frozen=True)
class _Running:
    channel: Channel
    pid: int
    folder: str
    shell: str
    setsid: str
    root: Path | None
    """Where this host sees the platform's files."""

    def seen(self, path: str) -> bytes:
        assert self.root
        return (self.root / path.lstrip("/")).read_bytes()


@dataclass(frozen=True)
class _Done:
    status: int | None
    """None when it was not started."""
    out: bytes
    err: bytes
    whole: bool


class PersistentShell:
    """`label` begins every message. `open_channel` raises TransportFailed when the platform cannot be reached. What
    passes is counted in `traffic`."""

    def __init__(self, label: str, open_channel: Callable[[], Channel], traffic: Traffic | None = None) -> None:
        self.label = label
        self._traffic = traffic or Traffic()
        self._open_channel = open_channel
        self._lock = threading.RLock()
        self._running: _Running | None = None
        self._used: list[str] = []
        self._count = 0
        self._sweep_now = False

    def run(self, invocation: Invocation, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Raises CommandTimedOut, TransportFailed, NoFolder."""
        with self._lock:
            for _ in range(2):
                running = self._ready(timeout)
                done = self._exchange(running, invocation, stdin, timeout)
                if done is not None:
                    return done
                self._drop(patience=0.0)  # its folder has been removed: the command was not started
        raise TransportFailed(
            f"{self.label}: the shell cannot write files in its folder {running.folder}",
            hint="the file system there may be full or read-only",
        )

    def close(self) -> None:
        with self._lock:
            self._drop(patience=2.0)

    def _ready(self, timeout: float | None) -> _Running:
        if self._running is not None and self._running.channel.ended():
            self._drop(patience=0.0)
        if self._running is None:
            self._running = self._start(timeout)
        return self._running

    def _start(self, timeout: float | None) -> _Running:
        channel = self._open_channel()
        token = secrets.token_hex(16)
        patience = _START_SECONDS if timeout is None else min(_START_SECONDS, max(_LEAST_SECONDS, timeout))
        try:
            until = time.monotonic() + patience
            self._send(
                channel,
                _START.format(token=token, name=secrets.token_hex(8), folders=" ".join(FOLDERS), room=ROOM).encode(),
                until,
            )
            answer = _Answer(token, marks=2)
            self._receive(channel, answer, until)
            pid, folder, shell, setsid = answer.part(0).decode(errors="replace").split("\n")
        except TimeoutError as error:
            channel.close(patience=0.0)
            words = f"{self.label}: no shell could be started: the platform does not answer within {patience:.3g} s"
            raise CommandTimedOut(words) if timeout is not None else TransportFailed(words) from error
        except (ChannelClosed, ValueError) as error:
            channel.close(patience=0.0)
            words = str(error) or "it did not answer"
            raise TransportFailed(
                f"{self.label}: no shell could be started: {words}",
                hint="the platform needs a POSIX sh, and an account that may run commands",
            ) from error
        except BaseException:
            channel.close(patience=0.0)
            raise
        if not folder:
            channel.close(patience=1.0)
            raise NoFolder
        root = channel.root(int(pid))
        if root is not None and not (root / folder.lstrip("/") / "0").exists():
            root = None
        return _Running(channel, int(pid), folder, shell, setsid, root)

    def _exchange(
        self, running: _Running, invocation: Invocation, stdin: bytes, timeout: float | None
    ) -> Completed | None:
        """None when the command could not be started in this shell."""
        token, mark = secrets.token_hex(16), secrets.token_hex(16)
        text = encode(self._text(running, invocation, stdin, token, mark))
        started = time.monotonic()
        until = None if timeout is None else started + timeout
        answer = _Answer(token, marks=3)
        try:
            self._send(running.channel, text, until)
            self._receive(running.channel, answer, until)
        except ChannelClosed as error:
            self._drop(patience=0.0)
            raise TransportFailed(
                f"{self.label}: the shell ended while {invocation} ran" + (f": {error}" if str(error) else ""),
                hint="the platform may have stopped, or the command killed the shell that ran it",
            ) from error
        except TimeoutError as error:
            done = self._kill(running, answer, mark)
            raise CommandTimedOut(
                f"{self.label}: {invocation} did not end within {timeout:g} s and was killed",
                stdout=done.out,
                stderr=done.err,
                hint=None if done.whole else f"what it wrote was cut short: no room is left in {running.folder}",
            ) from error
        except BaseException:
            self._drop(patience=0.0)  # Ctrl-C: what it would still answer belongs to nobody
            raise
        done = self._parts(running, answer, mark)
        if done.status is None:
            return None
        if not done.whole:
            self._drop(patience=2.0)  # the next one looks for another folder
            raise TransportFailed(
                f"{self.label}: what {invocation} wrote was cut short (it ended with status {done.status}): "
                f"no room is left in {running.folder}, through which it travels",
                hint=f"make room there (`df {posixpath.dirname(running.folder)}`), or let the command write less",
            )
        self._sweep_now = len(done.out) + len(done.err) > 1 << 18
        return Completed(done.status, done.out, done.err, time.monotonic() - started)

    def _parts(self, running: _Running, answer: _Answer, mark: str) -> _Done:
        status, way, out = answer.part(0).split(b" ", 2)
        if status == b"x":
            return _Done(None, b"", b"", whole=True)
        err = answer.part(1)
        if way == b"seen":
            base = f"{running.folder}/{self._count}"
            try:
                out, err = running.seen(f"{base}.out"), running.seen(f"{base}.err")
                self._traffic.received(len(out) + len(err))
            except OSError as error:
                self._drop(patience=0.0)
                raise TransportFailed(f"{self.label}: what the command wrote cannot be read: {error}") from error
        # A process that it left behind may have written on after the mark.
        out, err = (data.partition(mark.encode())[0] for data in (out, err))
        return _Done(int(status), out, err, whole=way != b"full")

    def _text(self, running: _Running, invocation: Invocation, stdin: bytes, token: str, mark: str) -> str:
        self._count += 1
        base = f"{running.folder}/{self._count}"
        sweep = ""
        if self._sweep_now or len(self._used) >= SWEEP:
            sweep = f'"$_h_rm" -f {" ".join(self._used)}'
            self._used.clear()
        self._used.append(f"{base}.*")
        return _COMMAND.format(
            snippet=in_shell(invocation, shell=running.shell, session=running.setsid),
            folder=running.folder,
            stdin=f"printf {printf_format(stdin)} >{base}.in || _h_room=\n" if stdin else "",
            input=f"{base}.in" if stdin else "/dev/null",
            out=f"{base}.out",
            err=f"{base}.err",
            token=token,
            mark=mark,
            seen="true" if running.root else "false",
            sweep=sweep,
        )

    def _send(self, channel: Channel, data: bytes, until: float | None) -> None:
        self._traffic.sent(len(data))
        channel.send(data, until)

    def _receive(self, channel: Channel, answer: _Answer, until: float | None) -> None:
        while not answer.complete:
            data = channel.receive(until)
            self._traffic.received(len(data))
            answer.feed(data)
            if answer.size > LARGEST_OUTPUT:
                raise ChannelClosed("it wrote more than 1 GiB")

    def _kill(self, running: _Running, answer: _Answer, mark: str) -> _Done:
        """End what runs, and fetch what it had written."""
        try:
            running.channel.kill_children(running.pid)
            self._receive(running.channel, answer, time.monotonic() + _KILLED_SECONDS)
        except (TimeoutError, ChannelClosed):
            self._drop(patience=0.0)
            return _Done(None, b"", b"", whole=True)
        except BaseException:
            self._drop(patience=0.0)
            raise
        return self._parts(running, answer, mark)

    def _drop(self, *, patience: float) -> None:
        running, self._running = self._running, None
        self._used.clear()
        self._sweep_now = False
        if running is not None:
            if not patience:
                running.channel.kill_children(running.pid)  # so that the shell can end by itself, and tidy up
            running.channel.close(patience=patience or 0.5)


class _Answer:
    """Cuts a stream at a token. What comes before the first is nobody's."""

    def __init__(self, token: str, *, marks: int) -> None:
        self._token = token.encode()
        self._wanted = marks
        self._buffer = bytearray()
        self._marks: list[int] = []
        self._searched = 0

    @property
    def complete(self) -> bool:
        return len(self._marks) == self._wanted

    @property
    def size(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while not self.complete:
            at = self._buffer.find(self._token, self._searched)
            if at < 0:
                self._searched = max(self._searched, len(self._buffer) - len(self._token) + 1)
                return
            self._marks.append(at)
            self._searched = at + len(self._token)

    def part(self, number: int) -> bytes:
        """What stands between mark `number` and the next."""
        return bytes(self._buffer[self._marks[number] + len(self._token) : self._marks[number + 1]])


REOPENS = re.compile(r"/dev/(std(out|err)|fd/[12])|/proc/(self|\$\$|\$PPID|[0-9]+)/fd")
"""Names under which a command may open its own stdout or stderr anew."""
