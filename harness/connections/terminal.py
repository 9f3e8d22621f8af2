# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A command on a PTY: `login`, and whatever behaves otherwise on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from abc import abstractmethod
from collections.abc import Callable, Iterator
from types import FrameType

assert sys.platform != "win32"

from harness.connections.process import ChildProcess, Launch
from harness.connections.stream import CHUNK, StreamProcess

END_OF_FILE = b"\x04"
_TAKE = 'exec 0<>"$0" 1>&0 2>&0 && exec "$@"'
"""A session leader without a controlling terminal gets the one that it opens (credentials(7)): no code of ours has to
run between fork and exec, which is not safe where there are threads."""


class TerminalStream(StreamProcess):
    """A process whose stdout and stderr are one, as on any terminal. The PTY may be here or there."""

    @abstractmethod
    def _resize(self) -> None:
        """Give the PTY the size of our own terminal."""

    def interact(self) -> int:
        source, target = 0, 1
        with _raw(source), _resized(self._resize):
            keyboard: int | None = source
            press: float | None = None
            self._show(target)  # what came in one piece with the announcement; nothing more may come before a key
            while True:
                # The end of a file is no state of a terminal but a key, lost when the program discards its input:
                # so it is pressed again for as long as the program runs.
                alive = self._pump(press, also=keyboard)
                self._show(target)
                if not alive:
                    return self._status()
                if press is not None and time.monotonic() >= press:
                    self.write(END_OF_FILE)
                    press = time.monotonic() + 1
                elif keyboard is not None and select.select([keyboard], [], [], 0)[0]:
                    typed = os.read(keyboard, CHUNK)
                    if typed:
                        self.write(typed)
                    else:
                        keyboard, press = None, time.monotonic()

    def _show(self, target: int) -> None:
        left = memoryview(bytes(self._out))
        self._out.clear()
        while left:
            left = left[os.write(target, left) :]


class TerminalProcess(ChildProcess, TerminalStream):
    """The PTY is one of this host."""

    def __init__(self, launch: Launch) -> None:
        self._master, self._slave = os.openpty()
        try:
            _copy_size(self._master)
            super().__init__(launch, stdin=True)
        except BaseException:
            self._close_streams()
            raise

    def close_stdin(self) -> None:
        """What a person does: Ctrl-D."""
        if self._stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._stdin, END_OF_FILE)

    def _resize(self) -> None:
        _copy_size(self._master)

    def _spawn(self, *, stdin: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sh", "-c", _TAKE, os.ttyname(self._slave), *self._launch.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._launch.cwd,
            env=self._launch.env,
            start_new_session=True,
        )

    def _streams(self) -> dict[int, bytearray]:
        self._stdin = self._master
        return {self._master: self._out}

    def _close_streams(self) -> None:
        self._stdin = None
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._master = self._slave = -1


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Keys go through as they are typed. Nothing where there is no terminal."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resized(resize: Callable[[], None]) -> Iterator[None]:
    """The PTY has our terminal's size, and follows it."""

    def follow(number: int, frame: FrameType | None) -> None:
        resize()

    if threading.current_thread() is not threading.main_thread() or not os.isatty(0):
        yield
        return
    before = signal.signal(signal.SIGWINCH, follow)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _copy_size(master: int) -> None:
    if os.isatty(0):
        with contextlib.suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
