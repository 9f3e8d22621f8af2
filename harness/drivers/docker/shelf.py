"""Our images in the usual daemon: which there are, built on request, and removed when nothing needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import daemon
from harness.drivers import images as catalogue
from harness.drivers.docker import images, labels, refusals
from harness.drivers.docker.options import DockerOptions
from harness.errors import ImageFailed
from harness.models.serde import StrictModel
from harness.scenario.project import find_project

if TYPE_CHECKING:
    from docker.api.client import APIClient


class DockerImage(StrictModel):
    """`reference` is None where the folder has not been built. `size` in bytes."""

    name: str
    reference: str | None = None
    size: int = 0
    created: float = 0.0


def listed(start: Path) -> list[DockerImage]:
    """What has been built, then the folders that have not. Raises DaemonFailed."""
    with _client() as client:
        found = [
            DockerImage(name=name, reference=tag, size=int(row["Size"]), created=float(row["Created"]))
            for row, name, tag in _ours(client)
        ]
    there = {image.name for image in found}
    return found + [DockerImage(name=name) for name in images.folders(_project(start)) if name not in there]


def build(name: str, start: Path, tell: images.Tell, *, force: bool = False) -> str:
    """The reference of the image, built unless it is there. Raises ImageFailed."""
    project = _project(start)
    if name not in images.folders(project) and catalogue.canonical(name) not in catalogue.CATALOGUE:
        known = ", ".join(dict.fromkeys([*images.folders(project), *catalogue.CATALOGUE]))
        raise ImageFailed(f"there is no folder docker/{name}", hint=f"known here: {known}")
    with _client() as client:
        if force:
            for _, other, tag in _ours(client):
                if other == name:
                    client.remove_image(tag, force=True)
        return images.Finder(client, project, DockerOptions(), tell).find(name)


def prune(*, everything: bool) -> tuple[list[str], list[str]]:
    """Remove what an image of the same name has replaced, or all; what was removed and what a container needs."""
    from docker.errors import APIError

    removed, left = [], []
    newest: set[str] = set()
    with _client() as client:
        for _, name, tag in sorted(_ours(client), key=lambda item: -item[0]["Created"]):
            if name not in newest and not everything:
                newest.add(name)
                continue
            try:
                client.remove_image(tag)
                removed.append(tag)
            except APIError as error:
                if error.status_code != 409:
                    raise
                left.append(tag)
    return removed, left


def _ours(client: APIClient) -> list[tuple[dict[str, Any], str, str]]:
    """Row, name and tag. Snapshots have an image's labels, too, and other names."""
    found = []
    for row in client.images(filters={"label": [labels.IMAGE], "dangling": False}):
        for tag in row.get("RepoTags") or []:
            repository, _, _ = tag.rpartition(":")
            if repository.startswith("harness-local/") and "/snapshot-" not in repository:
                found.append((row, repository.removeprefix("harness-local/"), tag))
    return sorted(found, key=lambda item: item[1:])


def _project(start: Path) -> Path:
    from harness.errors import HarnessError

    try:
        return find_project(start)
    except HarnessError:
        return start


@contextmanager
def _client() -> Iterator[APIClient]:
    address = daemon.default_address()
    client = daemon.connect(address, timeout=600)
    try:
        with refusals.explained("", address):
            yield client
    finally:
        client.close()
