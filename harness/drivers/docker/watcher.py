"""Removes what a killed process leaves: `python -m harness.drivers.docker.watcher` with a task on its stdin.

The daemon does not know of our death, and a dead process cleans nothing up; its pipe to this one closes, though. When
both are killed the labels still tell (`harness destroy --orphans`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from harness.models.endpoint import DaemonAddress


def start() -> subprocess.Popen[bytes]:
    """It waits for names, one a line after the daemon's address, and for the end of its stdin."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at our terminal is not meant for it
        cwd="/",
    )


def tell(watcher: subprocess.Popen[bytes], address: DaemonAddress, name: str, network: str) -> None:
    """Before it is made."""
    assert watcher.stdin is not None
    line = "\t".join(("watch", address.model_dump_json(), name, network)) + "\n"
    os.write(watcher.stdin.fileno(), line.encode())


def release(watcher: subprocess.Popen[bytes]) -> None:
    """All has been removed: let it end without a look at the daemon."""
    assert watcher.stdin is not None
    try:
        os.write(watcher.stdin.fileno(), b"done\n")
        watcher.stdin.close()
    except BrokenPipeError:
        pass
    watcher.wait()


def main() -> None:
    watched: list[tuple[str, str, str]] = []
    for line in sys.stdin:
        word, *rest = line.rstrip("\n").split("\t")
        if word == "done":
            return
        if word == "watch" and len(rest) == 3:
            watched.append((rest[0], rest[1], rest[2]))
    if not watched:
        return
    from docker.errors import APIError

    from harness.drivers.docker import remains

    for address in dict.fromkeys(address for address, _, _ in watched):
        with remains.client(DaemonAddress.model_validate_json(address)) as client:
            for where, name, network in watched:
                if where == address:
                    with contextlib.suppress(APIError):  # the others shall go all the same
                        remains.remove(client, name, network)


if __name__ == "__main__":
    main()
