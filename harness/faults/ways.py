"""The ways to the platforms of a run that lead through a proxy of ours: those that are shaped, cut or only counted."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness.errors import HarnessError
from harness.models.endpoint import Ssh
from harness.models.shaping import Shaping
from harness.scratch import scratch

if TYPE_CHECKING:
    from harness.faults.proxy import Front, Proxy, Traffic

KIND = "ways"
"""Of their temporary folders."""
_HERE = "127.0.0.1"


class Ways:
    """`wanted`: what each way is like, by platform. Costs nothing until the first is asked for."""

    def __init__(self, wanted: Mapping[str, Shaping]) -> None:
        self._wanted = wanted
        self._proxy: Proxy | None = None
        self._fronts: dict[str, Front] = {}
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def __contains__(self, name: object) -> bool:
        return name in self._wanted

    @property
    def folder(self) -> Path:
        """For files of this run, mode 0700; removed by `close`."""
        with self._lock:
            if self._folder is None:
                self._folder = self._stack.enter_context(scratch(KIND))
            return self._folder

    def through(self, name: str, endpoint: Ssh) -> Ssh:
        """An endpoint of this machine's loopback that leads to the given one. Whoever comes by it checks the host's own
        key. Raises HarnessError for a machine whose address only the user's ssh configuration knows."""
        if endpoint.use_config or endpoint.proxy_jump or endpoint.known_hosts is None:
            raise HarnessError(
                f"{name}: no proxy can be put before a machine that only the user's ssh configuration leads to",
                hint="shaping and cuts are for platforms of the docker and native drivers with `connection: ssh`",
            )
        from harness.faults.proxy import Address, Proxy

        address = Address(endpoint.host, endpoint.port or 22, endpoint.proxy_command, endpoint.proxy_passes_socket)
        folder = self.folder
        with self._lock:
            self._proxy = self._proxy or Proxy()
            front = self._fronts.get(name)
            if front is None:
                front = self._fronts[name] = self._proxy.front(address, self._wanted.get(name))
            front.lead_to(address)
            front.knock()
        known = folder / f"known_hosts.{front.port}"
        known.write_text(_renamed(Path(endpoint.known_hosts).read_text(), f"[{_HERE}]:{front.port}"))
        return endpoint.model_copy(
            update={
                "host": _HERE,
                "port": front.port,
                "known_hosts": str(known),
                "proxy_command": None,
                "proxy_passes_socket": False,
                "sandbox": None,
            }
        )

    def front(self, name: str) -> Front | None:
        return self._fronts.get(name)

    def traffic(self, name: str) -> Traffic:
        """What has passed so far; nothing where there is no proxy."""
        from harness.faults.proxy import Traffic

        front = self._fronts.get(name)
        return front.traffic if front is not None else Traffic()

    def close(self) -> None:
        """A second call does nothing."""
        if self._proxy is not None:
            self._proxy.close()
        self._fronts.clear()
        self._folder = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _renamed(known_hosts: str, name: str) -> str:
    """The same keys under another name (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    lines = []
    for line in known_hosts.splitlines():
        marker, rest = ("", line) if not line.startswith("@") else line.split(None, 1)
        if rest.strip() and not rest.startswith("#"):
            lines.append(f"{marker} {name} {rest.split(None, 1)[1]}".strip())
    return "\n".join(lines) + "\n"
