"""From platforms to Vagrantfiles: which box backs each, and which machines one Vagrantfile holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.images import Tell
from harness.drivers.vagrant import boxes, missing, providers, vagrantfile
from harness.drivers.vagrant.options import VagrantOptions
from harness.drivers.vagrant.projects import Machine, Project
from harness.drivers.vagrant.providers import LIBVIRT
from harness.drivers.vagrant.vagrantfile import Wanted
from harness.errors import DriverFailed, HarnessError


@dataclass(frozen=True)
class Shared:
    """What all machines of one Vagrantfile have in common."""

    provider: str
    own_home: bool
    own: Path | None
    parallel: bool
    provision: bool


@dataclass(frozen=True)
class Plan:
    """One Vagrantfile to be."""

    shared: Shared
    machines: tuple[tuple[PlatformSpec, Wanted], ...]
    scenario: ScenarioRef
    run: RunId

    @property
    def provider(self) -> str:
        return self.shared.provider

    @property
    def parallel(self) -> bool:
        return self.shared.parallel

    @property
    def provision(self) -> bool:
        return self.shared.provision

    def project(self, name: str, *, kept: bool) -> Project:
        own = self.shared.own
        return Project(
            name=name,
            project=str(self.scenario.project),
            scenario=self.scenario.name,
            run=str(self.run),
            kept=kept,
            created=time.time(),
            root=str(own.parent if own is not None else self.scenario.directory),
            own_home=self.shared.own_home,
            machines=tuple(
                Machine(platform=spec.name, machine=one.name, provider=one.provider, uri=_uri(one))
                for spec, one in self.machines
            ),
            own=None if own is None else str(own),
        )

    def text(self, name: str) -> str:
        wanted = [one for _, one in self.machines]
        if self.shared.own is not None:
            return vagrantfile.around(self.shared.own, wanted, prefix=f"{name}_")
        return vagrantfile.generated(wanted, prefix=f"{name}_")


def plans(specs: Sequence[PlatformSpec], scenario: ScenarioRef, run: RunId, *, tell: Tell) -> list[Plan]:
    """Raises DriverFailed with all that is wrong with all platforms, ImageFailed where a box cannot be built."""
    if shutil.which("vagrant") is None:
        raise DriverFailed(missing.VAGRANT, hint=missing.INSTALL_VAGRANT)
    faults = [f"{spec.name}: {fault}" for spec in specs for fault in _faults(spec, scenario)]
    if faults:
        raise DriverFailed("\n".join(faults))
    by_shared: dict[Shared, list[tuple[PlatformSpec, Wanted]]] = {}
    for spec in specs:
        shared, wanted = _wanted(spec, scenario, tell)
        by_shared.setdefault(shared, []).append((spec, wanted))
    return [Plan(shared, tuple(machines), scenario, run) for shared, machines in by_shared.items()]


def _faults(spec: PlatformSpec, scenario: ScenarioRef) -> list[str]:
    options = _options(spec)
    found = []
    if spec.os == "windows":
        found.append("a Windows guest needs WinRM, which the harness does not speak yet")
    if options.vagrantfile is not None:
        own = _own(options, scenario)
        if spec.image is not None:
            found.append("`vagrantfile` says itself which box it takes: leave `image` out")
        if own is not None and not own.is_file():
            found.append(f"there is no Vagrantfile {own}")
    elif spec.image is not None:
        found += _image_faults(spec, options)
    elif options.box is None and options.default_box is None:
        found.append("it needs `box: NAME`, or `image: debian-12`, which is built here")
    provider = providers.choose(options.provider, ours=spec.image is not None)
    known = providers.found()
    if not known:
        found.append(f"there is no provider that could make a machine; {missing.INSTALL_PROVIDER}")
    elif provider in providers.KNOWN and provider not in known:
        found.append(
            f"the provider {provider} is not installed; here there is {', '.join(known)} ({missing.INSTALL_PROVIDER})"
        )
    return found


def _image_faults(spec: PlatformSpec, options: VagrantOptions) -> list[str]:
    if options.box is not None:
        return ["`box` and `image` are two; one of them must go"]
    if options.provider not in (None, LIBVIRT):
        return [f"boxes that are built here are for libvirt, not for {options.provider}"]
    assert spec.image is not None
    try:
        boxes.check(spec.image)
    except HarnessError as error:
        return [error.message + (f" ({error.hint})" if error.hint else "")]
    return []


def _wanted(spec: PlatformSpec, scenario: ScenarioRef, tell: Tell) -> tuple[Shared, Wanted]:
    options = _options(spec)
    ours = spec.image is not None
    provider = providers.choose(options.provider, ours=ours)
    own = _own(options, scenario)
    shared = Shared(provider, ours, own, options.parallel, options.provision)
    if own is not None:
        return shared, Wanted(options.machine or spec.name, provider, options)
    kvm = provider != LIBVIRT or vagrantfile.has_kvm()
    if spec.image is None:
        return shared, Wanted(spec.name, provider, options, options.box or options.default_box or "", kvm=kvm)
    box = boxes.ensure(spec.image, scenario.directory, tell)
    return shared, Wanted(spec.name, provider, box.adapted(options), box.name, box.version, kvm=box.kvm)


def _own(options: VagrantOptions, scenario: ScenarioRef) -> Path | None:
    """A folder stands for the Vagrantfile in it."""
    if options.vagrantfile is None:
        return None
    path = (scenario.directory / Path(options.vagrantfile).expanduser()).absolute()
    return path / "Vagrantfile" if path.is_dir() else path


def _uri(wanted: Wanted) -> str | None:
    said = wanted.options.provider_options
    if isinstance(said.get("uri"), str):
        return str(said["uri"])
    return "qemu:///session" if said.get("qemu_use_session") is True else None


def _options(spec: PlatformSpec) -> VagrantOptions:
    return spec.options if isinstance(spec.options, VagrantOptions) else VagrantOptions()
