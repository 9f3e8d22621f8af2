# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A listener on the loopback of a platform of which only commands' streams reach us: this text is run there.

Whoever connects is carried in frames, on stdout and stdin: a letter, four bytes of the connection's number and four of
its length (big endian), and so many bytes.

    from there:  a accepted   d data   e nothing more will come from it
    to there:    d data   c close it

`listening` and a newline come before all frames. It ends with its stdin. It needs Python 3.9, and nothing of ours.

usage: listener PORT (exit status 98: something listens there already)
"""

from __future__ import annotations

import errno
import os
import select
import sys

assert sys.platform != "win32"

import _socket  # `socket` itself takes a third of a second where the processor is emulated

TAKEN = 98
AT_ONCE = 32
"""Connections; more wait to be accepted."""
PIECE = 1 << 16
SECONDS = 30.0
"""For a connection to take what it is sent."""


def send(kind: bytes, number: int, data: bytes = b"") -> None:
    left = kind + number.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data
    while left:
        left = left[os.write(1, left) :]


class Listener:
    def __init__(self, port: int) -> None:
        self.listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        self.listening.bind(("127.0.0.1", port))
        self.listening.listen(AT_ONCE)
        self.last = 0
        self.clients: dict[int, _socket.socket] = {}
        self.silent: set[int] = set()
        """Those from which nothing more will come."""
        self.heard = bytearray()

    def run(self) -> None:
        while self.turn():
            pass

    def turn(self) -> bool:
        """Wait for something and do it. False once stdin has ended."""
        poller = select.poll()
        poller.register(0, select.POLLIN)
        if len(self.clients) < AT_ONCE:
            poller.register(self.listening.fileno(), select.POLLIN)
        speaking = {self.clients[number].fileno(): number for number in self.clients if number not in self.silent}
        for descriptor in speaking:
            poller.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll()}
        if self.listening.fileno() in ready:
            self.accept()
        for descriptor in ready & set(speaking):
            self.hear(speaking[descriptor])
        if 0 in ready:
            data = os.read(0, PIECE)
            self.heard += data
            self.obey()
            return bool(data)
        return True

    def accept(self) -> None:
        try:
            descriptor, _ = self.listening._accept()  # type: ignore[attr-defined]
        except OSError:  # it has gone already
            return
        client = _socket.socket(fileno=descriptor)
        client.settimeout(SECONDS)
        self.last += 1
        self.clients[self.last] = client
        send(b"a", self.last)

    def hear(self, number: int) -> None:
        try:
            data = self.clients[number].recv(PIECE)
        except OSError:
            data = b""
        if data:
            send(b"d", number, data)
        else:
            self.silent.add(number)
            send(b"e", number)

    def obey(self) -> None:
        at = 0
        while len(self.heard) - at >= 9:
            end = at + 9 + int.from_bytes(self.heard[at + 5 : at + 9], "big")
            if end > len(self.heard):
                break
            number = int.from_bytes(self.heard[at + 1 : at + 5], "big")
            if self.heard[at : at + 1] == b"d":
                self.tell(number, bytes(self.heard[at + 9 : end]))
            elif number in self.clients:
                self.clients.pop(number).close()
                self.silent.discard(number)
            at = end
        del self.heard[:at]

    def tell(self, number: int, data: bytes) -> None:
        try:
            if number in self.clients:
                self.clients[number].sendall(data)
        except OSError:  # it reads no more: that it says no more, either, is told where it is heard
            pass


def main(port: int) -> None:
    try:
        listener = Listener(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(TAKEN)
        sys.exit(f"{error.strerror or error}")
    os.write(1, b"listening\n")
    listener.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
