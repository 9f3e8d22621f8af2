"""testinfra's backend `harness://`: its commands over a harness connection.

testinfra 10 makes backends by class path and keeps its hosts in caches of its own, so the one registry of this
process hangs on the class.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, ClassVar

from testinfra.backend.base import BaseBackend, CommandResult

from harness.connections.base import Connection
from harness.errors import UsageError
from harness.verify.hosts import Address, Hosts

if TYPE_CHECKING:
    from harness.verify.ansible import AnsibleSide

PATH = "harness.verify.backend.HarnessBackend"


class HarnessBackend(BaseBackend):  # type: ignore[misc]
    """`harness://[user@]platform.scenario[?sudo=true&sudo_user=U&timeout=SECONDS]`."""

    NAME = "harness"
    HAS_RUN_ANSIBLE = True
    hosts: ClassVar[Hosts | None] = None
    side: ClassVar[AnsibleSide | None] = None
    """What `host.ansible` asks; there is one in a verify child."""

    def __init__(self, name: str, *args: Any, timeout: str | float | None = None, **kwargs: Any) -> None:
        spec, self.user = self.parse_containerspec(name)
        found = registry().resolve(spec)
        if len(found) != 1:
            known = ", ".join(f"harness://{address}" for address in found)
            raise UsageError(f"harness://{spec} means {len(found)} hosts", hint=f"name one of: {known}")
        self.address: Address = found[0]
        self._timeout = float(timeout) if timeout is not None else None
        super().__init__(self.address.platform, *args, **kwargs)

    @classmethod
    def get_hosts(cls, host: str, **kwargs: Any) -> list[str]:
        user, at, spec = (host or "").rpartition("@")
        return [f"{user}{at}{address}" for address in registry().resolve(spec or "all")]

    def get_pytest_id(self) -> str:
        """`node1` where the scenario goes without saying, else `harness://node1.default`."""
        hosts = registry()
        own = hosts.job is not None and hosts.job.scenario == self.address.scenario
        return self.address.platform if own else f"{self.NAME}://{self.address}"

    def get_encoding(self) -> str:
        # testinfra asks a Python on the host; the hosts need none, and a locale of theirs other than UTF-8
        # would be one that no connection sets.
        return "UTF-8"

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """sudo where the host has it; root does without. Decided on the host: these commands may be nested."""
        user = shlex.quote(sudo_user or "root")
        return (
            f"c={shlex.quote(command)}; "
            f'if command -v sudo >/dev/null 2>&1; then exec sudo -u {user} /bin/sh -c "$c"; '
            f'elif [ "$(id -un)" = {user} ]; then exec /bin/sh -c "$c"; '
            f'elif [ "$(id -u)" = 0 ]; then exec su -s /bin/sh {user} -c "$c"; '
            f'else echo "sudo: not found, and this is not root" >&2; exit 127; fi'
        )

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        text = self.get_command(command, *args)
        completed = self.connection.run(text, timeout=self._timeout, user=self.user)
        return self.result(completed.rc, self.encode(text), completed.stdout, completed.stderr)

    def run_ansible(self, module_name: str, module_args: str | None = None, **options: Any) -> dict[str, Any]:
        return self._side.module(self.address.platform, module_name, module_args, options)

    def get_variables(self) -> dict[str, Any]:
        return self._side.variables(self.address.platform)

    @property
    def _side(self) -> AnsibleSide:
        if self.side is None:
            raise UsageError("host.ansible works in the step verify", hint=f"harness verify -s {self.address.scenario}")
        return self.side

    @property
    def connection(self) -> Connection:
        """The harness connection itself, for what testinfra has no words for."""
        return registry().connection(self.address)


def registry() -> Hosts:
    """The hosts of this process; outside a verify child the project's kept instances."""
    if HarnessBackend.hosts is None:
        HarnessBackend.hosts = Hosts()
    return HarnessBackend.hosts


def close() -> None:
    """Close all connections; a later use opens them again."""
    if HarnessBackend.side is not None:
        HarnessBackend.side.close()
    if HarnessBackend.hosts is not None:
        HarnessBackend.hosts.close()
