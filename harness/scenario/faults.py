"""The faults of `provisioner.side_effect`: each judged against its platforms before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness import registry
from harness.drivers.base import Capability, PlatformSpec
from harness.errors import HarnessError, Problem
from harness.faults.kinds import KINDS, Kind
from harness.models.fault import Fault, Moment
from harness.models.problems import Keys, shown, unknown
from harness.scenario.file import FaultSection

_OWN = ("paths", "offset_seconds")


class FaultReader:
    """Finds all problems; `where` places them."""

    def __init__(self, platforms: Sequence[PlatformSpec], where: Callable[[Keys], str]) -> None:
        self.platforms = {platform.name: platform for platform in platforms}
        self.where = where
        self.problems: list[Problem] = []

    def read(self, section: FaultSection, at: Keys) -> Fault | None:
        kind = KINDS.get(section.kind)
        if kind is None:
            words = unknown(section.kind, list(KINDS), what=f"there is no fault {shown(section.kind)}")
            self._problem((*at, "kind"), f"{words}; there are: {', '.join(KINDS)}" if "did you" not in words else words)
        names = self._names(section, at)
        during = self._moment(section, kind, at)
        if kind is None:
            return None
        for key in _OWN:
            if key in section.model_fields_set and key not in kind.own:
                self._problem((*at, key), f"{section.kind} has no {key}")
        for index, path in enumerate(section.paths):
            if not path.startswith("/") or path == "/" or ".." in path.split("/"):
                self._problem((*at, "paths", index), f"should be an absolute path below /, not {shown(path)}")
        for name in names if section.platform else self.platforms:
            self._check(section.kind, kind, self.platforms[name], at)
        return Fault(
            kind=section.kind,
            platforms=names,
            during=during,
            after_task=section.after_task,
            seconds=section.seconds,
            paths=tuple(path.rstrip("/") for path in section.paths),
            offset_seconds=section.offset_seconds,
        )

    def _names(self, section: FaultSection, at: Keys) -> tuple[str, ...]:
        """Of platforms, and of groups of them."""
        groups = {group for platform in self.platforms.values() for group in platform.groups}
        for name in section.platform:
            if name not in self.platforms and name not in groups:
                words = unknown(name, [*self.platforms, *groups], what=f"there is no platform or group {shown(name)}")
                self._problem((*at, "platform"), words)
        if "platform" in section.model_fields_set and not section.platform:
            self._problem((*at, "platform"), "names nobody; without the key it is all platforms")
        wanted = set(section.platform)
        return tuple(name for name, platform in self.platforms.items() if wanted & {name, *platform.groups})

    def _moment(self, section: FaultSection, kind: Kind | None, at: Keys) -> Moment:
        during: Moment = section.during or ("run" if section.after_task is not None else "side_effect")
        if section.after_task is not None and during != "run":
            self._problem((*at, "after_task"), f"it means `during: run`, not {during}")
        elif kind is not None and during not in kind.moments:
            allowed = " or ".join(f"`during: {moment}`" for moment in kind.moments)
            self._problem((*at, "during"), f"{section.kind} can be had only with {allowed}, not {during}")
        return during

    def _check(self, name: str, kind: Kind, platform: PlatformSpec, at: Keys) -> None:
        what = f"{name} cannot be done to {platform.name}"
        if kind.through_sshd and not through_sshd(platform):
            self._problem((*at, "kind"), f"{what}: it is not reached through sshd; give it `connection: ssh`")
        try:
            capabilities = registry.driver(platform.driver).capabilities
        except HarnessError:
            return  # said elsewhere
        if kind.owned and Capability.OWNED not in capabilities:
            self._problem((*at, "kind"), f"{what}: the driver {platform.driver} did not make it, and does it no harm")
        elif kind.capability is not None and kind.capability not in capabilities:
            self._problem((*at, "kind"), f"{what}: the driver {platform.driver} lacks {kind.capability.value}")
        elif (why := kind.unavailable(capabilities)) is not None:
            self._problem((*at, "kind"), f"{what}: {why}")

    def _problem(self, at: Keys, words: str) -> None:
        self.problems.append(Problem(self.where(at), words))


def through_sshd(platform: PlatformSpec) -> bool:
    """Whether its endpoint is an `Ssh`."""
    return platform.driver == "ssh" or getattr(platform.options, "connection", None) == "ssh"
