from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.connections import open_connection, shell
from harness.connections.base import Connection
from harness.connections.channel import PipeChannel
from harness.errors import CommandTimedOut, TransportFailed, UsageError
from harness.models.endpoint import Local, Sandbox
from tests.waiting import wait_for

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)

FUZZ = settings(
    max_examples=int(os.environ.get("HARNESS_FUZZ", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_status_and_both_streams(connection: Connection) -> None:
    done = connection.run("echo out; echo err >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert 0 < done.duration < 60


def test_any_bytes(connection: Connection, folder: str) -> None:
    @FUZZ
    @given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 255))
    def check(out: bytes, err: bytes, status: int) -> None:
        connection.push(out, f"{folder}/out")
        connection.push(err, f"{folder}/err")
        done = connection.run(f"cat {folder}/out; cat {folder}/err >&2; exit {status}")
        assert (done.rc, done.stdout, done.stderr) == (status, out, err)

    check()


def test_any_words(connection: Connection) -> None:
    @FUZZ
    @given(st.lists(WORD, min_size=1, max_size=6))
    def check(words: list[str]) -> None:
        done = connection.run(["printf", "%s\\0", *words])
        assert done.stdout == b"".join(word.encode() + b"\0" for word in words)

    check()


def test_any_stdin_and_environment(connection: Connection) -> None:
    @FUZZ
    @given(st.binary(max_size=300), WORD)
    def check(data: bytes, value: str) -> None:
        done = connection.run('cat; printf %s "$V" >&2', stdin=data, env={"V": value})
        assert (done.rc, done.stdout, done.stderr) == (0, data, value.encode())

    check()


def test_three_megabytes_on_both_streams(connection: Connection) -> None:
    done = connection.run("head -c 3000000 /dev/zero; head -c 3000001 /dev/zero >&2")
    assert (done.stdout, done.stderr) == (bytes(3000000), bytes(3000001))
    assert connection.traffic is not None
    passed = connection.traffic.so_far()
    assert 6000001 <= passed.received < 6010000 and passed.sent < 10000
    assert connection.run("echo next").stdout == b"next\n"
    assert connection.traffic.so_far().since(passed).round_trips == 1


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 7", 7),
        ("exec true", 0),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill 0", 143),
        ("set -e; false; true", 1),
        ("exec 0<&- 1>&- 2>&- 3>&- 4>&- 5>&- 6>&- 7>&-", 0),
        ("unset PATH; cd /; umask 0; trap '' TERM INT HUP", 0),
        ("/nosuch/program", 127),
        ("/etc/passwd", 126),
        ("if true; then", 2),
        ("echo 'never closed", 2),
        ("cat <<E\nx\nE", 0),
        ("exit 0 # a comment", 0),
        ("true &", 0),
        ("", 0),
        ("\n\n", 0),
        ("{", 2),
        (")", 2),
        ("echo a \\", 0),
    ],
)
def test_what_a_command_does_to_its_shell_stays_there(connection: Connection, command: str, status: int) -> None:
    before = connection.run("pwd; umask; echo $PATH; trap").stdout
    assert connection.run(command).rc == status
    assert connection.run("pwd; umask; echo $PATH; trap").stdout == before


def test_the_shell_is_the_commands_own(connection: Connection) -> None:
    done = connection.run("echo $$ $0; sh -c 'echo $PPID'; cat /proc/self/stat")
    [own, name], [parent], stat = (line.split() for line in done.out.splitlines())
    assert (own, name) == (parent, "sh")
    assert stat[5] == own, "it leads a session of its own"
    signals = connection.run("grep SigIgn /proc/self/status").out
    assert int(signals.split()[1], 16) == 0, "no signal is ignored"


def test_nothing_of_ours_is_in_its_environment(connection: Connection) -> None:
    assert "_h_" not in connection.run("env").out


