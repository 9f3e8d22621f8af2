"""The scope of one scenario's run: sandboxes made side by side, found again, stopped, saved and removed."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import contextlib
import dataclasses
import marshal
import os
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from harness.cache import cache_dir
from harness.deadline import Deadline, poll
from harness.drivers.base import (
    Driver,
    Instance,
    InstanceRecord,
    Origin,
    PlatformSpec,
    RunId,
    ScenarioRef,
    Site,
    Snapshot,
    Written,
    stored_name,
)
from harness.drivers.native import (
    cgroups,
    diagnosis,
    freezer,
    labels,
    login,
    origins,
    readiness,
    remains,
    rootfs,
    snapshots,
    store,
    written,
)
from harness.drivers.native.labels import Found, Label
from harness.drivers.native.options import NativeOptions
from harness.drivers.native.recipes import Wanted, recipe
from harness.errors import DriverFailed, InstanceGone, NotReady
from harness.models.endpoint import Endpoint
from harness.sandbox import privileges
from harness.sandbox.command import program

_START_SECONDS = 30.0


@dataclasses.dataclass
class Starting:
    """A supervisor that has been started and has not yet said that its sandbox is up."""

    label: Label
    process: subprocess.Popen[bytes]


class NativeSite(Site):
    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        # A sandbox that is not kept ends when the last descriptor of its supervisor's stdin closes: these are it.
        self._supervisors: dict[str, subprocess.Popen[bytes]] = {}
        self._found: dict[str, Found] = {}

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        names = tuple(spec.name for spec in specs)
        starting: list[Starting] = []
        try:
            for spec in specs:
                starting.append(self._start(spec, bases.get(spec.name), f"h{secrets.token_hex(6)}", names))
            for one in starting:
                self._await(one)
        except BaseException:
            for one in starting:
                self._abandon(one)
            raise
        return [
            Instance(spec, remains.record(self._found[one.label.id])) for spec, one in zip(specs, starting, strict=True)
        ]

    def _start(
        self, spec: PlatformSpec, base: Snapshot | None, identifier: str, neighbours: tuple[str, ...]
    ) -> Starting:
        options = spec.options if isinstance(spec.options, NativeOptions) else NativeOptions()
        wanted = self._wanted(spec, options, identifier, neighbours, base)
        try:
            wanted.cgroups = self._cgroups(wanted)
            label = self._label(wanted, spec)
            plan = recipe(wanted)
            _make_folder(wanted, label)
            return Starting(label, self._launch(label, marshal.dumps(plan.values())))
        except ValueError as error:
            cgroups.remove(wanted.cgroups.roots)
            raise DriverFailed(f"{spec.name}: the snapshot {base.key if base else ''} does not fit: {error}") from error
        except BaseException:
            cgroups.remove(wanted.cgroups.roots)
            raise

    def _wanted(
        self,
        spec: PlatformSpec,
        options: NativeOptions,
        identifier: str,
        neighbours: tuple[str, ...],
        base: Snapshot | None,
    ) -> Wanted:
        diagnosis.check_options(spec, options)
        users = origins.users_of(options)
        with self.aside():
            image = rootfs.resolve(spec.image, self.scenario.directory, users)
        cache = cache_dir()
        extra = {name.upper().removeprefix("CAP_") for name in options.capabilities}
        return Wanted(
            id=identifier,
            name=spec.name,
            directory=remains.folder_of(identifier),
            options=options,
            image=image,
            users=users,
            cgroups=cgroups.Cgroups(),
            keep=self.keep,
            scenario_directory=self.scenario.directory,
            cache=cache,
            capabilities=privileges.DOCKER_DEFAULT | extra,
            neighbours=tuple(name for name in neighbours if name != spec.name),
            base=store.open_version(self._store_key(base)) if base is not None else None,
        )

    def _cgroups(self, wanted: Wanted) -> cgroups.Cgroups:
        if wanted.options.init != "systemd" or wanted.users is None:
            return cgroups.Cgroups()
        try:
            return cgroups.make(wanted.id, wanted.users.users[0][1])
        except OSError as error:
            raise DriverFailed(
                f"{wanted.name}: no control group for systemd could be made: {error}",
                hint="mount /sys/fs/cgroup writable, or use `init: none`",
            ) from error

    def _label(self, wanted: Wanted, spec: PlatformSpec) -> Label:
        return Label(
            id=wanted.id,
            project=str(self.scenario.project),
            scenario=self.scenario.name,
            platform=spec.name,
            run=str(self.run),
            kept=self.keep,
            created=time.time(),
            directory=str(wanted.directory),
            image=str(wanted.image or ""),
            bases=[str(wanted.base.folder)] if wanted.base else [],
            init=wanted.options.init,
            rootless=wanted.users is not None,
            foreign_root=wanted.users is not None and wanted.image is None,
            capabilities=sorted(f"CAP_{name}" for name in wanted.capabilities),
            cgroups=wanted.cgroups.init,
            cgroup_roots=wanted.cgroups.roots,
            environment=wanted.options.environment,
        )

    def _launch(self, label: Label, data: bytes) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            program("supervisor", [labels.MARK.decode(), label.id]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={labels.VARIABLE: label.model_dump_json(), "PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(len(data).to_bytes(8, "little") + data)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it says why on stderr, which `_await` reads
        return process

    def _await(self, starting: Starting) -> None:
        """Until the sandbox is up. Raises DriverFailed with what failed and the cure."""
        process, label = starting.process, starting.label
        assert process.stdout is not None and process.stderr is not None and process.stdin is not None
        line = process.stdout.readline().decode(errors="replace").strip()
        if line != "ready":
            words = line or process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise diagnosis.failure(label.platform, words)
        if label.kept:
            process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        found = labels.read(process.pid)
        if found is None or found.init is None:
            raise DriverFailed(f"{label.platform}: the sandbox ended as soon as it was up")
        self._supervisors[label.id] = process
        self._found[label.id] = found

    def _abandon(self, starting: Starting) -> None:
        process = starting.process
        process.terminate()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        process.wait()
        self._supervisors.pop(starting.label.id, None)
        remains.remove(starting.label.id)

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        found = self._look(record.id, spec.name)
        return Instance(spec, remains.record(found))

    def _look(self, identifier: str, name: str) -> Found:
        """As it is now. Raises InstanceGone."""
        known = self._found.get(identifier)
        found = labels.read(known.supervisor.pid) if known else None
        if found is None or found.label.id != identifier:
            # Whoever asks for one goes on to ask for its neighbours, and looking through all processes takes long.
            everything = {one.label.id: one for one in labels.find()}
            self._found.update(everything)
            found = everything.get(identifier)
        if found is None:
            self._found.pop(identifier, None)
            raise InstanceGone(
                f"{name}: its sandbox {identifier} no longer exists", hint="`harness create` makes a new one"
            )
        self._found[identifier] = found
        return found

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        found = self._look(instance.record.id, instance.name)
        if found.init is None:
            raise NotReady(f"{instance.name}: it is stopped: its PID 1 has ended", hint="start it again, or destroy it")
        endpoint = found.endpoint()
        readiness.wait_for_view(instance.name, found.init, deadline)
        if found.label.init == "systemd":
            readiness.wait_for_systemd(instance.name, endpoint, deadline)
        return login.through_sshd(instance, endpoint, deadline)

    def back_door(self, instance: Instance) -> Endpoint:
        endpoint = self._look(instance.record.id, instance.name).endpoint()
        more = {"capabilities": (*endpoint.capabilities, "CAP_SYS_ADMIN"), "unconfined": True}
        return endpoint.model_copy(update=more)

    def destroy(self, instance: Instance) -> None:
        identifier = instance.record.id
        process = self._supervisors.pop(identifier, None)
        found = self._found.pop(identifier, None)
        if process is not None:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
            process.terminate()
            if not remains.wait_for_child(process):
                process.kill()
                process.wait()
        if process is None or remains.folder_of(identifier).exists():
            remains.remove(identifier)
        for base in found.label.bases if found is not None else []:
            store.sweep(Path(base).parent)

    def stop(self, instance: Instance) -> None:
        self._tell(instance, stopped=True, deadline=Deadline(_START_SECONDS))

    def start(self, instance: Instance) -> None:
        self._tell(instance, stopped=False, deadline=Deadline(_START_SECONDS))

    def reboot(self, instance: Instance, deadline: Deadline) -> Endpoint:
        self._tell(instance, stopped=True, deadline=deadline)
        self._tell(instance, stopped=False, deadline=deadline)
        return self.wait_ready(instance, deadline)

    def _tell(self, instance: Instance, *, stopped: bool, deadline: Deadline) -> None:
        """Have the holder end PID 1, or make a new one, and wait until that is so."""
        import signal

        found = self._look(instance.record.id, instance.name)
        if (found.init is None) == stopped:
            return
        if found.holder is None or not labels.send(found.holder, signal.SIGUSR1 if stopped else signal.SIGUSR2):
            raise InstanceGone(f"{instance.name}: its sandbox is ending")

        def settled(last: bool) -> bool | None:
            now = self._look(instance.record.id, instance.name)
            done = now.init is None if stopped else now.init is not None and readiness.has_pivoted(now.init)
            if last and not done:
                raise NotReady(
                    f"{instance.name}: it did not {'stop' if stopped else 'start'} in {deadline.seconds:g} s"
                )
            return done or None

        poll(settled, deadline, interval=0.002)

    def freeze(self, instance: Instance) -> None:
        freezer.freeze(self._look(instance.record.id, instance.name))

    def thaw(self, instance: Instance) -> None:
        freezer.thaw(self._look(instance.record.id, instance.name))

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        return snapshots.take(self._look(instance.record.id, instance.name), self._store_name(key, instance.name), key)

    def origin(self, spec: PlatformSpec) -> Origin:
        options = spec.options if isinstance(spec.options, NativeOptions) else NativeOptions()
        with self.aside():
            return origins.origin(spec, options, self.scenario.directory)

    def snapshots(self) -> list[Snapshot]:
        return store.listed(self.scenario)

    def find_snapshot(self, platform: str, key: str) -> Snapshot | None:
        found = store.find(self._store_name(key, platform))
        return found if found is not None and found.platform == platform else None

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        # An automatic one has a key that is used once: whoever deletes it knows that nobody writes it any more.
        store.delete(self._store_key(snapshot), drafts=snapshot.automatic)

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Endpoint:
        """A new sandbox of the same name and id over the snapshot; the old one ends with its processes and files."""
        identifier = instance.record.id
        self._look(identifier, instance.name)
        try:
            store.open_version(self._store_key(snapshot))
        except DriverFailed as error:
            message = f"{instance.name}: there is no snapshot {snapshot.key!r} that it could go back to"
            raise DriverFailed(message, hint=error.hint) from error
        self.destroy(instance)
        starting = self._start(instance.spec, snapshot, identifier, ())
        try:
            self._await(starting)
        except BaseException:
            self._abandon(starting)
            raise
        return self.wait_ready(instance, deadline)

    def written(self, instance: Instance) -> Written:
        return written.written(self._look(instance.record.id, instance.name))

    def _store_name(self, key: str, platform: str) -> str:
        return stored_name(self.scenario, platform, key)

    def _store_key(self, snapshot: Snapshot) -> str:
        return self._store_name(snapshot.key, snapshot.platform)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Instances go by `destroy`; what is not kept and still lives here would end with this process anyway."""
        for identifier, process in self._supervisors.items():
            if self.keep:
                if process.poll() is None:
                    process.returncode = 0  # it lives on; Popen would warn of a child that nobody waits for
                continue
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
            process.wait()
            remains.remove(identifier)
        self._supervisors.clear()


def _make_folder(wanted: Wanted, label: Label) -> None:
    """The label first, so that what a killed supervisor leaves can be found again."""
    labels.make_home()
    wanted.directory.mkdir(mode=0o755)
    (wanted.directory / "label.json").write_text(label.model_dump_json())
    (wanted.directory / "mounts").mkdir(mode=0o755)
    if wanted.on_disk:
        layers = wanted.directory / "layers"
        layers.mkdir(mode=0o755)
        if wanted.users is not None and os.geteuid() == 0:
            os.chown(layers, wanted.users.users[0][1], wanted.users.groups[0][1])
