"""--require-markers, by pytest itself in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.root
def test_runs(): pass

@pytest.mark.sandbox
@pytest.mark.skipif(True, reason="no sandbox here")
def test_skipped(): pass

@pytest.mark.cargo
def test_skips_itself():
    pytest.skip("no cargo here")
"""


@pytest.mark.parametrize(
    ("required", "status", "words", "options"),
    [
        ("root", 0, "", []),
        ("sandbox", 1, "test_skipped (marker sandbox): Skipped: no sandbox here", []),
        ("root, cargo", 1, "test_skips_itself (marker cargo): Skipped: no cargo here", ["-p", "xdist", "-n", "2"]),
        ("systemd", 1, "no test with the marker systemd ran", []),
    ],
)
def test_skipping_what_must_run_is_a_failure(
    required: str, status: int, words: str, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\nfrom tests.conftest import pytest_addoption\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  root: r\n  sandbox: s\n  cargo: c\n  systemd: d\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, f"--require-markers={required}"]
    project = Path(__file__).parent.parent
    result = subprocess.run(
        [*argv, "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert result.returncode == status, result.stdout + result.stderr
    assert words in result.stdout
    assert ("must run" in result.stdout) == bool(words)
