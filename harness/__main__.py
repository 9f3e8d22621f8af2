"""`harness`, and `python -m harness`."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """The console script. Exit status: see `harness.exits.Exit`."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it is ignored in a shell's background
    if heeded:
        # Nothing has been made yet; a traceback out of the middle of an import would tell nobody anything.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from harness.cli import main as run

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
