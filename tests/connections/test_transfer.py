from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.connections import transfer
from harness.connections.base import Connection
from harness.errors import HarnessError

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)

NAMES = ["plain", "with space", "-leading", "new\nline", "'quote\"", "ünï", ".hidden", "$HOME", "*", "back\\slash"]


def mode_of(connection: Connection, path: str) -> str:
    return connection.run(["stat", "-c", "%a", path]).out.strip()


@pytest.mark.parametrize("name", NAMES)
def test_bytes_there_and_back(connection: Connection, folder: str, tmp_path: Path, name: str) -> None:
    path = f"{folder}/a/b/{name}"
    connection.push(b"\0\r\n%s'", path, mode=0o751)
    assert connection.read(path) == b"\0\r\n%s'"
    assert mode_of(connection, path) == "751"
    connection.pull(path, tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y").read_bytes() == b"\0\r\n%s'"
    assert stat.S_IMODE((tmp_path / "x" / "y").stat().st_mode) == 0o751
    assert connection.run(["ls", "-A", f"{folder}/a/b"]).stdout == connection.run(["ls", "-A", f"{folder}/a/b/"]).stdout
    assert connection.run(f"ls -A {folder}/a/b | grep -c harness-").out == "0\n"


def test_relative_names_begin_in_the_default_folder(connection: Connection) -> None:
    connection.push(b"x", "-a folder/-file")
    assert connection.run("cat './-a folder/-file'; rm -r './-a folder'").stdout == b"x"


def test_modes_of_what_is_pushed(connection: Connection, folder: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    file.chmod(0o640)
    connection.push(file, f"{folder}/kept")
    connection.push(file, f"{folder}/given", mode=0o4755)
    connection.push(b"", f"{folder}/bytes")
    assert [mode_of(connection, f"{folder}/{name}") for name in ("kept", "given", "bytes")] == ["640", "4755", "644"]


def test_existing_file_is_replaced_whole(connection: Connection, folder: str) -> None:
    connection.push(b"long old content", f"{folder}/file", mode=0o600)
    connection.run(
        f"exec 3<{folder}/file; (until [ -e {folder}/go ]; do sleep 0.01; done; cat <&3 >{folder}/seen;"
        f" mv {folder}/seen {folder}/told) >/dev/null 2>&1 &"
    )
    connection.push(b"new", f"{folder}/file")
    assert connection.read(f"{folder}/file") == b"new"
    connection.run(f"touch {folder}/go; until [ -e {folder}/told ]; do sleep 0.01; done", timeout=60)
    assert connection.read(f"{folder}/told") == b"long old content"


def test_destination_is_a_folder(connection: Connection, folder: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=f"node1: {folder} cannot be written: it is a folder"):
        connection.push(b"x", folder)
    with pytest.raises(HarnessError, match="it is a folder"):
        connection.push(Path(__file__), f"{folder}/")
    connection.push(b"x", f"{folder}/file")
    with pytest.raises(HarnessError, match=f"node1: .*{tmp_path.name}: it is a folder"):
        connection.pull(f"{folder}/file", tmp_path)
    with pytest.raises(HarnessError, match="exists and is no folder"):
        connection.push(tmp_path, f"{folder}/file")
    with pytest.raises(HarnessError, match="it is a folder"):
        connection.read(folder)


def test_what_does_not_exist(connection: Connection, folder: str, tmp_path: Path) -> None:
    for call in (lambda: connection.read(f"{folder}/no"), lambda: connection.pull(f"{folder}/no", tmp_path / "no")):
        with pytest.raises(FileNotFoundError, match="/no"):
            call()
    with pytest.raises(HarnessError, match="cannot be read"):
        connection.push(tmp_path / "no", f"{folder}/no")
    assert not list(tmp_path.glob(".harness-*"))


def test_files_of_the_kernel(connection: Connection, tmp_path: Path) -> None:
    connection.pull("/proc/self/status", tmp_path / "status")
    assert (tmp_path / "status").read_bytes().startswith(b"Name:")


def make_tree(root: Path) -> None:
    (root / "deep" / ("d" * 120) / ("e" * 120)).mkdir(parents=True)
    (root / "deep" / ("d" * 120) / ("e" * 120) / "leaf").write_bytes(b"leaf")
    (root / "empty").mkdir(mode=0o700)
    for name in NAMES:
        (root / name).write_bytes(name.encode())
    (root / "plain").chmod(0o755)
    (root / "shared").write_bytes(b"")
    (root / "shared").chmod(0o666)
    (root / "hard").hardlink_to(root / "plain")
    (root / "relative").symlink_to("plain")
    (root / "dangling").symlink_to("no/such")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "read-only").mkdir()
    (root / "read-only" / "file").write_bytes(b"x")
    (root / "read-only").chmod(0o555)


def describe(root: Path) -> dict[str, tuple[int, object]]:
    return {
        str(path.relative_to(root)): (
            stat.S_IMODE(path.lstat().st_mode),
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,  # noqa: PTH115
        )
        for path in sorted(root.rglob("*"))
    }


def test_tree_there_and_back(connection: Connection, folder: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    connection.push(source, f"{folder}/x/tree")
    connection.pull(f"{folder}/x/tree", tmp_path / "y" / "back")
    assert describe(tmp_path / "y" / "back") == describe(source)
    assert connection.run(f"ls -A {folder}/x").out == "tree\n"
    assert [path.name for path in (tmp_path / "y").iterdir()] == ["back"]


def test_tree_into_an_existing_folder_joins_it(connection: Connection, folder: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "new").write_bytes(b"new")
    connection.push(b"old", f"{folder}/tree/old")
    connection.push(tmp_path / "source", f"{folder}/tree")
    assert connection.run(f"ls {folder}/tree").out == "new\nold\n"
    connection.pull(f"{folder}/tree", tmp_path / "source")
    assert sorted(path.name for path in (tmp_path / "source").iterdir()) == ["new", "old"]


def archive(*members: tuple[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(mode="w", fileobj=stream) as made:
        for name, link in members:
            member = tarfile.TarInfo(name)
            if link:
                member.type, member.linkname = (
                    (tarfile.LNKTYPE if link.startswith("=") else tarfile.SYMTYPE),
                    link.strip("="),
                )
            made.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", "")],
        [("/{tmp}/outside", "")],
        [("a/../../outside", "")],
        [("link", "{tmp}"), ("link/outside", "")],
        [("link", ".."), ("link/outside", "")],
        [("hard", "=../secret")],
        [("hard", "={tmp}/secret")],
        [("link", "{tmp}"), ("hard", "=link/secret")],
    ],
)
def test_hostile_archive_writes_nothing_outside(
    local: Connection, tmp_path: Path, members: list[tuple[str, str]]
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    bad = archive(*((name.format(tmp=tmp_path), link.format(tmp=tmp_path)) for name, link in members))
    (tmp_path / "bad.tar").write_bytes(bad)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").write_text(f"#!/bin/sh\ncat '{tmp_path}/bad.tar'\n")
    (tools / "tar").chmod(0o755)
    target = tmp_path / "in" / "target"
    with local_with_path(local, f"{tools}:{os.environ['PATH']}"), pytest.raises(HarnessError):
        local.pull(str(tools), target)
    assert not (tmp_path / "in" / "outside").exists()
    assert not (tmp_path / "outside").exists()
    assert not target.exists()
    assert not list((tmp_path / "in").iterdir())


class local_with_path:
    """What the connection starts meanwhile finds its programs elsewhere."""

    def __init__(self, connection: Connection, path: str) -> None:
        self.path, self.patch = path, pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self.patch.setenv("PATH", self.path)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def test_hundred_megabytes_in_bounded_memory(connection: Connection, folder: str, tmp_path: Path) -> None:
    size = 100 << 20
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    connection.push(tmp_path / "big", f"{folder}/big")
    assert connection.run(["stat", "-c", "%s", f"{folder}/big"]).out == f"{size}\n"
    connection.pull(f"{folder}/big", tmp_path / "back")
    assert (tmp_path / "back").stat().st_size == size
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
    assert grown < 40_000


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_full_disk(local: Connection, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        (tmp_path / "big").write_bytes(bytes(3 << 20))
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "big").write_bytes(bytes(3 << 20))
        for source in (tmp_path / "big", tmp_path / "tree", bytes(1 << 20)):
            with pytest.raises(HarnessError, match=f"(?s)node1: {small}/there cannot be written: .*No space left"):
                local.push(source, f"{small}/there")
            assert not list(small.iterdir())
        for source in (tmp_path / "big", tmp_path / "tree"):
            with pytest.raises(HarnessError, match=r"node1: .*cannot be written: No space left"):
                local.pull(str(source), small / "here")
            assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_file_needs_no_tar(local: Connection, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "mkdir", "chmod", "mv", "rm", "wc", "setsid", "stat", "id", "env"):
        (tools / name).symlink_to(subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, check=True,
                                                 text=True).stdout.strip())  # fmt: skip
    with local_with_path(local, str(tools)):
        local.push(b"x" * 10000, str(tmp_path / "a" / "b"))
        local.pull(str(tmp_path / "a" / "b"), tmp_path / "c")
        assert (tmp_path / "c").stat().st_size == 10000
        with pytest.raises(HarnessError, match="there is no tar"):
            local.push(tools, str(tmp_path / "tree"))


def test_truncated_stream_is_never_published(local: Connection, tmp_path: Path) -> None:
    script = transfer._file_script(str(tmp_path / "file"), 10, 0o644)
    done = local.run(script, stdin=b"short")
    assert (done.rc, done.err) == (transfer.BAD, "it arrived incomplete\n")
    assert not (tmp_path / "file").exists()
