"""The standard streams as every verb may take them for granted: open, and able to show any text."""

from __future__ import annotations

import io
import os
import sys

from harness.report.text import READABLE


def make_sure() -> None:
    """A stream that was closed by the caller (`>&-`) leads nowhere; what its encoding lacks is written in other words.

    A number left free would go to the next file that is opened, and what a child process prints into that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
            os.set_inheritable(number, True)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors=READABLE, closefd=False))
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=READABLE)
