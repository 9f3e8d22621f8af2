from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import Locked
from harness.lifecycle.locks import Holder, Lock, holder, is_free

_HOLDER = """
import os, sys, time
from pathlib import Path
from harness.lifecycle.locks import Lock
Lock(Path(sys.argv[1])).acquire("converge")
if len(sys.argv) > 2:
    if os.fork() == 0:
        print("held by", os.getppid(), "child", os.getpid(), flush=True)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.1)
else:
    print("held", flush=True)
time.sleep(60)
"""


def start(path: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("held")
    return process


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_who_holds_it_is_told_and_a_kill_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "default.scenario"
    assert is_free(path)
    process = start(path)
    try:
        assert not is_free(path)
        told: list[Holder | None] = []
        with pytest.raises(
            Locked, match=rf"default is in use by pid {process.pid} \(harness converge, since"
        ) as caught:
            Lock(path).acquire("verify", timeout=0.1, on_wait=told.append)
        assert "--lock-timeout" in (caught.value.hint or "")
        assert [one.pid for one in told if one] == [process.pid]
    finally:
        stop(process)
    assert is_free(path)
    with Lock(path).acquire("verify"):
        pass


def test_a_waiting_verb_gets_it_when_the_other_ends(tmp_path: Path) -> None:
    path = tmp_path / "default.scenario"
    process = start(path)
    try:
        lock = Lock(path).acquire("verify", timeout=30, on_wait=lambda holder: os.kill(process.pid, signal.SIGKILL))
        lock.release()
    finally:
        stop(process)


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    path = tmp_path / "default.scenario"
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path), "fork"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[-1])
    try:
        assert not is_free(path)
        process.kill()
        process.wait()
        assert is_free(path)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_released_lock_names_nobody_and_may_go(tmp_path: Path) -> None:
    with Lock(tmp_path / "kept").acquire("test"):
        pass
    assert holder(tmp_path / "kept") is None
    with Lock(tmp_path / "gone", remove=True).acquire("test"):
        assert (tmp_path / "gone").exists()
    assert not (tmp_path / "gone").exists()
