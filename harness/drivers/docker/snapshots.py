"""Snapshots are images of ours: a name for each platform, a tag for each key, which moves to the next image at once."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.cache import cache_dir
from harness.drivers.base import Instance, RunId, ScenarioRef, Snapshot, is_automatic
from harness.drivers.docker import labels

if TYPE_CHECKING:
    from docker.api.client import APIClient

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def reference(scenario: ScenarioRef, platform: str, key: str) -> str:
    """What a hash stands for is the same in every scenario; a name that a person gave is the scenario's own."""
    if is_automatic(key):
        return f"harness-local/snapshot-{hashlib.sha256(platform.encode()).hexdigest()[:16]}:{key}"
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
        labels.CACHE: str(cache_dir()),
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
    """The automatic ones of this user, and those that people gave a name in this scenario."""
    used: dict[str, list[str]] = {}
    for row in client.containers(all=True, filters={"label": [labels.RUN]}):
        used.setdefault(row["ImageID"], []).append(row["Names"][0].lstrip("/"))
    found = []
    for row in client.images(filters={"label": [labels.SNAPSHOT], "dangling": False}):
        told = row["Labels"]
        platform, key = told.get(labels.PREFIX + "platform", ""), told[labels.SNAPSHOT]
        if reference(scenario, platform, key) in (row.get("RepoTags") or []) and _is_ours(told, scenario):
            found.append(_described(client, row["Id"], told, used.get(row["Id"], ())))
    return sorted(found, key=lambda snapshot: snapshot.created)


def _is_ours(told: dict[str, str], scenario: ScenarioRef) -> bool:
    if is_automatic(told[labels.SNAPSHOT]):
        return told.get(labels.CACHE) == str(cache_dir())
    owner = (told.get(labels.PREFIX + "project"), told.get(labels.PREFIX + "scenario"))
    return owner == (str(scenario.project), scenario.name)


def look_up(client: APIClient, scenario: ScenarioRef, platform: str, key: str) -> Snapshot | None:
    from docker.errors import NotFound

    try:
        row = client.inspect_image(reference(scenario, platform, key))  # type: ignore[no-untyped-call]
    except NotFound:
        return None
    told = row["Config"].get("Labels") or {}
    # A person may have given its name to another image.
    if told.get(labels.SNAPSHOT) != key or not _is_ours(told, scenario):
        return None
    return _described(client, row["Id"], told)


def find(client: APIClient, scenario: ScenarioRef, snapshot: Snapshot) -> str | None:
    """The id of its image."""
    return _id(client, reference(scenario, snapshot.platform, snapshot.key))


def delete(client: APIClient, scenario: ScenarioRef, snapshot: Snapshot) -> None:
    """Its name goes at once, its layers when no container lies on them any more."""
    _remove(client, reference(scenario, snapshot.platform, snapshot.key))


def _described(client: APIClient, image: str, told: dict[str, str], used: Sequence[str] = ()) -> Snapshot:
    layers: list[dict[str, Any]] = client.history(image)  # type: ignore[no-untyped-call]
    return Snapshot(
        driver="docker",
        key=told[labels.SNAPSHOT],
        platform=told[labels.PREFIX + "platform"],
        created=float(told[labels.PREFIX + "created"]),
        size=int(layers[0]["Size"]) if layers else 0,
        missing=tuple(json.loads(told[labels.PREFIX + "missing"])),
        digest=image,
        used=tuple(used),
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
