"""The program of the verify child: `python -m harness.verify.launch`.

It imports what pytest will need, then waits for one line on stdin that says what to run. So it can be started while
platforms are still being made, and has nothing left to load when its turn comes. Its stdin is its lifeline too:
when the parent goes, even killed, the pipe closes, and the child ends with all that its tests started.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
from importlib import import_module

AHEAD = (
    "harness.connections.base",
    "harness.models.verification",
    "harness.verify.hosts",
    "harness.verify.looks",
    "harness.verify.plan_checks",
    *(("harness.connections.local", "harness.connections.sandbox") if sys.platform != "win32" else ()),
)
"""Not testinfra: pytest rewrites the assertions of plugins, and warns when one was imported before."""


def main() -> int:
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lifeline, orders), daemon=True, name="lifeline").start()
    _import_ahead()
    work = json.loads(orders.get())
    os.environ.clear()
    os.environ.update(work["environment"])
    os.chdir(work["folder"])
    if not sys.flags.safe_path:
        sys.path[0] = work["folder"]  # as `python -m pytest` has it
    sys.argv = ["pytest", *work["arguments"]]
    import pytest

    status = int(pytest.main(work["arguments"]))
    gc.freeze()  # what is left ends with the process: the interpreter's last look through it would cost a tenth
    return status


def _import_ahead() -> None:
    """Nothing of it ever goes: it is not looked through while it comes, and never again while tests run."""
    import _pytest.config

    gc.disable()
    for name in _pytest.config.default_plugins:
        import_module(f"_pytest.{name}")
    for name in AHEAD:
        import_module(name)
    # In an installed wheel the plugin's package is `harness` itself: tell pytest that it need not be rewritten.
    package = sys.modules["harness"]
    package.__doc__ = f"{package.__doc__ or ''} PYTEST_DONT_REWRITE"
    gc.freeze()
    gc.enable()


def _listen(descriptor: int, orders: queue.SimpleQueue[bytes]) -> None:
    """Hand on the parent's one line, however long; end when the parent has gone."""
    line = bytearray()
    while chunk := os.read(descriptor, 65536):
        line += chunk
        if line.endswith(b"\n"):
            orders.put(bytes(line))
            line.clear()
    if sys.platform == "win32":
        os._exit(1)
    import signal

    # This process leads its own group: what tests started goes with it.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
