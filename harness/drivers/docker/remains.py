"""What of ours exists in the daemons, and its removal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import daemon
from harness.cache import cache_dir
from harness.drivers.base import InstanceRecord, NotAllListed
from harness.drivers.docker import daemons, labels, networks, refusals
from harness.models.endpoint import DaemonAddress

if TYPE_CHECKING:
    from docker.api.client import APIClient

_GONE_SECONDS = 30.0


@contextmanager
def client(address: DaemonAddress) -> Iterator[APIClient]:
    opened = daemon.connect(address)
    try:
        with refusals.explained("", address):
            yield opened
    finally:
        opened.close()


def instances() -> list[InstanceRecord]:
    """Raises NotAllListed when a daemon cannot be asked that somebody has chosen, or on which this user has had
    platforms."""
    found: list[InstanceRecord] = []
    silent: list[tuple[DaemonAddress, daemon.DaemonFailed]] = []
    for address in daemons.known():
        try:
            with client(address) as asked:
                found += _instances(asked, address.url)
        except daemon.DaemonFailed as error:
            if daemons.is_remembered(address) or (daemon.is_chosen() and address == daemon.default_address()):
                silent.append((address, error))
    found.sort(key=lambda record: record.created)
    if silent:
        words = "; ".join(error.message for _, error in silent)
        hints = [silent[0][1].hint or ""]
        if paths := " ".join(str(daemons.path_of(one)) for one, _ in silent if daemons.is_remembered(one)):
            hints.append(f"where that daemon is gone for good: rm {paths}")
        raise NotAllListed(words, found=found, hint="; ".join(hints))
    return found


def _instances(asked: APIClient, url: str) -> list[InstanceRecord]:
    """Containers, and networks that none of them needs."""
    rows = asked.containers(all=True, filters={"label": [labels.RUN]})
    found = [record for row in rows if (record := labels.of_container(row, url))]
    needed = {record.detail["network"] for record in found}
    for network in asked.networks(filters={"label": [labels.RUN]}):
        record = labels.record(network.get("Labels") or {}, network["Name"], "unused", url, kind="network")
        if record is not None and record.detail["network"] not in needed:
            found.append(record)
    return found


def reap(record: InstanceRecord) -> None:
    for address in daemons.known():
        if address.url == record.detail.get("daemon", address.url):
            with client(address) as asked:
                remove(asked, record.id, record.detail.get("network") or record.id)
                remove_images(asked, str(record.run), record.project)
            return
    url = record.detail.get("daemon")
    raise daemon.DaemonFailed(
        f"the daemon {url} of {record.id} is not known any more",
        hint=f"DOCKER_HOST={url} harness destroy --orphans asks it",
    )


def remove(asked: APIClient, name: str, network: str, *, volumes: bool = True) -> None:
    """The container with its anonymous volumes, and its networks when nobody else needs them; a second call does
    nothing."""
    remove_container(asked, name, volumes=volumes)
    remove_keys(name)
    networks.remove(asked, network)


def remove_container(asked: APIClient, name: str, *, volumes: bool = True) -> None:
    from docker.errors import APIError, NotFound

    until = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            row: dict[str, Any] = asked.inspect_container(name)
            if row["Config"]["Labels"].get(labels.PREFIX + "name") != name:
                return  # a stranger's
            asked.remove_container(row["Id"], v=volumes, force=True)
            _remove_unnamed(asked, row["Image"])
            return
        except NotFound:
            return
        except APIError as error:  # "removal of container X is already in progress"
            if error.status_code not in (409, 500) or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _remove_unnamed(asked: APIClient, image: str) -> None:
    """The image that the last container lay on, if it is a snapshot that has been deleted or replaced since."""
    from docker.errors import APIError

    try:
        row: dict[str, Any] = asked.inspect_image(image)  # type: ignore[no-untyped-call]
        if labels.SNAPSHOT in (row["Config"].get("Labels") or {}) and not row.get("RepoTags"):
            asked.remove_image(image)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def keys_of(name: str) -> Path:
    """The folder of this machine with the keys to a container that is reached through sshd."""
    return cache_dir() / "docker" / "keys" / name


def remove_keys(name: str) -> None:
    if name and "/" not in name:
        shutil.rmtree(keys_of(name), ignore_errors=True)


def remove_images(asked: APIClient, run: str, project: Path) -> None:
    """Images of that run that nothing names: what a snapshot was before it was taken anew."""
    from docker.errors import APIError

    for row in asked.images(filters={"label": [f"{labels.RUN}={run}"], "dangling": True}):
        if (row.get("Labels") or {}).get(labels.PREFIX + "project") == str(project):
            try:
                asked.remove_image(row["Id"])
            except APIError as error:
                if error.status_code not in (404, 409):  # gone, or a living container lies on it
                    raise
