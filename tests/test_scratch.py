"""Temporary folders, and processes that are killed while they have one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.faults import ways
from harness.scratch import scratch, sweep

HOLD = """
import sys, time
from pathlib import Path
from harness.scratch import scratch
with scratch("test", base=Path(sys.argv[1])) as folder:
    (folder / "work").mkdir()
    print(folder, flush=True)
    time.sleep(1000)
"""


def test_it_goes_at_the_end(tmp_path: Path) -> None:
    ended: list[Path] = []
    with pytest.raises(KeyError), scratch("test", base=tmp_path, end=ended.append) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert ended == [folder]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_what_the_killed_have_left_goes_with_the_next(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        left = Path(process.stdout.readline().strip())
        try:
            with scratch("test", base=tmp_path):
                assert (left / "work").is_dir(), "its process is alive"
        finally:
            process.kill()
            process.wait()
        assert left.is_dir()
        with scratch("other", base=tmp_path):
            assert left.is_dir(), "it is of another kind"
        ended: list[Path] = []
        with scratch("test", base=tmp_path, end=ended.append):
            assert ended == [left]
            assert not left.exists()


def test_what_a_killed_run_kept_for_its_faults_is_swept(tmp_path: Path) -> None:
    code = "import os; from harness.faults.ways import Ways; held = Ways({}); held.folder; os._exit(9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    sweep(ways.KIND, base=tmp_path)
    assert list(tmp_path.iterdir()) == []
