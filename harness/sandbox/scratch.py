"""Run a command with a tmpfs over a folder that nobody else sees, and that goes when the command ends.

scratch FOLDER SIZE -- ARGV...
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel


def main(arguments: list[str]) -> int:
    folder, size, _, *argv = arguments
    kernel.prctl(kernel.PR_SET_PDEATHSIG, "tie the command to its caller", kernel.SIGTERM)
    kernel.unshare(kernel.CLONE_NEWNS, "make a mount name space")
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", 0, f"size={size},mode=755")
    os.execvp(argv[0], argv)
