"""A guest's memory and devices, kept in a file by QEMU's own migration.

`mapped-ram` gives every page a place of its own in the file (QEMU, docs/devel/migration/mapped-ram.rst): it is read
where it lies, by any number of guests at once. libvirt's own save images hold name and UUID of the one domain that may
be made of them, and are read through a pipe.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from harness.errors import DriverFailed

OLDEST_QEMU = 9_000_000
"""As libvirt counts: 9.0.0, the first with mapped-ram."""
_SECONDS = 300.0
_UNLIMITED = 1 << 50
"""Bytes a second. QEMU saves 128 MiB a second unless told otherwise."""


class NotKept(DriverFailed):
    """A guest's memory cannot be saved, or not be loaded; the message is QEMU's own words."""


def save(domain: Any, path: Path) -> None:
    """Of a guest that stands still, and stays so. Raises NotKept; then there is no file."""
    try:
        _prepare(domain)
        _qmp(domain, "migrate-set-parameters", {"max-bandwidth": _UNLIMITED})
        _qmp(domain, "migrate", {"uri": f"file:{path}"})
        _await(domain)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def load(domain: Any, path: Path) -> None:
    """Into a domain that was created with `incoming`, and stands still as long as nobody resumes it. Raises NotKept."""
    _prepare(domain)
    _qmp(domain, "migrate-incoming", {"uri": f"file:{path}"})
    _await(domain)


def _prepare(domain: Any) -> None:
    _qmp(domain, "migrate-set-capabilities", {"capabilities": [{"capability": "mapped-ram", "state": True}]})


def _await(domain: Any) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        said = _qmp(domain, "query-migrate")
        status = said.get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            raise NotKept(str(said.get("error-desc", status)))
        if time.monotonic() > until:
            raise NotKept(f"QEMU was not done after {_SECONDS:.0f} s")
        time.sleep(0.005)


def _qmp(domain: Any, command: str, arguments: dict[str, object] | None = None) -> dict[str, Any]:
    import libvirt
    import libvirt_qemu

    text = json.dumps({"execute": command, "arguments": arguments or {}})
    try:
        answer: dict[str, Any] = json.loads(libvirt_qemu.qemuMonitorCommand(domain, text, 0))["return"]
    except libvirt.libvirtError as error:
        raise NotKept(str(error)) from error
    return answer
