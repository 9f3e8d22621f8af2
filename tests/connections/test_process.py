from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from harness.connections.base import Connection
from harness.errors import CommandTimedOut, TransportFailed
from tests.waiting import wait_for

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)


def alive(connection: Connection, pid: str) -> bool:
    return connection.run(f"grep -q '^State:.[^ZX]' /proc/{pid}/status").rc == 0


def test_lines_come_while_it_runs(connection: Connection) -> None:
    with connection.start("while read -r word; do echo got $word; done; printf end; exit 4", stdin=True) as process:
        lines = process.lines()
        for number in range(5):
            process.write(f"{number}\n".encode())
            assert next(lines) == f"got {number}\n".encode()
        process.close_stdin()
        assert list(lines) == [b"end"]
        done = process.wait()
    assert (done.rc, done.stdout, done.stderr) == (4, b"", b"")


def test_both_streams_come_while_it_runs(connection: Connection) -> None:
    with connection.start("echo first >&2; read -r word; echo $word; printf last >&2; exit 4", stdin=True) as process:
        pieces = process.pieces()
        assert next(pieces) == (b"", b"first\n")
        process.write(b"second\n")
        left = list(pieces)
        assert (b"".join(out for out, _ in left), b"".join(err for _, err in left)) == (b"second\n", b"last")
        done = process.wait()
    assert (done.rc, done.stdout, done.stderr) == (4, b"", b"")


def test_wait_returns_what_is_left(connection: Connection) -> None:
    with connection.start("echo one; echo err >&2; echo two; exit 3") as process:
        assert next(process.lines()) == b"one\n"
        done = process.wait()
        assert (done.rc, done.stdout, done.stderr) == (3, b"two\n", b"err\n")
        assert process.wait().rc == 3


def test_much_on_all_three_streams(connection: Connection) -> None:
    data = bytes(range(256)) * 4000
    with connection.start("tee /dev/stderr", stdin=True) as process:
        process.write(data)
        process.close_stdin()
        done = process.wait(60)
    assert (done.rc, done.stdout == data, done.stderr == data) == (0, True, True)


def test_without_stdin_it_reads_nothing(connection: Connection) -> None:
    with connection.start("cat") as process:
        assert process.wait(30).rc == 0
        with pytest.raises(TransportFailed, match="closed"):
            process.write(b"x")


def test_write_to_one_that_has_ended(connection: Connection) -> None:
    with connection.start("exec 0<&-", stdin=True) as process:
        process.wait(30)
        with pytest.raises(TransportFailed, match="node1: "):
            process.write(bytes(1 << 20))


def test_surroundings_and_failures_to_start(connection: Connection) -> None:
    with connection.start('echo "$A"; pwd; exit 5', env={"A": "x\ny"}, cwd="/usr") as process:
        done = process.wait()
        assert (done.rc, done.stdout) == (5, b"x\ny\n/usr\n")
    for command, status in ((["/nosuch"], 127), ("if", 2), ("kill -9 $$", 137)):
        with connection.start(command) as process:
            assert process.wait().rc == status
    with connection.start("echo ran", cwd="/nosuch") as process:
        done = process.wait()
        assert (done.rc, done.stdout, done.stderr) == (1, b"", b"sh: cd: can't cd to /nosuch\n")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_another_user(connection: Connection) -> None:
    with connection.start("id -un; echo $HOME", user="nobody") as process:
        assert process.wait().stdout == b"nobody\n/nonexistent\n"
    with connection.start("true", user="no-such-user") as process:
        done = process.wait()
        assert (done.rc, done.stderr) == (1, b"harness: there is no user 'no-such-user' here\n")


def test_signal_reaches_the_whole_group(connection: Connection) -> None:
    child = "(trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.05; done)"
    script = f"trap 'wait $child; exit 9' TERM; {child} & child=$!; wait $child"
    with connection.start(script) as process:
        lines = process.lines()
        assert next(lines) == b"ready\n"
        process.signal(signal.SIGTERM)
        assert next(lines) == b"child\n"
        assert process.wait(30).rc == 9
        process.signal(signal.SIGTERM)


def test_leaving_kills_the_group(connection: Connection) -> None:
    with connection.start("trap '' TERM INT HUP; sleep 1000 & echo $$ $!; wait") as process:
        leader, child = next(process.lines()).decode().split()
        with pytest.raises(CommandTimedOut, match=r"node1: .* did not end within 0\.1 s"):
            process.wait(0.1)
        assert alive(connection, child), "a passed deadline alone kills nothing"
    wait_for(lambda: not alive(connection, leader))
    wait_for(lambda: not alive(connection, child))


def test_leaving_after_its_end_spares_what_it_left_behind(connection: Connection) -> None:
    with connection.start("sleep 1000 & echo $!") as process:
        pid = process.wait(30).out.strip()
    assert alive(connection, pid), "a service that was started stays"
    connection.run(["kill", "-9", pid])


def test_background_writer_does_not_hold_it(connection: Connection) -> None:
    with connection.start("(while :; do echo noise; done) & echo $!") as process:
        lines = list(process.lines())
    pid = next(line for line in lines if line != b"noise\n").decode().strip()
    connection.run(["kill", "-9", pid])


