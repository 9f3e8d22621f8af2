"""Where there are no name spaces (macOS, Windows): the platform is this machine itself, if that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from harness.deadline import Deadline
from harness.drivers.base import Instance, InstanceRecord, PlatformSpec, Site, Snapshot
from harness.drivers.native.options import NativeOptions
from harness.errors import DriverFailed
from harness.models.endpoint import Endpoint, Local


class ItselfSite(Site):
    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        for spec in specs:
            if not (isinstance(spec.options, NativeOptions) and spec.options.allow_changes):
                raise DriverFailed(
                    f"{spec.name}: there are no name spaces on this system: the plan would change this machine itself",
                    hint="use another driver, or set `allow_changes: true` on the platform if that is what you want",
                )
            if spec.image or bases.get(spec.name):
                raise DriverFailed(f"{spec.name}: an image or a snapshot needs Linux", hint="use another driver")
        return [Instance(spec, self._noted(spec, f"itself-{self.run}-{spec.name}")) for spec in specs]

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        return Instance(spec, record)

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        return Local()

    def destroy(self, instance: Instance) -> None:
        """Nothing was made."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
