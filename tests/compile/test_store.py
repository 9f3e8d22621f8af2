"""The store: atomic, shared by processes, and never serving what is no longer whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cache import cache_dir
from harness.cancellation import Cancellation
from harness.compile.store import META, Entry, Store, sha256_of
from harness.deadline import Deadline, poll
from harness.errors import HarnessError, Interrupted

KEY = hashlib.sha256(b"key").hexdigest()
CONTENT = b"content" * 1000


def write(folder: Path) -> dict[str, str]:
    (folder / "data").write_bytes(CONTENT)
    (folder / "more").write_bytes(b"more")
    return {"by": "test"}


def obtain(store: Store) -> tuple[Entry, bool]:
    return store.obtain("thing", KEY, write)


def litter(store: Store) -> list[Path]:
    return [path for path in (store.root / "work").rglob("*") if path.is_file() or path.parent.name.startswith("tmp")]


def test_made_once_then_found(store: Store) -> None:
    entry, made = obtain(store)
    assert made
    assert (entry.path / "data").read_bytes() == CONTENT
    assert entry.files["data"].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert entry.size == len(CONTENT) + 4
    again, made = obtain(store)
    assert not made
    assert again == entry
    assert again.info == {"by": "test"}
    assert litter(store) == []


def flip(entry: Entry) -> None:
    file = entry.path / "data"
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[3000] ^= 1
    file.write_bytes(content)
    # A disk that rots does not touch the modification time.
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(entry: Entry) -> None:
    os.truncate(entry.path / "data", 10)


def remove(entry: Entry) -> None:
    (entry.path / "more").unlink()


def empty_meta(entry: Entry) -> None:
    (entry.path / META).write_bytes(b"")


def half_meta(entry: Entry) -> None:
    os.truncate(entry.path / META, 40)


def wrong_meta(entry: Entry) -> None:
    (entry.path / META).write_text('{"schema": 1, "kind": "thing", "key": 7, "files": [], "info": null}')


def binary_meta(entry: Entry) -> None:
    (entry.path / META).write_bytes(bytes(range(256)))


def meta_is_folder(entry: Entry) -> None:
    (entry.path / META).unlink()
    (entry.path / META).mkdir()


@pytest.mark.parametrize(
    "damage", [flip, truncate, remove, empty_meta, half_meta, wrong_meta, binary_meta, meta_is_folder]
)
def test_a_damaged_entry_is_noticed_and_made_again(store: Store, damage: Callable[[Entry], None]) -> None:
    entry, _ = obtain(store)
    damage(entry)
    assert store.get("thing", KEY) is None
    mended, made = obtain(store)
    assert made
    assert (mended.path / "data").read_bytes() == CONTENT
    assert store.get("thing", KEY) == mended
    assert litter(store) == []


def test_a_maker_that_fails_leaves_nothing(store: Store) -> None:
    def fail(folder: Path) -> dict[str, str]:
        (folder / "data").write_bytes(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.obtain("thing", KEY, fail)
    assert store.get("thing", KEY) is None
    assert litter(store) == []
    assert obtain(store)[1]


BUILDER = """
import sys, time
from pathlib import Path
from harness.compile.store import Store
root, log, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def make(folder):
    with log.open("a") as stream:
        stream.write("made\\n")
    (folder / "data").write_bytes(b"a" * 100_000)
    if len(sys.argv) > 4:
        Path(sys.argv[4]).touch()
        time.sleep(60)
    time.sleep(0.2)
    (folder / "data2").write_bytes(b"b")
    return {}

