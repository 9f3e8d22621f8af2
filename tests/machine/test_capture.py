"""One look at a machine tells everything that was asked, whatever tools it has."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from harness.connections.base import Connection
from harness.machine import Look, Socket, capture, differences, listing
from harness.machine.capture import read_in_use, read_sockets, read_traffic


def test_an_entry_has_everything(local: Connection, tmp_path: Path) -> None:
    file, link = tmp_path / "a|b", tmp_path / "link"
    file.write_bytes(b"12345")
    file.chmod(0o4750)
    os.utime(file, ns=(0, 1_500_000_000_250_000_000))
    link.symlink_to("nowhere at all")
    seen = capture(local, Look(paths=[str(file), str(link), str(tmp_path / "missing")], folders=[str(tmp_path)]))
    entry = seen.files[str(file)]
    assert (entry.kind, entry.octal, entry.uid, entry.size) == ("file", "4750", os.getuid(), 5)
    assert (entry.mtime, entry.inode) == (1_500_000_000.25, file.stat().st_ino)
    assert entry.sha256 == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert seen.files[str(link)].target == "nowhere at all"
    assert set(seen.files) == {str(file), str(link)}
    assert abs(seen.clock - file.stat().st_ctime) < 60


def test_a_tree_and_only_what_lies_directly_in_a_folder(local: Connection, tmp_path: Path) -> None:
    deep = tmp_path / "one" / "two"
    deep.mkdir(parents=True)
    (deep / "new\nline").write_text("")
    assert set(capture(local, Look(folders=[str(tmp_path)])).files) == {str(tmp_path / "one")}
    tree = capture(local, Look(trees=[str(tmp_path)])).files
    assert set(tree) == {str(path) for path in (tmp_path, tmp_path / "one", deep, deep / "new\nline")}


def test_where_find_cannot_print(local: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As busybox has it: whole seconds, everything else the same."""
    (tmp_path / "file with spaces").write_text("x")
    (tmp_path / "link").symlink_to("file with spaces")
    look = Look(trees=[str(tmp_path)])
    by_find = capture(local, look)
    monkeypatch.setattr(listing, "PREFACE", listing.PREFACE.replace("if find / -maxdepth 0 -printf ''", "if false"))
    by_stat = capture(local, look)
    assert set(by_stat.files) == set(by_find.files)
    assert differences(by_find, by_stat) == []
    entry = by_stat.files[str(tmp_path / "link")]
    assert (entry.target, entry.ctime) == ("file with spaces", int(by_find.files[str(tmp_path / "link")].ctime))


@pytest.mark.sandbox
def test_processes_sockets_and_what_went_out(sandbox: Connection) -> None:
    if not sandbox.run("command -v python3").ok:
        pytest.skip("no python3 in the sandbox")
    look = Look(processes=True, sockets=True, accounts=True, traffic=True)
    before = capture(sandbox, look)
    program = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 4711))\n"
        "u = socket.socket(type=socket.SOCK_DGRAM)\n"
        "try: u.sendto(b'x', ('192.0.2.1', 9))\nexcept OSError: pass\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with sandbox.start(["python3", "-c", program]) as process:
        next(iter(process.lines()))
        after = capture(sandbox, look)
    found = differences(before, after)
    assert Socket("tcp", "127.0.0.1", 4711) in (after.sockets or ())
    assert "tcp 127.0.0.1:4711" in [change.name for change in found if change.kind == "socket"]
    assert [change for change in found if change.kind == "process" and "python3 -c" in change.name]
    assert after.traffic
    assert after.traffic != before.traffic
    assert (after.sockets_in_use or 0) > (before.sockets_in_use or 0)
    assert after.users == before.users
    assert "root" in after.users


def test_sockets_as_the_kernel_tells_them() -> None:
    """Of this machine, a listening socket of each kind."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        tables = {name: Path(f"/proc/net/{name}").read_text() for name in ("tcp", "udp")}
        found = read_sockets(tables)
        assert found is not None
        assert Socket("tcp", "127.0.0.1", server.getsockname()[1]) in found
        assert Socket("udp", "127.0.0.1", datagrams.getsockname()[1]) in found
        assert (read_in_use(Path("/proc/net/sockstat").read_text()) or 0) >= 2
    six = "  sl  local\n   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0\n"
    assert read_sockets({"tcp6": six}) == frozenset([Socket("tcp6", "::1", 22)])
    assert read_sockets({}) is None
    told = read_traffic("Tcp: A ActiveOpens\nTcp: 1 7\nIp: OutNoRoutes\nIp: 3\n")
    assert told == {"Tcp.ActiveOpens": 7, "Ip.OutNoRoutes": 3}


def test_a_fifo_among_the_paths_holds_nothing_up(local: Connection, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    subprocess.run(["mkfifo", pipe], check=True)
    assert capture(local, Look(paths=[pipe]), timeout=20).files[pipe].kind == "named pipe"


def test_a_large_file_is_not_summed(local: Connection, tmp_path: Path) -> None:
    small, large, link = tmp_path / "small", tmp_path / "large", tmp_path / "link"
    small.write_bytes(b"x" * 4096)
    large.write_bytes(b"x" * 9000)
    link.symlink_to("small")
    seen = capture(local, Look(paths=[str(small), str(large), str(link)], largest=4096)).files
    assert [seen[str(path)].sha256 is not None for path in (small, large, link)] == [True, False, True]
