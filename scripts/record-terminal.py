#!/usr/bin/env python3
"""Run a command in a terminal of 100 columns and write what a person saw as an SVG.

usage: scripts/record-terminal.py OUT.svg COMMAND...

The picture in the README: scripts/record-terminal.py docs/images/harness-test.svg harness test -s default
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def record(command: list[str]) -> tuple[str, int]:
    """What it wrote to its terminal, and its exit status."""
    seen = bytearray()
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(COLUMNS=str(COLUMNS), TERM="xterm-256color")
        os.environ.pop("CI", None)
        os.execvp(command[0], command)
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the last process has closed its side
            break
        if not data:
            break
        seen += data
    return seen.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def settled(text: str) -> str:
    """Without the live lines that were wiped again: the cursor went up to them and they were erased."""
    shown: list[str] = []
    for line in re.sub(r"\x1b\[\?25[lh]", "", text).replace("\r\n", "\n").split("\n"):
        shown = shown[: max(0, len(shown) - line.count("\x1b[1A"))]
        shown.append(re.split(r"\x1b\[2?K", line)[-1].removeprefix("\r"))
    return "\n".join(shown)


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    out, command = Path(sys.argv[1]), sys.argv[2:]
    text, status = record(command)
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text.assemble(("$ ", "bold green"), (shlex.join(command), "bold")))
    console.print(Text.from_ansi(settled(text).rstrip()))
    console.save_svg(str(out), title=shlex.join(command))
    return status


if __name__ == "__main__":
    sys.exit(main())
