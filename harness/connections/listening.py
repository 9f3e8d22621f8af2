# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Sockets that listen on a platform's own loopback while the process that holds them is here."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import sys
from collections.abc import Iterator

assert sys.platform != "win32"

from harness.errors import PortTaken, TransportFailed
from harness.sandbox.command import program
from harness.scratch import scratch

_SECONDS = 20.0
_TAKEN = 98
"""The exit status of `harness.sandbox.listen` for a port that is taken."""


def here(port: int, label: str) -> socket.socket:
    """On this machine's own loopback. Raises PortTaken, TransportFailed."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken(label, port) from error
        raise TransportFailed(f"{label}: no listener on 127.0.0.1:{port}: {error.strerror or error}") from error


def in_network_of(pid: int, start_time: int, port: int, label: str, *, rootless: bool = False) -> socket.socket:
    """On the loopback of the network in which that process of this host lives. Raises PortTaken, TransportFailed."""
    if sys.platform == "linux" and not rootless:
        from harness.sandbox.listen import listen

        try:
            return listen(pid, start_time, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise taken(label, port) from error
            raise _failed(label, error.strerror or str(error)) from error
    return _by_child(pid, start_time, port, label)


def _by_child(pid: int, start_time: int, port: int, label: str) -> socket.socket:
    """A process with threads cannot enter a user name space."""
    options = ["--pid", str(pid), "--start-time", str(start_time), "--rootless"]
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = subprocess.Popen(
                program("listen", [*options, "--", str(port)]),
                stdin=subprocess.DEVNULL,
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
            )
        with child:
            try:
                _, said = child.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                _, said = child.communicate()
        if child.returncode == 0:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            return socket.socket(fileno=descriptors[0])
    if child.returncode == _TAKEN:
        raise taken(label, port)
    words = said.decode(errors="replace").strip().removeprefix("harness-listen: ")
    raise _failed(label, words or f"exit status {child.returncode}")


@contextlib.contextmanager
def on_file() -> Iterator[tuple[socket.socket, str]]:
    """On a socket file that this user alone can open, and its path: where a forward may end."""
    with scratch("listen") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = str(folder / "s")  # short: 108 bytes, unix(7)
        listening.bind(path)
        listening.listen()
        yield listening, path


def taken(label: str, port: int) -> PortTaken:
    return PortTaken(f"{label}: something listens on its 127.0.0.1:{port} already")


def _failed(label: str, words: str) -> TransportFailed:
    return TransportFailed(f"{label}: no listener on its loopback: {words}")
