"""Scripts in the place of a plan compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.compile.rustle import VARIABLE

GOOD = """
cat "$(dirname "$0")/static" "$1" | tr -d ' \\n' >"$4/joined"
cat "$(dirname "$0")/static" "$4/joined" >"$4/rustle-runner"
echo "home $HOME tmp $TMPDIR $NO_COLOR $CARGO_BUILD_BUILD_DIR" >>"$(dirname "$0")/calls"
touch "$HOME/left" "$TMPDIR/left"
"""
"""Whatever it carries its plan in, the plan's own text is in there without spaces."""


@pytest.fixture(scope="module")
def static_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("static")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    made = subprocess.run(
        ["cc", "-static", "-o", folder / "static", folder / "main.c"], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no static C library")
    return folder / "static"


Tool = Callable[[str], Path]


@pytest.fixture
def tool(tmp_path: Path, static_program: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Makes an executable of a script, and has it named; its cache is the test's own."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "tool"
    folder.mkdir()
    shutil.copy(static_program, folder / "static")
    for name in ("cargo", "rustc", "rustup"):
        (folder / name).write_text(f"#!/bin/sh\necho {name}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{folder}")

    def make(script: str) -> Path:
        path = folder / "rustle-deploy"
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))
        return path

    return make
