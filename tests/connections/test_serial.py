"""What only a guest does: it is set back, restarted, and its ports are shared. (All else: every connection's tests.)"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.connections.stream import StreamProcess
from harness.errors import HarnessError, TransportFailed, Unreachable
from harness.models.endpoint import Serial
from tests.guests import Guest, answered, debian_guest
from tests.waiting import wait_for

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)

pytestmark = [pytest.mark.vm, pytest.mark.slow]


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    with debian_guest() as made:
        yield made


@pytest.fixture
def connection(guest: Guest) -> Iterator[Connection]:
    with open_connection(guest.endpoint, name="guest") as opened:
        yield opened


def boot_id(connection: Connection) -> str:
    return connection.run("cat /proc/sys/kernel/random/boot_id").out.strip()


def test_many_commands_from_many_threads(guest: Guest, connection: Connection) -> None:
    """Over connections of their own and over one that is shared: none gets another's answer."""
    wrong: list[str] = []

    def ask(asked: Connection, name: str) -> None:
        for number in range(60):
            done = asked.run(f"printf {name}-{number}; printf {number}-{name} >&2; exit {number}")
            if (done.out, done.err, done.rc) != (f"{name}-{number}", f"{number}-{name}", number):
                wrong.append(f"{name}-{number}: {done}")

    with open_connection(guest.endpoint, name="other") as other:
        threads = [
            threading.Thread(target=ask, args=(asked, name))
            for asked, name in ((connection, "a"), (connection, "b"), (other, "c"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_restored_in_the_middle_of_a_command(guest: Guest, connection: Connection) -> None:
    """What was on its way then is never an answer now: a command gets its own, or a failure of the way."""
    connection.run("echo before >/root/state")
    wrong: list[str] = []
    right: list[int] = []
    stop = threading.Event()

    def ask(asked: Connection) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                done = asked.run(f"printf {number}; printf {number} >&2", timeout=5)
            except HarnessError:
                continue
            right.append(number)
            if (done.out, done.err) != (str(number), str(number)):
                wrong.append(f"{number}: {done}")

    with open_connection(guest.endpoint, name="busy") as busy:
        thread = threading.Thread(target=ask, args=(busy,))
        thread.start()
        try:
            wait_for(lambda: right)
            assert "rror" not in guest.monitor("savevm then")
            for _ in range(2):
                with open_connection(guest.endpoint, name="guest") as other:
                    other.run("echo after >/root/state; sync")
                guest.restored("then")
                right.clear()
                with open_connection(guest.endpoint, name="guest") as other:
                    assert other.run("cat /root/state").out == "before\n"
                wait_for(lambda: right)
        finally:
            stop.set()
            thread.join()
    assert wrong == []


def test_restarted(guest: Guest, connection: Connection) -> None:
    """What ran there fails as a failure of the way, and the connection goes on with the new system."""
    before = boot_id(connection)
    with open_connection(guest.endpoint, name="other") as other, other.start("sleep 1000") as process:
        guest.monitor("system_reset")
        with pytest.raises(TransportFailed, match="broke while `sleep 1000` ran: its shell was replaced"):
            process.wait(90)
    assert boot_id(connection) != before


def test_all_ports_in_use(guest: Guest, connection: Connection) -> None:
    ports = len(guest.endpoint.sockets) - 1
    with ExitStack() as stack:
        for _ in range(ports):
            stack.enter_context(connection.start("sleep 1000"))
        with pytest.raises(TransportFailed, match="all serial ports of the guest are in use"):
            connection.run("true", timeout=2)
    assert connection.run("pgrep -c sleep").out == "0\n"


def test_the_kinds_of_processes_leave_nothing(guest: Guest, connection: Connection) -> None:
    """After a command has ended, nothing of the way to it is left in the guest."""
    shells = connection.run("pgrep -c -x sh").out
    for _ in range(3):
        with connection.start("cat", stdin=True) as process:
            process.write(b"some")
            assert isinstance(process, StreamProcess)
        with connection.start("stty size; exit 4", pty=True) as terminal:
            done = terminal.wait(60)
            assert (done.rc, done.stdout) == (4, b"24 80\r\n")
    assert connection.run("pgrep -c python3").out == "0\n"
    assert connection.run("pgrep -c -x sh").out == shells


def test_without_python(guest: Guest, connection: Connection) -> None:
    connection.run("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        assert connection.run("echo here").out == "here\n"
        with pytest.raises(TransportFailed, match="python3 is missing in the guest"):
            connection.start("true")
        with pytest.raises(TransportFailed, match="python3 is missing in the guest"), connection.listen(21817):
            pass
    finally:
        connection.run("mv /usr/bin/python3.away /usr/bin/python3")


def test_environment(guest: Guest) -> None:
    endpoint = guest.endpoint.model_copy(update={"environment": {"COLOUR": "it's red"}})
    with open_connection(endpoint, name="guest") as opened:
        assert opened.run('printf "$COLOUR"').out == "it's red"
        with opened.start('printf "$COLOUR"') as process:
            assert process.wait(60).stdout == b"it's red"


def test_as_a_login_has_it(connection: Connection) -> None:
    """Of systemd's ways with a service nothing is to be noticed."""
    assert connection.run("pwd; echo $HOME; umask; id -un").out == "/root\n/root\n0022\nroot\n"
    assert connection.run("yes | head -n 1; echo ${PIPESTATUS:-}").out == "y\n\n"
    with connection.start("yes | head -n 1") as process:
        assert process.wait(60).stdout == b"y\n"
    assert connection.run("awk '/SigIgn/ {print $2}' /proc/self/status").out == "0000000000000000\n"


def test_a_guest_that_is_gone(tmp_path: Path) -> None:
    with (
        open_connection(Serial(sockets=(str(tmp_path / "missing"),)), name="gone") as opened,
        pytest.raises(TransportFailed, match=r"gone: the guest does not run: .*missing: No such file"),
    ):
        opened.run("true")


def test_a_guest_that_does_not_answer(guest: Guest, connection: Connection) -> None:
    """It is told as such, in time, and its next answer is right."""
    answered(guest)
    guest.monitor("stop")
    try:
        with open_connection(guest.endpoint, name="other") as other:
            started = time.monotonic()
            with pytest.raises(Unreachable, match="no shell in the guest has answered within 1 s"):
                other.run("true", timeout=1)
            assert time.monotonic() - started < 20
    finally:
        guest.monitor("cont")
    assert connection.run("echo back").out == "back\n"
