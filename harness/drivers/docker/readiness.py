"""When a command could run in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.deadline import Deadline, poll
from harness.drivers.base import Instance
from harness.errors import InstanceGone, NotReady

if TYPE_CHECKING:
    from docker.api.client import APIClient

_UP = ("running", "degraded")


def wait_running(client: APIClient, instance: Instance, deadline: Deadline) -> str:
    """Its id once it runs. Raises InstanceGone; NotReady, with its last words, when it has stopped."""

    def up(last: bool) -> str | None:
        row = inspect(client, instance)
        state = row["State"]
        if state["Running"] and not state["Restarting"]:
            return str(row["Id"])
        if last or state["Status"] not in ("restarting", "created"):
            raise NotReady(
                f"{instance.name}: its container is {state['Status']} (status {state['ExitCode']})"
                f"{_words(client, row)}",
                hint="does its `command` go on for ever? Start it again, or destroy it",
            )
        return None

    found = poll(up, deadline)
    assert found is not None
    return found


def wait_for_systemd(client: APIClient, instance: Instance, identifier: str, deadline: Deadline) -> None:
    """Until systemd has worked off its first jobs. Raises NotReady with its state and unfinished jobs."""

    def up(last: bool) -> bool | None:
        state = _ask(client, identifier, ["systemctl", "is-system-running"])
        if state.split("\n")[0] in _UP:
            return True
        if last or not inspect(client, instance)["State"]["Running"]:
            jobs = _ask(client, identifier, ["systemctl", "list-jobs", "--no-pager", "--no-legend"])
            words = "; ".join(part for part in (state, jobs and f"jobs: {jobs}") if part) or "no answer"
            raise NotReady(
                f"{instance.name}: systemd is not up after {deadline.elapsed():.1f} s: {words}",
                hint="the image needs systemd; docker logs tells what it says",
            )
        return None

    poll(up, deadline, interval=0.05, slowest=0.2)


def inspect(client: APIClient, instance: Instance) -> dict[str, Any]:
    """Raises InstanceGone."""
    from docker.errors import NotFound

    from harness.drivers.docker import labels

    name = instance.record.id
    try:
        row: dict[str, Any] = client.inspect_container(name)
    except NotFound:
        row = {"Config": {"Labels": {}}}
    if (row["Config"]["Labels"] or {}).get(labels.PREFIX + "name") != name:
        raise InstanceGone(
            f"{instance.name}: its container {name} no longer exists", hint="`harness create` makes a new one"
        )
    return row


def _ask(client: APIClient, identifier: str, command: list[str]) -> str:
    from docker.errors import APIError

    try:
        made = client.exec_create(identifier, command, stderr=True)
        return bytes(client.exec_start(made["Id"])).decode(errors="replace").strip()
    except APIError as error:  # it is just ending, or it is too early
        return str(error.explanation or "")


def _words(client: APIClient, row: dict[str, Any]) -> str:
    said = row["State"].get("Error") or bytes(client.logs(row["Id"], tail=10)).decode(errors="replace")
    return f": {said.strip()}" if said.strip() else ""