entry, made = Store(root).obtain("thing", key, make)
assert (entry.path / "data").stat().st_size == 100_000
print(made)
"""


def builder(store: Store, log: Path, *more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", BUILDER, str(store.root.parent), str(log), KEY, *more]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_many_processes_make_one_build(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [builder(store, log) for _ in range(6)]
    outputs = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0] * 6
    assert outputs == ["False"] * 5 + ["True"]
    assert log.read_text() == "made\n"


def test_waiting_for_another_can_be_called_off(store: Store, tmp_path: Path) -> None:
    began = tmp_path / "began"
    other = builder(store, tmp_path / "log", str(began))
    try:
        assert poll(lambda last: True if began.exists() else None, Deadline(30))
        cancellation = Cancellation()
        cancellation.call()
        with pytest.raises(Interrupted):
            store.obtain("thing", KEY, write, cancellation=cancellation)
    finally:
        other.kill()
        other.communicate()


def test_a_killed_builder_is_no_obstacle(store: Store, tmp_path: Path) -> None:
    began = tmp_path / "began"
    victim = builder(store, tmp_path / "log", str(began))
    assert poll(lambda last: True if began.exists() else None, Deadline(30))
    waiter = builder(store, tmp_path / "log")
    victim.kill()
    victim.communicate()
    assert store.get("thing", KEY) is None
    assert waiter.communicate(timeout=60)[0].strip() == "True"
    assert litter(store) == []


def test_prune_takes_what_is_old_and_not_referred_to(store: Store, tmp_path: Path) -> None:
    owner = tmp_path / "owner"
    owner.touch()
    keys = [hashlib.sha256(name).hexdigest() for name in (b"fresh", b"old", b"referred")]
    for key in keys:
        store.obtain("thing", key, write)
    for entry in store.entries("thing"):
        if entry.key == keys[2]:
            store.refer(entry, owner)
        if entry.key != keys[0]:
            os.utime(entry.path, (1000, 1000))
    assert [entry.key for entry in store.prune("thing", unused_for=3600)] == [keys[1]]
    assert {entry.key for entry in store.entries("thing")} == {keys[0], keys[2]}
    owner.unlink()
    assert [entry.key for entry in store.prune("thing", unused_for=3600)] == [keys[2]]
    assert litter(store) == []


def test_a_reference_outlives_a_repair(store: Store, tmp_path: Path) -> None:
    entry, _ = obtain(store)
    store.refer(entry, tmp_path)
    flip(entry)
    obtain(store)
    assert store.referred("thing", KEY)


def test_use_is_remembered(store: Store) -> None:
    entry, _ = obtain(store)
    os.utime(entry.path, (1000, 1000))
    obtain(store)
    assert entry.last_used > 1000


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root on Linux")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from harness.compile.store import Store
from harness.errors import HarnessError
store = Store(Path(sys.argv[1]))
def make(folder):
    (folder / "data").write_bytes(bytes(4_000_000))
    return {}
try:
    store.obtain("thing", "ab" * 32, make)
except HarnessError as error:
    print(error.message, "|", error.hint)
print(sum(path.stat().st_size for path in Path(sys.argv[1]).rglob("*") if path.is_file()))
"""
    shell = 'mount -t tmpfs -o size=1m full "$1" && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "--mount", "sh", "-c", shell, "sh", str(tmp_path), sys.executable, script]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "Operation not permitted" in result.stderr:
        pytest.skip("mount name spaces are not allowed here")
    told, left = result.stdout.splitlines()
    assert told.startswith("the disk is full")
    assert "HARNESS_CACHE_DIR" in told
    assert left == "0"


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root on Linux")
def test_a_read_only_cache_is_read_and_told(store: Store, tmp_path: Path) -> None:
    obtain(store)
    script = """
import sys
from pathlib import Path
from harness.compile.store import Store
from harness.errors import HarnessError
store = Store(Path(sys.argv[1]))
print(store.get("thing", sys.argv[2]) is not None)
print(store.obtain("thing", sys.argv[2], None)[1])
try:
    store.obtain("thing", "ab" * 32, lambda folder: {})
except HarnessError as error:
    print(error.message, "|", error.hint)
"""
    shell = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1" "$4"'
    cache = str(store.root.parent)
    argv = ["unshare", "--mount", "sh", "-c", shell, "sh", cache, sys.executable, script, KEY]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "Operation not permitted" in result.stderr:
        pytest.skip("mount name spaces are not allowed here")
    found, made, told = result.stdout.splitlines()
    assert (found, made) == ("True", "False")
    assert "cannot be used: Read-only file system" in told
    assert "HARNESS_CACHE_DIR" in told


def test_the_cache_folder_is_private_and_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert cache_dir() == tmp_path / "a" / "b"
    assert cache_dir().stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "file" / "b"))
    with pytest.raises(HarnessError, match="cannot be made") as caught:
        cache_dir()
    assert "HARNESS_CACHE_DIR" in str(caught.value.hint)


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(CONTENT).hexdigest()