def test_argument_vector_is_executed_not_interpreted(connection: Connection) -> None:
    assert connection.run(["echo", "$HOME;", "a  b", "*"]).stdout == b"$HOME; a  b *\n"
    missing = connection.run(["nosuch-program"])
    assert missing.rc == 127
    assert b"nosuch-program" in missing.stderr
    with pytest.raises(UsageError, match="at least one word"):
        connection.run([])


def test_background_process_neither_delays_nor_mixes(connection: Connection) -> None:
    started = connection.run(
        "echo first; (sleep 0.1; while :; do echo noise; echo noise >&2; sleep 0.01; done) & echo $!"
    )
    pid = started.out.split()[-1]
    assert started.out.startswith("first\n")
    for number in range(20):
        assert connection.run(f"echo {number}").stdout == f"{number}\n".encode()
    assert connection.run(["kill", pid]).rc == 0, "and it still runs"


def test_timeout_kills_the_group_and_keeps_what_was_written(connection: Connection) -> None:
    word = f"3{time.time_ns() % 10**8}"
    with pytest.raises(CommandTimedOut, match=r"node1: .*did not end within 0\.3 s") as caught:
        connection.run(f"trap '' TERM INT HUP; echo out; echo err >&2; sleep {word} & sleep {word}", timeout=0.3)
    assert (caught.value.stdout, caught.value.stderr) == (b"out\n", b"err\n")
    wait_for(lambda: not processes_with(word))
    assert connection.run("echo next").stdout == b"next\n"


def test_timeout_reaches_process_groups_within_the_session(connection: Connection) -> None:
    word = f"4{time.time_ns() % 10**8}"
    program = f"import os; os.fork() or os.setpgid(0, 0); os.execlp('sleep', 'sleep', '{word}')"
    with pytest.raises(CommandTimedOut):
        connection.run(["python3", "-c", program], timeout=0.6)
    wait_for(lambda: not processes_with(word))


def test_a_timeout_adds_no_word_of_a_shell(connection: Connection) -> None:
    """A shell that lives longer than its child tells that it was killed, in the command's own stderr."""
    for _ in range(3):
        with pytest.raises(CommandTimedOut) as caught:
            connection.run("(sh -c '(sh -c \"sleep 60; :\"; :); :'; :) & (sleep 60; :); sleep 60", timeout=0.3)
        assert caught.value.stderr == b""


def test_dead_shell_is_told_then_replaced(connection: Connection) -> None:
    with pytest.raises(TransportFailed, match="node1: the shell ended while `kill -9"):
        connection.run("kill -9 $PPID; sleep 10")
    assert connection.run("echo again").stdout == b"again\n"


def test_shell_killed_between_commands_goes_unnoticed(connection: Connection) -> None:
    shell = connection.run("echo $PPID").out.strip()
    gone = f"kill -9 {shell}; while grep -q '^State:.[^ZX]' /proc/{shell}/status; do sleep 0.01; done"
    with connection.start(gone) as killer:
        killer.wait(60)
    assert connection.run("echo again").stdout == b"again\n"


