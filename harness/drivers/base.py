"""What every driver is: lifecycle only, never a command.

A `Driver` opens a `Site`: the scope of one scenario's run in one driver (its network, names and
instances). A third party adds a driver through the entry point group `harness.drivers`.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from harness.deadline import Deadline
from harness.errors import DriverFailed, Problem, Unsupported
from harness.models.config import DeploymentStrategy
from harness.models.endpoint import Endpoint
from harness.models.serde import StrictModel
from harness.models.shaping import Shaping


class Capability(enum.StrEnum):
    """What a driver may be able to do; a caller looks before it leaps."""

    SNAPSHOT = "snapshot"
    LIVE_STATE = "live-state"
    """A snapshot holds memory and processes as well as files."""
    REBOOT = "reboot"
    INIT_SYSTEM = "init-system"
    ISOLATED = "isolated"
    """Nothing done inside reaches the real host."""
    OWNED = "owned"
    """The driver made the instance and may destroy it."""
    PARALLEL = "parallel"
    CONSOLE = "console"
    SCREENSHOT = "screenshot"
    FREEZE = "freeze"
    PARTITION = "partition"
    OWN_CLOCK = "own-clock"
    """The instance's clock can be set without this machine's being touched."""


@dataclass(frozen=True)
class RunId:
    """Names one run: letters, digits and hyphens, at most 32, sortable by time."""

    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ScenarioRef:
    """Which scenario of which project, as labels in the real system carry it."""

    project: Path
    """Absolute folder that holds `molecule/` (or the file given by --config)."""
    name: str
    directory: Path
    """Absolute folder of the scenario; relative paths in a platform are taken from here."""


@dataclass(frozen=True)
class PlatformSpec:
    """What a scenario asks for. `options` is the driver's own validated model (see `Driver.platform_options`)."""

    name: str
    driver: str
    image: str | None = None
    os: str = "linux"
    arch: str | None = None
    groups: tuple[str, ...] = ()
    options: StrictModel | None = None
    snapshot: bool | str | None = None
    """Whether what `prepare` makes of it may be kept as a snapshot; None: where that is sure to change nothing. A
    name: it starts from the snapshot that a person gave this name."""
    shaping: Shaping | None = None
    """What the way to its sshd is like."""
    strategy: DeploymentStrategy | None = None
    """How the plan reaches it; None: as the scenario says."""


@dataclass(frozen=True)
class InstanceRecord:
    """An instance as the real system tells of it: enough to list it, adopt it and reap it."""

    driver: str
    id: str
    """The driver's own name for it, unique on this machine."""
    platform: str
    scenario: str
    project: Path
    run: RunId
    kept: bool
    """Kept until `destroy` (made by create or converge), or bound to the life of its run (made by test)."""
    status: str = "running"
    created: float = 0.0
    """Unix time in seconds."""
    detail: Mapping[str, str] = field(default_factory=dict)


