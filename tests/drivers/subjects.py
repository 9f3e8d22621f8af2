"""The drivers that the conformance suite runs over, and how another process makes instances of theirs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.cache import cache_dir
from harness.deadline import Deadline
from harness.drivers.base import Driver, PlatformSpec, RunId, ScenarioRef
from harness.registry import driver
from tests import docker_images


@dataclass(frozen=True)
class Subject:
    """`options` of every platform, `broken` of one that cannot be created. `ready` in seconds."""

    name: str
    broken: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None
    broken_image: str | None = None
    ready: float = 60.0
    prepare: Callable[[], object] | None = None
    """What must be there before a test, whatever its cache folder."""
    shared: tuple[str, ...] = ()
    """Folders of the user's own cache that each test's has as well: what takes long to make, and is never changed."""
    marks: tuple[pytest.MarkDecorator, ...] = ()
    short: tuple[str, ...] | None = None
    """The tests of it that are no soak: each instance takes it a minute. None: all."""

    def driver(self) -> Driver:
        return driver(self.name)

    def spec(self, name: str, *, broken: bool = False) -> PlatformSpec:
        options = self.driver().platform_options.model_validate({**self.options, **(self.broken if broken else {})})
        image = self.broken_image if broken and self.broken_image else self.image
        return PlatformSpec(name, self.name, image=image, options=options)

    def share(self, cache: Path) -> None:
        """Into the cache folder of a test."""
        for name in self.shared:
            own = cache_dir() / name
            own.mkdir(parents=True, exist_ok=True)
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            (cache / name).symlink_to(own)

    def deadline(self) -> Deadline:
        return Deadline(self.ready)


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("fake", broken={"faults": {"create": "no space left"}}),
        Subject(
            "docker",
            broken={"volumes": ["/no such:relative"]},
            image=docker_images.BASE,
            prepare=docker_images.ensure_base,
            marks=(pytest.mark.docker,),
        ),
        Subject(
            "libvirt",
            broken={"shares": ["/no/such/folder:/mnt"]},
            options={"network": "private"},
            image="debian-12",
            ready=120.0,
            shared=("store", "libvirt/kvm"),
            marks=(pytest.mark.libvirt,),
        ),
        Subject(
            "vagrant",
            broken={"provider_options": {"nosuch": 1}},
            options={"provider": "libvirt", "cpus": 1, "user": "root"},
            image="debian-12",
            ready=600.0,
            shared=("store", "libvirt/kvm", "vagrant/home"),
            marks=(pytest.mark.vagrant,),
            short=("test_revert_undoes_everything_after_the_snapshot", "test_diagnosis_and_listing_touch_nothing"),
        ),
        Subject("native", broken={"shares": ["/no/such/folder:/mnt"]}, marks=(pytest.mark.sandbox,)),
    )
}


def main(name: str, project: str, run: str, keep: str, *platforms: str) -> None:
    """Make instances, tell their ids, and stay until stdin ends."""
    subject = SUBJECTS[name]
    folder = Path(project)
    with subject.driver().open(ScenarioRef(folder, "conformance", folder), RunId(run), keep=keep == "keep") as site:
        made = site.create([subject.spec(platform) for platform in platforms], {})
        for instance in made:
            site.wait_ready(instance, subject.deadline())
        print(json.dumps([instance.record.id for instance in made]), flush=True)
        sys.stdin.read()


def listing(name: str) -> None:
    records = SUBJECTS[name].driver().instances()
    print(json.dumps([[r.id, r.platform, r.scenario, str(r.project), str(r.run), r.kept, r.status] for r in records]))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        listing(sys.argv[1])
    else:
        main(*sys.argv[1:])
