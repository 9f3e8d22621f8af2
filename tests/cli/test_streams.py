"""What a caller may do to the standard streams, as a real process meets it."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, sys
from harness.cli import streams
streams.make_sure()
print("a · ü ✓")
print("told", file=sys.stderr)
file = os.open(os.devnull, os.O_RDONLY)
sys.exit(7 if sys.stdin.read() == "" and file > 2 else 1)
"""


def run(closed: tuple[int, ...], encoding: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", CODE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        preexec_fn=lambda: [os.close(number) for number in closed],  # type: ignore[func-returns-value]
        check=False,
    )


def test_what_an_encoding_lacks_is_written_in_other_words() -> None:
    assert run((), "utf-8").stdout.decode() == f"a · ü ✓{os.linesep}"
    assert run((), "ascii").stdout.split() == [b"a", b"-", b"?", b"ok"]
    assert run((), "latin-1").stdout.split() == [b"a", b"\xb7", b"\xfc", b"ok"]


def test_streams_that_are_closed_lead_nowhere_and_their_numbers_are_taken() -> None:
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        done = run(closed, "utf-8")
        assert done.returncode == 7
        assert bool(done.stdout) == (1 not in closed)
        assert bool(done.stderr) == (2 not in closed)
