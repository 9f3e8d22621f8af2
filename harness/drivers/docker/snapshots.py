"""Snapshots are images of ours: a name for each platform, a tag for each key, which moves to the next image at once."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any

from harness.drivers.base import Instance, RunId, ScenarioRef, Snapshot
from harness.drivers.docker import labels

if TYPE_CHECKING:
    from docker.api.client import APIClient

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def reference(scenario: ScenarioRef, platform: str, key: str) -> str:
    tag = key if _TAG.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()
    owner = hashlib.sha256(f"{scenario.project}\0{scenario.name}\0{platform}".encode()).hexdigest()[:16]
    return f"harness-local/snapshot-{owner}:{tag}"


def take(
    client: APIClient, instance: Instance, scenario: ScenarioRef, run: RunId, key: str, missing: tuple[str, ...]
) -> Snapshot:
    """Raises docker's errors; then the snapshot that was there before is still there."""
    name = reference(scenario, instance.name, key)
    told = {
        labels.SNAPSHOT: key,
        labels.RUN: str(run),
        labels.PREFIX + "project": str(scenario.project),
        labels.PREFIX + "scenario": scenario.name,
        labels.PREFIX + "platform": instance.name,
        labels.PREFIX + "created": f"{time.time():.3f}",
        labels.PREFIX + "missing": json.dumps(missing),
    }
    before = _id(client, name)
    repository, _, tag = name.rpartition(":")
    changes = [f"LABEL {_quoted(label)}={_quoted(value)}" for label, value in told.items()]
    made = client.commit(instance.record.id, repository=repository, tag=tag, changes=changes)
    if before is not None and before != made["Id"]:
        _remove(client, before)
    return _described(client, made["Id"], told)


def listed(client: APIClient, scenario: ScenarioRef) -> list[Snapshot]:
    wanted = [f"{labels.PREFIX}project={scenario.project}", f"{labels.PREFIX}scenario={scenario.name}", labels.SNAPSHOT]
    found = []
    for row in client.images(filters={"label": wanted, "dangling": False}):
        told = row["Labels"]
        name = reference(scenario, told[labels.PREFIX + "platform"], told[labels.SNAPSHOT])
        if name in (row.get("RepoTags") or []):
            found.append(_described(client, row["Id"], told))
    return sorted(found, key=lambda snapshot: snapshot.created)


def find(client: APIClient, scenario: ScenarioRef, snapshot: Snapshot) -> str | None:
    """The id of its image."""
    return _id(client, reference(scenario, snapshot.platform, snapshot.key))


def delete(client: APIClient, scenario: ScenarioRef, snapshot: Snapshot) -> None:
    """Its name goes at once, its layers when no container lies on them any more."""
    _remove(client, reference(scenario, snapshot.platform, snapshot.key))


def _described(client: APIClient, image: str, told: dict[str, str]) -> Snapshot:
    layers: list[dict[str, Any]] = client.history(image)  # type: ignore[no-untyped-call]
    return Snapshot(
        driver="docker",
        key=told[labels.SNAPSHOT],
        platform=told[labels.PREFIX + "platform"],
        created=float(told[labels.PREFIX + "created"]),
        size=int(layers[0]["Size"]) if layers else 0,
        missing=tuple(json.loads(told[labels.PREFIX + "missing"])),
    )


def _id(client: APIClient, name: str) -> str | None:
    from docker.errors import NotFound

    try:
        return str(client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]
    except NotFound:
        return None


def _remove(client: APIClient, name: str) -> None:
    from docker.errors import APIError, NotFound

    try:
        client.remove_image(name)
    except NotFound:
        pass
    except APIError as error:  # a container lies on it: it loses its name, and goes with the container's run
        if error.status_code != 409:
            raise
        if ":" in name and not name.startswith("sha256:"):
            client.remove_image(name, force=True)


def _quoted(text: str) -> str:
    """For a Dockerfile's LABEL: in double quotes, where variables would be replaced."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