def test_its_folder_may_vanish(connection: Connection) -> None:
    done = connection.run("rm -rf /dev/shm/.harness-* /run/.harness-* /tmp/.harness-*; echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert connection.run("echo next").stdout == b"next\n"


def test_where_nothing_can_be_written(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "FOLDERS", ("/proc", "/nosuch"))
    done = connection.run("cat; echo err >&2; exit 3", stdin=b"x")
    assert (done.rc, done.stdout, done.stderr) == (3, b"x", b"err\n")
    with pytest.raises(CommandTimedOut) as caught:
        connection.run("echo out; sleep 60", timeout=0.4)
    assert caught.value.stdout == b"out\n"


@pytest.fixture(params=["seen", "sent"])
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of one MiB, in which a shell has its folder; another folder is there to go to."""
    place, other = tmp_path / "small", tmp_path / "other"
    place.mkdir()
    other.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        monkeypatch.setattr(shell, "FOLDERS", (str(place), str(other)))
        if request.param == "sent":
            monkeypatch.setattr(PipeChannel, "root", lambda *_: None)
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
@pytest.mark.parametrize("stream", ["1", "2"])
@pytest.mark.parametrize("size", [1, 5000, 2_000_000])
def test_no_answer_is_ever_cut_short(small: Path, local: Connection, stream: str, size: int) -> None:
    assert local.run("echo first").stdout == b"first\n"
    assert list(small.iterdir())
    fills = f"head -c 1100000 /dev/zero >{small}/filler 2>/dev/null"
    with pytest.raises(TransportFailed, match=rf"node1: what `.* was cut short .*status 0.* {small}/") as caught:
        local.run(f"{fills}; head -c {size} /dev/zero >&{stream} 2>/dev/null; exit 0")
    assert caught.value.hint
    assert f"df {small}`" in caught.value.hint
    after = local.run("echo out; echo err >&2; exit 3")
    assert (after.rc, after.stdout, after.stderr) == (3, b"out\n", b"err\n")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_a_folder_that_is_full_before_a_command_is_left(small: Path, local: Connection) -> None:
    local.run("true")
    fill(small)
    assert local.run("cat; echo ran >>ran", stdin=bytes(range(256)) * 16).stdout == bytes(range(256)) * 16
    assert local.run("cat ran").stdout == b"ran\n", "and once only"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_a_command_killed_on_a_full_disk_says_both(small: Path, local: Connection) -> None:
    with pytest.raises(CommandTimedOut, match="did not end within 2 s") as caught:
        local.run("head -c 2000000 /dev/zero; sleep 60", timeout=2)
    assert 0 < len(caught.value.stdout) < 2_000_000
    assert caught.value.hint
    assert f"no room is left in {small}/" in caught.value.hint


def test_stdin(connection: Connection) -> None:
    assert connection.run("cat").stdout == b""
    assert connection.run("cat", stdin=b"%s\\n\0'\"").stdout == b"%s\\n\0'\""
    large = bytes(range(256)) * 8000
    assert connection.traffic is not None
    before = connection.traffic.so_far()
    assert connection.run("cat", stdin=large).stdout == large
    passed = connection.traffic.so_far().since(before)
    assert len(large) < passed.sent < len(large) + 10000 and len(large) < passed.received < len(large) + 10000
    assert connection.run("exit 4", stdin=large).rc == 4
    with pytest.raises(CommandTimedOut):
        connection.run("sleep 60", stdin=large, timeout=0.3)


def test_reopened_streams(connection: Connection) -> None:
    done = connection.run("echo a; echo b >/dev/stdout; echo c >&2; echo d >/dev/stderr")
    assert (done.stdout, done.stderr) == (b"a\nb\n", b"c\nd\n")


def test_environment_and_folder(connection: Connection) -> None:
    done = connection.run('echo "$A-$B"; pwd', env={"A": "x\ny", "B": "'"}, cwd="/usr/bin")
    assert done.out == "x\ny-'\n/usr/bin\n"
    assert connection.run("echo ${A-unset}").out == "unset\n"
    assert connection.run("echo $PATH", env={"PATH": "/nosuch"}).out == "/nosuch\n"
    missing = connection.run("echo ran", cwd="/no such")
    assert (missing.rc, missing.stdout) == (1, b"")
    assert missing.err == "sh: cd: can't cd to /no such\n"
    with pytest.raises(UsageError, match="no name for an environment variable"):
        connection.run("true", env={"A=B": ""})


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_user(connection: Connection) -> None:
    done = connection.run('id -un; echo $HOME $USER; echo "$A"', user="nobody", env={"A": "x y"}, cwd="/")
    assert done.out == "nobody\n/nonexistent nobody\nx y\n"
    assert connection.run(["id", "-u"], user="65534").out == "65534\n"
    assert connection.run("exit 5", user="root").rc == 5
    unknown = connection.run("echo ran", user="no-such-user")
    assert (unknown.rc, unknown.stdout, unknown.stderr) == (1, b"", b"harness: there is no user 'no-such-user' here\n")


def test_no_command_can_hold_nul(connection: Connection) -> None:
    with pytest.raises(UsageError, match="NUL"):
        connection.run("echo a\0b")
    assert connection.run("echo next").stdout == b"next\n"


def test_threads_share_one_connection(connection: Connection) -> None:
    def work(number: int) -> bool:
        return connection.run(f"echo {number}; echo {-number} >&2").out == f"{number}\n"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))


def test_interrupted_command_leaves_the_shell_in_step(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.run("true")
    word = f"5{time.time_ns() % 10**8}"
    receive = shell.PersistentShell._receive

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shell.PersistentShell, "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.run(f"sleep {word}; echo late")
    monkeypatch.setattr(shell.PersistentShell, "_receive", receive)
    assert connection.run("echo next").stdout == b"next\n"
    wait_for(lambda: not processes_with(word))


def test_close_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208

    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(shell, "FOLDERS", (str(place),))
    before = count()
    for _ in range(2):
        opened = open_connection(Local(directory=str(tmp_path)), name="node1")
        opened.run("cat", stdin=bytes(100_000))
        with pytest.raises(CommandTimedOut):
            opened.run("sleep 60", timeout=0.1)
        with pytest.raises(TransportFailed):
            opened.run("kill -TERM $PPID; sleep 0.1")
        opened.run("true")
        assert len(list(place.iterdir())) == 1
        opened.close()
        opened.close()
        assert not list(place.iterdir())
    assert count() == before
    with pytest.raises(TransportFailed, match="closed"):
        opened.run("true")


def test_files_of_earlier_commands_are_swept(
    local: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "FOLDERS", (str(tmp_path),))
    for _ in range(100):
        local.run("echo x")
    [place] = tmp_path.glob(".harness-*")
    assert len(list(place.iterdir())) < 3 * shell.SWEEP


def test_unreachable_endpoints_say_so(tmp_path: Path) -> None:
    with (
        open_connection(Local(directory=str(tmp_path / "gone")), name="node1") as opened,
        pytest.raises(TransportFailed, match=r"node1: its folder .*gone is gone"),
    ):
        opened.run("true")
    sandbox = Sandbox(pid=os.getpid(), start_time=1)
    with open_connection(sandbox, name="node2") as opened:
        with pytest.raises(TransportFailed, match=f"node2: the sandbox is gone: its process {os.getpid()} "):
            opened.run("true")
        with pytest.raises(TransportFailed, match=f"node2: the sandbox is gone: its process {os.getpid()} "):
            opened.start("true")


@pytest.fixture
def busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """This host with nothing but busybox on its PATH."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("busybox is not installed")
    place = tempfile.TemporaryDirectory()
    tools = Path(place.name)
    tools.chmod(0o755)  # another user looks for programs there too
    for name in subprocess.run([program, "--list"], capture_output=True, check=True, text=True).stdout.split():
        (tools / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))
    with place, open_connection(Local(directory=str(tmp_path)), name="node1") as opened:
        yield opened


def test_busybox_is_enough(busybox: Connection, tmp_path: Path) -> None:
    done = busybox.run("cat; echo err >&2; readlink /proc/$$/exe; exit 3", stdin=b"-\0%")
    assert (done.rc, done.stderr) == (3, b"err\n")
    assert done.stdout.startswith(b"-\0%")
    assert b"busybox" in done.stdout
    assert busybox.run("kill -9 $$").rc == 137
    assert busybox.run("if").rc == 2
    with pytest.raises(CommandTimedOut):
        busybox.run("sleep 60", timeout=0.2)
    (tmp_path / "tree" / ("x" * 150)).mkdir(parents=True)
    (tmp_path / "tree" / "new\nline").symlink_to("nowhere")
    busybox.push(tmp_path / "tree", f"{tmp_path}/there")
    busybox.pull(f"{tmp_path}/there", tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["new\nline", "x" * 150]
    if os.geteuid() == 0:
        assert (
            busybox.run('id -un; echo $HOME "$A"', user="nobody", env={"A": "x y"}).out == "nobody\n/nonexistent x y\n"
        )
