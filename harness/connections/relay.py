# ruff: noqa: E402 (elsewhere than on Linux nothing below the assertion exists)
"""One command in a guest, its streams in frames: this text is sent to a serial shell, which becomes it.

A serial port is one stream, has no end that could be sent, and stays when somebody leaves. So both directions carry
frames: a letter, four bytes of length (big endian), and so many bytes.

    to the guest:    i stdin   c the end of stdin   w rows and columns of the terminal   q leave
    from the guest:  o stdout  e stderr             x the exit status, after all output

It needs Python 3.9 there, and nothing of ours.

usage: relay (none | stdin | ROWS,COLUMNS) TEXT
"""

from __future__ import annotations

import os
import select
import sys

assert sys.platform == "linux"

import _signal  # type: ignore[import-not-found]  # `signal` itself would cost as much as all the rest here

PORT_IN, PORT_OUT = 0, 1
PIECE = 1 << 16
"""Bytes read at once, what a pipe holds, and more than any frame to the guest."""
HELD = 1 << 18
"""Bytes of stdin that wait for the command before the port is left to fill up."""


def send(kind: bytes, data: bytes) -> None:
    left = kind + len(data).to_bytes(4, "big") + data
    while left:
        left = left[os.write(PORT_OUT, left) :]


def resize(terminal: int, rows: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Command:
    """`sh -c TEXT`, leader of a session of its own. `outputs`: what to read, and as which frame it goes."""

    def __init__(self, mode: str, text: str) -> None:
        self.terminal: int | None = None
        self.stdin: int | None = None
        if mode in ("none", "stdin"):
            inside, self.stdin = os.pipe() if mode == "stdin" else (os.open(os.devnull, os.O_RDONLY), None)
            out, out_end = os.pipe()
            err, err_end = os.pipe()
            self.outputs = {out: b"o", err: b"e"}
            streams = [inside, out_end, err_end]
        else:
            self.terminal, slave = os.openpty()
            resize(self.terminal, *map(int, mode.split(",")))
            self.outputs = {self.terminal: b"o"}
            self.stdin = self.terminal
            streams = [slave] * 3
        self.pid = os.fork()
        if not self.pid:
            self._become(streams, text)
        for descriptor in set(streams):
            os.close(descriptor)
        for descriptor in self.descriptors():
            os.set_blocking(descriptor, False)

    def descriptors(self) -> set[int]:
        return {*self.outputs, *(() if self.stdin is None else (self.stdin,))}

    def _become(self, streams: list[int], text: str) -> None:
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # ignored by Python, and so by what it starts
            _signal.signal(number, _signal.SIG_DFL)
        os.setsid()
        if self.terminal is not None:
            os.close(os.open(os.ttyname(streams[0]), os.O_RDWR))  # takes it as the controlling terminal, tty(4)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.execvp("sh", ["sh", "-c", text])

    def end_stdin(self) -> None:
        if self.stdin is not None and self.stdin != self.terminal:
            os.close(self.stdin)
        self.stdin = None

    def read(self, descriptor: int, limit: int) -> int:
        """How much was sent on."""
        try:
            data = os.read(descriptor, limit)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody holds the terminal
            data = b""
        if data:
            send(self.outputs[descriptor], data)
        else:
            del self.outputs[descriptor]
        return len(data)

    def drain(self) -> None:
        """What it had written when it ended: no more than a pipe holds, even when somebody goes on writing."""
        for descriptor in list(self.outputs):
            left = PIECE
            while left > 0 and descriptor in self.outputs:
                count = self.read(descriptor, left)
                if not count:
                    break
                left -= count


class Relay:
    def __init__(self, command: Command) -> None:
        self.command = command
        self.heard = bytearray()
        self.held = bytearray()
        self.ending = False
        self.left = False

    def hear(self) -> None:
        """Each read gives no more than a page: what waits is taken together."""
        poller = select.poll()
        poller.register(PORT_IN, select.POLLIN)
        while len(self.heard) < 2 * PIECE:
            data = os.read(PORT_IN, PIECE)
            if not data:
                self.left = True
                break
            self.heard += data
            if not poller.poll(0):
                break
        at = 0
        while len(self.heard) - at >= 5:
            end = at + 5 + int.from_bytes(self.heard[at + 1 : at + 5], "big")
            if end > len(self.heard):
                break
            self.obey(bytes(self.heard[at : at + 1]), self.heard[at + 5 : end])
            at = end
        del self.heard[:at]

    def obey(self, kind: bytes, data: bytearray) -> None:
        if kind == b"i":
            self.held += data
        elif kind == b"c":
            self.ending = True
        elif kind == b"w" and self.command.terminal is not None:
            resize(self.command.terminal, *map(int, data.split()))
        else:
            self.left = True

    def feed(self) -> None:
        stdin = self.command.stdin
        try:
            while self.held and stdin is not None:
                del self.held[: os.write(stdin, self.held[:PIECE])]
        except BlockingIOError:
            return
        except OSError:  # nobody reads it
            self.command.end_stdin()
        self.held.clear()
        if self.ending:
            self.command.end_stdin()

    def turn(self, child: int) -> bool:
        """Wait for something and do it. False once the command has ended."""
        poller = select.poll()
        if len(self.held) < HELD:
            poller.register(PORT_IN, select.POLLIN)
        poller.register(child, select.POLLIN)
        for descriptor in self.command.descriptors():
            reading = select.POLLIN if descriptor in self.command.outputs else 0
            writing = select.POLLOUT if descriptor == self.command.stdin and self.held else 0
            if reading or writing:
                poller.register(descriptor, reading | writing)
        for descriptor, _ in poller.poll():
            if descriptor == child:
                return False
            if descriptor == PORT_IN:
                self.hear()
            elif descriptor in self.command.outputs:
                self.command.read(descriptor, PIECE)
        self.feed()
        return True

    def run(self) -> None:
        child = os.pidfd_open(self.command.pid)
        while not self.left and self.turn(child):
            pass
        if self.left:
            return
        self.command.drain()
        _, status = os.waitpid(self.command.pid, 0)
        send(b"x", b"%d" % (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)))
        while not self.left:
            self.hear()


if __name__ == "__main__":
    Relay(Command(*sys.argv[1:])).run()