class NotAllListed(DriverFailed):
    """Some of the systems that may hold instances could not be asked. `found`: the records of those that could."""

    def __init__(self, message: str, *, found: Sequence[InstanceRecord], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.found = tuple(found)


@dataclass(frozen=True)
class Instance:
    """A platform that exists."""

    spec: PlatformSpec
    record: InstanceRecord

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class Snapshot:
    """A reusable state of an instance, addressed by the hash of what made it."""

    driver: str
    key: str
    """[0-9a-f]{64} for automatic ones, else the name a person gave."""
    platform: str
    created: float
    size: int
    """Bytes on disk."""
    missing: tuple[str, ...] = ()
    """What it does not hold: processes, tmpfs, volumes."""
    digest: str = ""
    """What the driver knows its content by: another one under the same key is another snapshot."""
    used: tuple[str, ...] = ()
    """Ids of the instances that lie on it; only `Site.snapshots` tells them."""

    @property
    def automatic(self) -> bool:
        """Made by the harness itself, under a key that is a hash."""
        return is_automatic(self.key)


ONCE_SECONDS = 1800.0
"""That images may take to be fetched or built before they count against the time of the run that waits for them."""
SNAPSHOT_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"
"""What a person may call one."""
NO_NAME = "no name for a snapshot: at most 63 letters, digits, dots, underscores and hyphens; no dot or hyphen first"


def is_automatic(key: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", key) is not None


def stored_name(scenario: ScenarioRef, platform: str, key: str) -> str:
    """Under which a snapshot's file or folder lies. Automatic keys say themselves what they hold; a name that a person
    gave is the platform's own."""
    if is_automatic(key):
        return key
    return hashlib.sha256(json.dumps([str(scenario.project), scenario.name, platform, key]).encode()).hexdigest()


def is_name(text: str) -> bool:
    """Whether a person may call a snapshot so."""
    return re.fullmatch(SNAPSHOT_NAME, text) is not None


@dataclass(frozen=True)
class Origin:
    """What a new instance of a platform begins as: all that the key of a snapshot of it has to know."""

    digest: str
    """Another one whenever an instance made now would begin otherwise: its image, and the format of its state."""
    unsure: str | None = None
    """Why the digest cannot tell for sure. Then a snapshot is made only where the platform asks for it."""
    outside: tuple[str, ...] = ()
    """Volumes and shares: what `prepare` may write to that no snapshot holds."""


@dataclass(frozen=True)
class Written:
    """`paths`: everything that was made, changed or removed in an instance since it was made, but for what lies below
    `elsewhere`: folders whose file systems the driver cannot tell of."""

    paths: frozenset[str]
    elsewhere: tuple[str, ...] = ()


class Site(AbstractContextManager["Site"], ABC):
    """The open scope of one scenario's run in one driver. Leaving it closes what the scope itself made
    (a network) once no instance needs it; instances go by `destroy`."""

    snapshots_outlive: bool = True
    """Whether a snapshot outlives the instance that it was taken of, and new ones can begin from it."""
    clock: Deadline | None = None
    """Of the run that has opened it, if it was one."""

    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        """`name` and `capabilities` are the driver's; instances made with `keep` outlive this process."""
        self.name = driver.name
        self.capabilities = driver.capabilities
        self.scenario = scenario
        self.run = run
        self.keep = keep

    def aside(self, limit: float = ONCE_SECONDS) -> AbstractContextManager[None]:
        """For what is made once for this machine, and not for this run: it does not count against the run's time, for
        `limit` seconds at most."""
        return nullcontext() if self.clock is None else self.clock.aside(limit)

    @abstractmethod
    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        """Create all, side by side where the driver can; `bases` maps a platform's name to the snapshot it
        starts from. On a failure nothing of this call is left. Raises DriverFailed, ImageFailed."""

    @abstractmethod
    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        """Take over an instance that an earlier process created and kept. Raises InstanceGone."""

    @abstractmethod
    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        """Until a command could run in it. Raises NotReady with what was last seen."""

    @abstractmethod
    def destroy(self, instance: Instance) -> None:
        """Remove it and all that belongs to it; a second call does nothing."""

    def start(self, instance: Instance) -> None:
        raise self._unsupported(Capability.REBOOT)

    def stop(self, instance: Instance) -> None:
        raise self._unsupported(Capability.REBOOT)

    def kill(self, instance: Instance) -> None:
        """Stop it without giving it time for anything, as a power failure does; `start` brings it back."""
        self.stop(instance)

    def reboot(self, instance: Instance, deadline: Deadline) -> Endpoint:
        """Restart it with its files kept; the address may change."""
        raise self._unsupported(Capability.REBOOT)

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        """Publish the present state atomically under `key`: a reader sees the old one or the new one."""
        raise self._unsupported(Capability.SNAPSHOT)

    def origin(self, spec: PlatformSpec) -> Origin:
        """What an instance of it begins as. It may fetch or build the image, as `create` would. Raises ImageFailed."""
        return Origin("", unsure=f"the {self.name} driver does not say what its platforms begin as")

    def snapshots(self) -> list[Snapshot]:
        """The automatic ones of all projects, and those that people gave a name in this scenario, oldest first."""
        raise self._unsupported(Capability.SNAPSHOT)

    def find_snapshot(self, platform: str, key: str) -> Snapshot | None:
        """None where there is none, or one that can be seen to be damaged."""
        return next((one for one in self.snapshots() if (one.platform, one.key) == (platform, key)), None)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        raise self._unsupported(Capability.SNAPSHOT)

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Endpoint:
        """Back to the snapshot's state; whatever came after it is gone."""
        raise self._unsupported(Capability.SNAPSHOT)

    def written(self, instance: Instance) -> Written | None:
        """What was written to its files since it was made; None where only a look at all of them tells."""
        return None

    def console(self, instance: Instance) -> str:
        """The console's text so far."""
        raise self._unsupported(Capability.CONSOLE)

    def screenshot(self, instance: Instance) -> bytes:
        """A PNG of the screen."""
        raise self._unsupported(Capability.SCREENSHOT)

    def freeze(self, instance: Instance) -> None:
        """Stop all its processes where they are."""
        raise self._unsupported(Capability.FREEZE)

    def thaw(self, instance: Instance) -> None:
        raise self._unsupported(Capability.FREEZE)

    def partition(self, instance: Instance, *, cut: bool) -> None:
        """Cut its network off, or heal it."""
        raise self._unsupported(Capability.PARTITION)

    def back_door(self, instance: Instance) -> Endpoint:
        """A way in for what is done to it on purpose, as root or as somebody whom sudo makes root, with the right to
        mount. It passes neither its network nor its sshd, unless no scenario can have faults of those there."""
        raise Unsupported("a way in as root", by=f"the {self.name} driver")

    def _noted(self, spec: PlatformSpec, identifier: str) -> InstanceRecord:
        """Of a platform that no system tells of: as this site takes it now."""
        return InstanceRecord(
            driver=self.name,
            id=identifier,
            platform=spec.name,
            scenario=self.scenario.name,
            project=self.scenario.project,
            run=self.run,
            kept=self.keep,
            created=time.time(),
        )

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(capability.value, by=f"the {self.name} driver")

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Driver(ABC):
    """A way to get platforms. Making one costs nothing and touches nothing."""

    name: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    platform_options: ClassVar[type[StrictModel]]
    """The model of the keys a platform of this driver may have beside the common ones."""
    usual_image: ClassVar[str | None] = None
    """Where there must be an image: that of a platform for which nobody has named one (new scenarios, fixtures)."""
    first_step: ClassVar[str | None] = None
    """What is left to be done before a new scenario can pass."""

    def check(self, spec: PlatformSpec) -> list[Problem]:
        """What of it no machine could make; `where` is the key that each is about. No side effects."""
        return []

    @abstractmethod
    def diagnose(self) -> list[Problem]:
        """Why this driver cannot work here, each with a cure; empty when it can. No side effects."""

    def obstacles(self) -> list[Problem]:
        """As `diagnose`, but cheap enough for the beginning of every run: what worked before may be taken to work."""
        return self.diagnose()

    def limits(self) -> list[Problem]:
        """What of it does not work as it should here, though it works, each with a cure. No side effects."""
        return []

    def systemd_trial(self) -> PlatformSpec | None:
        """A platform with `init: systemd` that could be made at once: nothing has to be built or fetched for it.
        `harness doctor` boots it. None where there is none."""
        return None

    @abstractmethod
    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        """Open the scope of one scenario's run. Instances made with `keep` outlive this process;
        others end with it wherever the system can see to that. Raises DriverFailed."""

    @abstractmethod
    def instances(self) -> list[InstanceRecord]:
        """Everything of ours that exists, of all projects, read from the real system by label."""

    @abstractmethod
    def reap(self, record: InstanceRecord) -> None:
        """Destroy what a dead run left, with all that belongs to it; a second call does nothing."""
