"""Between a PTY and this process's own stdin and stdout."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import contextlib
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """The terminal on `fd`, if it is one, passes every byte on unchanged for as long as this lasts."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def relay(master: int, signals: int, handle: Callable[[], int | None]) -> int:
    """stdin to the PTY and the PTY to stdout, until the command has ended: its status, from `handle`.

    `handle` is called for what can be read from `signals`. What the command wrote before its end is passed on.
    """
    sources = [master, 0, signals]
    status: int | None = None
    while status is None or (master in sources and select.select([master], [], [], 0)[0]):
        ready, _, _ = select.select(sources, [], [])
        if signals in ready and status is None:
            status = handle()
        if 0 in ready:
            data = _read(0)
            # End of input is ^D on a terminal; the command decides what it means.
            _write(master, data or b"\x04")
            if not data:
                sources.remove(0)
        if master in ready:
            data = _read(master)
            if data:
                _write(1, data)
            else:
                sources.remove(master)
    return status


def follow_size(master: int) -> None:
    """Give the PTY the size of the terminal on stdin, now and whenever that changes."""
    if not os.isatty(0):
        return

    def copy(*_: object) -> None:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)

    signal.signal(signal.SIGWINCH, copy)
    copy()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the other side of a PTY is closed
        return b""


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
