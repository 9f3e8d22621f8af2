"""What a fault is given to work on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.connections.base import Connection
from harness.drivers.base import Instance, Site
from harness.errors import HarnessError, Unsupported
from harness.models.endpoint import Endpoint, Ssh
from harness.models.fault import Fault

if TYPE_CHECKING:
    from harness.faults.proxy import Front

Undo = Callable[[], None]
"""Sets right what the fault has done; called once, and may raise HarnessError."""
_SECONDS = 30.0
_AS_ROOT = """
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || exec sudo -n /bin/sh -c "$1"
exec /bin/sh -c "$1"
"""


@dataclass(frozen=True)
class Target:
    """One platform. `front` is the proxy before its sshd, where there is one. `redirect` closes the open connection
    and makes every later one go to another endpoint; None: to the platform's own. `folder`: for files of ours."""

    name: str
    site: Site
    instance: Instance
    endpoint: Endpoint
    front: Front | None
    redirect: Callable[[Endpoint | None], None]
    folder: Callable[[], Path]

    @property
    def ssh(self) -> Ssh:
        assert isinstance(self.endpoint, Ssh), "the scenario's reader has seen to that"
        return self.endpoint

    @contextmanager
    def back_door(self) -> Iterator[Connection]:
        """A connection for what is done to the platform on purpose (`Site.back_door`). Raises Unsupported."""
        from harness.connections import open_connection

        with open_connection(self.site.back_door(self.instance), name=self.name) as connection:
            yield connection

    def do(self, fault: Fault, script: str) -> str:
        """Run a shell script by the back door, as root; its stdout. Raises Unsupported with its words."""
        with self.back_door() as connection:
            done = connection.run(["/bin/sh", "-c", _AS_ROOT, "sh", script], timeout=_SECONDS)
        if not done.ok:
            raise Unsupported(f"the fault {fault.kind} ({done.err.strip() or f'status {done.rc}'})", by=self.name)
        return done.out


def key_pair(folder: Path, name: str) -> Path:
    """A new key that nobody knows, by ssh-keygen; the public half lies beside it as NAME.pub."""
    path = folder / name
    try:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "harness", "-f", str(path)],
            check=True, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise HarnessError(f"no key could be made: {error}", hint="apt-get install openssh-client") from error
    return path
