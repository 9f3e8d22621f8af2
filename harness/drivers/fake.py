"""A driver for tests of everything above drivers: real folders and processes, and faults on request.

An instance is a folder of this host; its commands run there as this user (`Local(directory=...)`). Nothing is isolated:
absolute paths are the host's own. So it is refused unless `HARNESS_FAKE=1`, and no scenario can pass on it by accident.

The system it stands for lies in `HARNESS_FAKE_DIR`, else in the cache folder, and outlives any process:

    instances/ID/state.json     what a real system would tell of the instance
    instances/ID/root           its files; `off` while it is stopped
    snapshots/SCOPE/PLATFORM/KEY
    strikes/                    how often each fault has struck

Faults are a platform option, one for each operation (create, adopt, ready, start, stop, snapshot, revert, destroy):

    faults:
      create: "no space left"                   # fails with these words, every time
      destroy: 2                                # fails twice, then works
      ready: hang                               # until its deadline
      snapshot: crash                           # the whole process is killed, half-way through
      create: {kind: crash, at: start}          # before anything was done
      revert: {kind: slow, seconds: 0.5, times: 1}
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from harness.cache import cache_dir
from harness.deadline import Deadline, poll
from harness.drivers.base import (
    Capability,
    Driver,
    Instance,
    InstanceRecord,
    Origin,
    PlatformSpec,
    RunId,
    ScenarioRef,
    Site,
    Snapshot,
    is_automatic,
)
from harness.drivers.fake_system import NAME, State, System, copy_tree, kill_processes, processes_of
from harness.drivers.trees import tree_digest
from harness.errors import DriverFailed, InstanceGone, NotReady, Problem
from harness.models.endpoint import Endpoint, Local
from harness.models.serde import StrictModel

Operation = Literal["create", "adopt", "ready", "start", "stop", "snapshot", "revert", "destroy"]

CAPABILITIES = frozenset(
    {Capability.SNAPSHOT, Capability.REBOOT, Capability.OWNED, Capability.PARALLEL, Capability.FREEZE}
)


def _from_shorthand(value: object) -> object:
    if value in ("hang", "crash"):
        return {"kind": value}
    if isinstance(value, str):
        return {"message": value}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"times": value}
    return value


class Fault(StrictModel):
    """What goes wrong in one operation. `times`: only so often, then it works; `seconds`: how long `slow` takes."""

    kind: Literal["fail", "hang", "crash", "slow"] = "fail"
    message: str = "an injected fault"
    at: Literal["start", "middle"] = "middle"
    times: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=1.0, ge=0)


class FakeOptions(StrictModel):
    faults: dict[Operation, Annotated[Fault, BeforeValidator(_from_shorthand)]] = Field(default_factory=dict)
    volumes: list[str] = Field(default_factory=list)
    """What it says lies outside of its snapshots."""
    unsure: str | None = None
    """Why it says that nobody can tell what it begins as."""


class FakeSite(Site):
    def __init__(self, driver: Driver, system: System, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        self.system = system
        self._scope = hashlib.sha256(f"{scenario.project}\0{scenario.name}".encode()).hexdigest()[:12]
        self._watch: int | None = None

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        if not self.keep:
            self._watch_over()
        made: list[Instance] = []
        try:
            for spec in specs:
                self._strike(spec, "create", "start")
                state = self._announce(spec)
                made.append(Instance(spec, state.record()))
                self._strike(spec, "create", "middle")
                if spec.name in bases:
                    state = self._begin_as(state, bases[spec.name])
                self.system.update(state.model_copy(update={"status": "running"}))
        except BaseException:
            for instance in made:
                self.system.remove(instance.record.id)
            raise
        return [self._again(instance) for instance in made]

    def _begin_as(self, state: State, base: Snapshot) -> State:
        source = self._snapshot(base.key, state.platform)
        if not source.is_dir():
            raise DriverFailed(f"{state.platform}: there is no snapshot {base.key!r}")
        copy_tree(source, self._root(state.id))
        return state.model_copy(update={"base": str(source)})

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        self._strike(spec, "adopt")
        return self._again(Instance(spec, record))

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        fault = self._due(instance.spec, "ready")
        if fault and fault.kind == "hang":
            poll(lambda last: None, deadline)
            raise NotReady(f"{instance.name}: not ready after {deadline.seconds:g} s; last seen: {fault.message}")
        if fault:
            self._let_strike(fault, instance.spec, "ready", NotReady)
        state = self._state(instance)
        if state.status != "running":
            raise NotReady(f"{instance.name}: it is {state.status}, not running")
        return Local(directory=str(self._root(state.id)))

    def start(self, instance: Instance) -> None:
        self._strike(instance.spec, "start")
        state = self._state(instance)
        if state.status == "stopped":
            home = self.system.home(state.id)
            (home / "off").rename(home / "root")
            self.system.update(state.model_copy(update={"status": "running"}))

    def stop(self, instance: Instance) -> None:
        self._strike(instance.spec, "stop")
        state = self._state(instance)
        if state.status != "stopped":
            home = self.system.home(state.id)
            kill_processes(home)
            # Out of the way, so that a connection to a stopped instance finds nothing, as with a real one.
            (home / "root").rename(home / "off")
            self.system.update(state.model_copy(update={"status": "stopped"}))

    def reboot(self, instance: Instance, deadline: Deadline) -> Endpoint:
        self.stop(instance)
        self.start(instance)
        return self.wait_ready(instance, deadline)

    def destroy(self, instance: Instance) -> None:
        if self.system.state(instance.record.id):
            self._strike(instance.spec, "destroy")
        self.system.remove(instance.record.id)

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        self._strike(instance.spec, "snapshot", "start")
        state = self._state(instance)
        target = self._snapshot(key, instance.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.parent / f".new-{os.getpid()}-{target.name}"
        try:
            fresh.mkdir()
            self._strike(instance.spec, "snapshot", "middle")
            copy_tree(self._root(state.id), fresh)
            if target.exists():
                target.rename(fresh.with_name(f".old-{os.getpid()}-{target.name}"))
            fresh.rename(target)
        finally:
            for leftover in target.parent.glob(f".*-{os.getpid()}-{target.name}"):
                shutil.rmtree(leftover, ignore_errors=True)
        return self._described(target, key)

    def origin(self, spec: PlatformSpec) -> Origin:
        options = spec.options if isinstance(spec.options, FakeOptions) else FakeOptions()
        return Origin(spec.image or "an empty folder", unsure=options.unsure, outside=tuple(options.volumes))

    def snapshots(self) -> list[Snapshot]:
        used: dict[str, list[str]] = {}
        for state in self.system.states():
            used.setdefault(state.base, []).append(state.id)
        found = [
            folder
            for scope in (self._scope, "shared")
            for folder in self.system.snapshots.glob(f"{scope}/*/*")
            if folder.name[0] != "."
        ]
        described = [self._described(folder, folder.name, used.get(str(folder), ())) for folder in found]
        return sorted(described, key=lambda snapshot: snapshot.created)

    def find_snapshot(self, platform: str, key: str) -> Snapshot | None:
        folder = self._snapshot(key, platform)
        return self._described(folder, key) if folder.is_dir() else None

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        folder = self._snapshot(snapshot.key, snapshot.platform)
        for one in (folder, *(folder.parent.glob(f".*-{folder.name}") if snapshot.automatic else ())):
            shutil.rmtree(one, ignore_errors=True)

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Endpoint:
        self._strike(instance.spec, "revert", "start")
        state = self._state(instance)
        source = self._snapshot(snapshot.key, instance.name)
        if not source.is_dir():
            raise DriverFailed(f"{instance.name}: there is no snapshot {snapshot.key!r}")
        home = self.system.home(state.id)
        fresh = home / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        copy_tree(source, fresh)
        kill_processes(home)
        self._strike(instance.spec, "revert", "middle")
        (home / ("off" if state.status == "stopped" else "root")).rename(home / "old")
        fresh.rename(home / "root")
        shutil.rmtree(home / "old", ignore_errors=True)
        self.system.update(state.model_copy(update={"status": "running", "base": str(source)}))
        return self.wait_ready(instance, deadline)

    def freeze(self, instance: Instance) -> None:
        self._each_process(instance, "suspend", "frozen")

    def thaw(self, instance: Instance) -> None:
        self._each_process(instance, "resume", "running")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mine = (state for state in self.system.states() if state.run == str(self.run) and not state.kept)
        # While something is left, the pipe stays open: the watcher then waits for the end of this process.
        if self._watch is not None and not any(mine):
            with contextlib.suppress(BrokenPipeError):
                os.write(self._watch, b"done\n")
            os.close(self._watch)
            self._watch = None

    def _each_process(self, instance: Instance, action: Literal["suspend", "resume"], status: str) -> None:
        import psutil

        state = self._state(instance)
        for process in processes_of(self.system.home(state.id)):
            with contextlib.suppress(psutil.Error):
                process.suspend() if action == "suspend" else process.resume()
        self.system.update(state.model_copy(update={"status": status}))

    def _announce(self, spec: PlatformSpec) -> State:
        name = re.sub(r"[^A-Za-z0-9-]", "-", spec.name)
        tag = hashlib.sha256(f"{self._scope}\0{spec.name}".encode()).hexdigest()[:8]
        state = State(
            id=f"{self.run}-{name}-{tag}",
            platform=spec.name,
            scenario=self.scenario.name,
            project=str(self.scenario.project),
            run=str(self.run),
            kept=self.keep,
            status="creating",
            created=time.time(),
            creator=os.getpid(),
        )
        if self.system.state(state.id):
            raise DriverFailed(f"{spec.name}: an instance {state.id} exists already", hint="destroy it first")
        self.system.publish(state)
        return state

    def _state(self, instance: Instance) -> State:
        state = self.system.state(instance.record.id)
        if state is None:
            raise InstanceGone(f"{instance.name}: the instance {instance.record.id} no longer exists")
        return state

    def _again(self, instance: Instance) -> Instance:
        return Instance(instance.spec, self._state(instance).record())

    def _root(self, id: str) -> Path:
        return self.system.home(id) / "root"

    def _snapshot(self, key: str, platform: str) -> Path:
        """A name that a person gave means something in its scenario only; a hash means the same everywhere."""
        scope = "shared" if is_automatic(key) else self._scope
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", key):
            raise DriverFailed(f"{key!r} is no name for a snapshot", hint="use letters, digits, '.', '_' and '-'")
        return self.system.snapshots / scope / platform / key

    def _described(self, folder: Path, key: str, used: Sequence[str] = ()) -> Snapshot:
        size = sum(entry.lstat().st_size for entry in folder.rglob("*"))
        created = folder.stat().st_mtime
        digest = tree_digest(folder)
        return Snapshot(NAME, key, folder.parent.name, created, size, ("processes",), digest, tuple(used))

    def _due(self, spec: PlatformSpec, operation: Operation) -> Fault | None:
        fault = spec.options.faults.get(operation) if isinstance(spec.options, FakeOptions) else None
        if fault is None or fault.times is None:
            return fault
        strikes = self.system.strike(json.dumps([self._scope, spec.name, operation]))
        return fault if strikes <= fault.times else None

    def _strike(self, spec: PlatformSpec, operation: Operation, at: str | None = None) -> None:
        """The fault of this operation, if one is due at this point of it (None: at its only one)."""
        options = spec.options
        wanted = options.faults.get(operation) if isinstance(options, FakeOptions) else None
        if wanted and (at is None or wanted.at == at):
            fault = self._due(spec, operation)
            if fault:
                self._let_strike(fault, spec, operation, DriverFailed)

    @staticmethod
    def _let_strike(fault: Fault, spec: PlatformSpec, operation: str, error: type[DriverFailed]) -> None:
        if fault.kind == "crash":
            import psutil

            psutil.Process().kill()
        if fault.kind == "fail":
            raise error(f"{spec.name}: {operation} failed: {fault.message}", hint="the fake driver was asked to fail")
        end = Deadline(fault.seconds if fault.kind == "slow" else float("inf"))
        while not end.expired():
            time.sleep(min(0.05, end.remaining()))

    def _watch_over(self) -> None:
        """Have a process outside our group remove what is not kept as soon as this one ends, however it ends."""
        if self._watch is not None:
            return
        reader, self._watch = os.pipe()
        command = [sys.executable, "-m", "harness.drivers.fake_system", str(self.system.folder), str(self.run)]
        # In the background of a shell that ends at once: no child of ours that somebody would have to wait for.
        # Such a background job reads /dev/null (POSIX), hence descriptor 3.
        script = 'exec 3<&0; { read -r word <&3 || exec "$@"; } >/dev/null 2>&1 &'
        try:
            subprocess.run(["sh", "-c", script, "sh", *command], stdin=reader, start_new_session=True, check=True)
        finally:
            os.close(reader)


class FakeDriver(Driver):
    name = NAME
    capabilities = CAPABILITIES
    platform_options = FakeOptions

    def diagnose(self) -> list[Problem]:
        if os.environ.get("HARNESS_FAKE") == "1":
            return []
        message = "the fake driver isolates nothing and proves nothing about a plan; it is for tests of the harness"
        return [Problem("driver fake", message, hint="choose another driver; HARNESS_FAKE=1 allows this one")]

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        for problem in self.diagnose():
            raise DriverFailed(str(problem), hint=problem.hint)
        return FakeSite(self, self._system(), scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        return [state.record() for state in self._system().states()]

    def reap(self, record: InstanceRecord) -> None:
        self._system().remove(record.id)

    @staticmethod
    def _system() -> System:
        folder = os.environ.get("HARNESS_FAKE_DIR")
        return System(Path(folder).absolute() if folder else cache_dir() / "fake")
