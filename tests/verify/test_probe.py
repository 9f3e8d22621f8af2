"""One look at a host: every answer, and nothing mistaken for another."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from harness.connections.base import Connection
from harness.verify.probe import look
from harness.verify.seen import Wanted


def test_attributes_of_a_file_and_of_a_link_to_it(local: Connection, tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"12345")
    file.chmod(0o4750)
    link.symlink_to("file")
    seen = look(local, Wanted(paths={str(file), str(link)}, links={str(link), str(file)}))
    itself = seen.path(str(file)).itself
    assert itself is not None
    assert (itself.kind, itself.octal, itself.size, itself.uid) == ("file", "4750", 5, os.getuid())
    entry = seen.path(str(link))
    assert entry.itself is not None
    assert entry.itself.kind == "symbolic link"
    assert entry.target == itself
    assert seen.links == {str(link): "file"}


NAMES = [
    "with space",
    "quote'\"s",
    "new\nline",
    "trailing\n",
    "$HOME`id`",
    "-rf",
    "pipe|s|and|s",
    "\\back",
    "ünïcode",
    b"latin\xe9".decode(errors="surrogateescape"),
]


def test_names_of_any_kind(local: Connection, tmp_path: Path) -> None:
    wanted = Wanted()
    for number, name in enumerate(NAMES):
        Path(f"{tmp_path}/{name}").write_bytes(b"x" * number)
        wanted.content(f"{tmp_path}/{name}", 100)
        wanted.path(f"{tmp_path}/{name}-missing")
    seen = look(local, wanted)
    for number, name in enumerate(NAMES):
        path = f"{tmp_path}/{name}"
        target = seen.path(path).target
        assert target is not None, name
        assert target.size == number
        assert seen.content(path).data == b"x" * number
        assert seen.path(path + "-missing").itself is None
        assert seen.path(path + "-missing").trouble is None


def test_every_kind_of_file(local: Connection, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        wanted = Wanted()
        for name in ("pipe", "folder", "socket"):
            wanted.content(f"{tmp_path}/{name}", 10)
        wanted.path("/dev/null")
        seen = look(local, wanted)
    kinds = {}
    for path, found in seen.paths.items():
        assert found.itself is not None
        kinds[Path(path).name] = found.itself.kind
    assert kinds == {"pipe": "named pipe", "folder": "directory", "socket": "socket", "null": "character device"}
    assert {content.trouble for content in seen.contents.values()} == {"not a regular file"}


def test_what_cannot_be_looked_at_is_not_missing(local: Connection, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    below = f"{tmp_path}/loop/file"
    too_long = f"{tmp_path}/{'x' * 300}"
    seen = look(local, Wanted(paths={below, too_long, f"{tmp_path}/none/below", "/etc/passwd/below"}))
    assert "symbolic links" in (seen.path(below).trouble or "")
    assert "too long" in (seen.path(too_long).trouble or "")
    assert seen.path(f"{tmp_path}/none/below").trouble is None
    assert seen.path("/etc/passwd/below").trouble is None


def test_contents_are_binary_safe_and_bounded(local: Connection, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 + b"\n\nend 0\n"
    (tmp_path / "binary").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    wanted = Wanted()
    wanted.content(f"{tmp_path}/binary", len(data) + 1)
    wanted.content(f"{tmp_path}/empty", 5)
    wanted.content(f"{tmp_path}/missing", 5)
    seen = look(local, wanted)
    assert seen.content(f"{tmp_path}/binary").data == data
    assert seen.content(f"{tmp_path}/empty").data == b""
    assert seen.content(f"{tmp_path}/missing").trouble
    wanted = Wanted()
    wanted.content(f"{tmp_path}/binary", 7)
    assert look(local, wanted).content(f"{tmp_path}/binary").data == data[:7]


def test_hundreds_of_paths_in_one_look(local: Connection, tmp_path: Path) -> None:
    wanted = Wanted()
    for number in range(1000):
        (tmp_path / f"{number}").write_text(str(number))
        wanted.path(f"{tmp_path}/{number}")
    seen = look(local, wanted)
    sizes = [found.target.size for found in seen.paths.values() if found.target]
    assert len(sizes) == 1000
    assert sum(sizes) == sum(len(str(number)) for number in range(1000))


def test_accounts(local: Connection) -> None:
    seen = look(local, Wanted(users={"root", "nobody-of-that-name", "roo"}, groups={"root", "oot"}))
    root = seen.users["root"]
    assert root is not None
    assert (root.number, root.home) == (0, "/root")
    assert seen.users["nobody-of-that-name"] is None
    assert seen.users["roo"] is None
    assert seen.groups["oot"] is None


def test_packages(local: Connection) -> None:
    seen = look(local, Wanted(packages={"dpkg", "no-such-package-4f1d", "awk"}))
    if seen.packages["dpkg"].manager != "dpkg":
        pytest.skip("this machine's packages are not Debian's")
    assert seen.packages["dpkg"].version
    assert seen.packages["no-such-package-4f1d"].version is None
    assert seen.packages["awk"].version is None
    assert seen.packages["awk"].provider in ("mawk", "gawk", "original-awk", "busybox")


def test_processes_without_ourselves(local: Connection) -> None:
    with subprocess.Popen(["sleep", "86313"]) as sleeper:
        try:
            seen = look(local, Wanted(processes=True))
        finally:
            sleeper.kill()
    assert seen.processes is not None
    lines = [process.command_line for process in seen.processes]
    assert "sleep 86313" in lines
    assert os.getpid() not in [process.pid for process in seen.processes]
    assert not [line for line in lines if line.startswith("head -v")]


@pytest.mark.sandbox
def test_nothing_of_the_checking_is_seen_in_a_sandbox(sandbox: Connection) -> None:
    """In a platform of its own nobody else runs a shell: any that is seen would be ours."""
    seen = look(sandbox, Wanted(processes=True))
    assert seen.processes is not None
    names = {process.name for process in seen.processes}
    assert not names & {"sh", "dash", "bash", "head", "stat"}