def test_close_kills_what_still_runs(tmp_path: Path) -> None:
    from harness.connections import open_connection
    from harness.models.endpoint import Local

    with open_connection(Local(directory=str(tmp_path)), name="node1") as other:
        before = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
        others = set(psutil.Process().children())
        opened = open_connection(Local(directory=str(tmp_path)), name="node1")
        pids = [next(opened.start("echo $$; exec sleep 1000", pty=pty).lines()) for pty in (False, True)]
        opened.close()
        wait_for(lambda: not any(alive(other, pid.decode().strip()) for pid in pids))
        for child in set(psutil.Process().children()) - others:
            assert child.status() != psutil.STATUS_ZOMBIE
    assert len(os.listdir("/proc/self/fd")) <= before[0]  # noqa: PTH208
    assert threading.active_count() == before[1]


def test_terminal(connection: Connection) -> None:
    with connection.start("tty >/dev/null && echo a terminal; echo err >&2; exit 6", pty=True) as process:
        done = process.wait(30)
    assert (done.rc, done.stdout, done.stderr) == (6, b"a terminal\r\nerr\r\n", b"")


def test_typing_at_a_terminal(connection: Connection) -> None:
    with connection.start("stty -echo; echo ready; read -r word; echo got $word; cat; echo end", pty=True) as process:
        lines = process.lines()
        assert next(lines) == b"ready\r\n"
        process.write(b"word\n")
        assert next(lines) == b"got word\r\n"
        process.close_stdin()
        assert next(lines) == b"end\r\n"
        assert process.wait(30).rc == 0


def test_interrupt_key_reaches_the_foreground(connection: Connection) -> None:
    with connection.start(
        "trap 'echo interrupted; exit 8' INT; echo ready; while :; do sleep 0.05; done", pty=True
    ) as process:
        lines = process.lines()
        assert next(lines) == b"ready\r\n"
        process.write(b"\x03")
        assert process.wait(30).rc == 8


PERSON = """
import sys
from harness.connections import open_connection
from pydantic import TypeAdapter
from harness.models.endpoint import Endpoint
endpoint = TypeAdapter(Endpoint).validate_json(sys.argv[1])
with open_connection(endpoint, name="node1") as connection, connection.start(sys.argv[2], pty=True) as process:
    sys.exit(process.interact())
"""


def endpoint_of(connection: Connection, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    for kind, word in (("sandbox", "sandbox"), ("docker", "container")):
        if f"({word} " in connection.name:
            text: str = request.getfixturevalue(f"{kind}_endpoint").model_dump_json()
            return text
    return f'{{"kind": "local", "directory": "{tmp_path}"}}'


def test_interact_on_a_terminal(connection: Connection, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(slave)
    command = (
        "trap 'stty size; exit 7' WINCH; stty -echo; stty size; read -r word; echo got $word; echo again; "
        "while :; do sleep 0.05; done"
    )
    arguments = [sys.executable, "-c", PERSON, endpoint_of(connection, request, tmp_path), command]
    person = subprocess.Popen(
        ["sh", "-c", 'exec 0<>"$0" 1>&0; exec "$@"', os.ttyname(slave), *arguments], start_new_session=True
    )
    seen = b""

    def until(pattern: bytes) -> None:
        nonlocal seen
        while not re.search(pattern, seen):
            ready = select.select([master], [], [], 30)[0]
            assert ready, f"{pattern!r} is not in {seen!r}; status {person.poll()}"
            seen += os.read(master, 4096)

    try:
        until(rb"33 77\r\n")
        assert termios.tcgetattr(slave)[3] & termios.ECHO == 0, "our terminal is raw meanwhile"
        os.write(master, b"word\r")
        until(rb"got word\r\nagain\r\n")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 88, 0, 0))
        until(rb"44 88\r\n")
        assert person.wait(30) == 7
        assert termios.tcgetattr(slave) == before
    finally:
        person.kill()
        person.wait()
        os.close(master)
        os.close(slave)


def test_interact_without_a_terminal(connection: Connection, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    endpoint = endpoint_of(connection, request, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PERSON, endpoint, "stty -echo; read -r word; echo got $word; cat; exit 5"],
        input=b"word\nmore\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert b"got word\r\nmore\r\n" in done.stdout


def test_interact_shows_what_was_read_before(
    connection: Connection, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first words may arrive in one piece with the announcement of the command's pid."""
    with connection.start("echo prompt; sleep 60", pty=True) as process:
        first = next(process.lines())
        shown: list[bytes] = []

        def pump(until: float | None, **waiting: object) -> bool:
            shown.append(capfdbinary.readouterr().out)
            return False

        process._out[:] = first  # type: ignore[attr-defined]
        monkeypatch.setattr(process, "_pump", pump)
        monkeypatch.setattr(process, "_status", lambda: 0)
        process.interact()
        assert shown == [b"prompt\r\n"]


def test_interact_needs_a_terminal_there(local: Connection) -> None:
    with local.start("true") as process, pytest.raises(TransportFailed, match="without a terminal"):
        process.interact()
