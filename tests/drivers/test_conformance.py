"""What every driver promises. Each test is a real use of it; what a driver lacks must say so."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Capability, Driver, Instance, InstanceRecord, RunId, ScenarioRef, Site, Snapshot
from harness.errors import CommandTimedOut, DriverFailed, HarnessError, InstanceGone, NotReady, Unsupported
from harness.models.endpoint import Endpoint
from tests.drivers.subjects import SUBJECTS, Subject
from tests.waiting import left_running, wait_for

PROGRAM = [sys.executable, "-m", "tests.drivers.subjects"]
ROOT = Path(__file__).parents[2]


@dataclass
class World:
    """One driver, with a system of its own that holds nothing yet."""

    subject: Subject
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def driver(self) -> Driver:
        """A new one each time: what it knows, it knows from the real system."""
        return self.subject.driver()

    def instances(self) -> list[InstanceRecord]:
        """Of this test: the real system may hold those of others, which are none of its business."""
        return [record for record in self.driver.instances() if record.project == self.folder]

    def ref(self, scenario: str = "conformance") -> ScenarioRef:
        return ScenarioRef(self.folder, scenario, self.folder)

    def open(self, *, keep: bool = False, scenario: str = "conformance") -> Site:
        return self.driver.open(self.ref(scenario), RunId(f"run-{next(self.numbers)}"), keep=keep)

    def create(self, site: Site, *names: str) -> list[Instance]:
        return site.create([self.subject.spec(name) for name in names], {})

    def ready(self, site: Site, instance: Instance) -> Endpoint:
        return site.wait_ready(instance, self.subject.deadline())

    def connect(self, site: Site, instance: Instance) -> Connection:
        return open_connection(self.ready(site, instance), name=instance.name)

    def elsewhere(self) -> list[list[object]]:
        """What another process sees."""
        command = [*PROGRAM, self.subject.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
        return [row for row in json.loads(done.stdout) if row[3] == str(self.folder)]

    @contextlib.contextmanager
    def other_process(self, run: str, keep: str, *names: str) -> Iterator[tuple[subprocess.Popen[bytes], list[str]]]:
        command = [*PROGRAM, self.subject.name, str(self.folder), run, keep, *names]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout
                yield process, json.loads(process.stdout.readline())
            finally:
                process.kill()


def of(subjects: Iterable[Subject]) -> list[ParameterSet]:
    return [pytest.param(subject, id=subject.name, marks=subject.marks) for subject in subjects]


def having(capability: Capability) -> pytest.MarkDecorator:
    """For the drivers that have it; that the others say so is tested, too."""
    able = of(subject for subject in SUBJECTS.values() if capability in subject.driver().capabilities)
    return pytest.mark.parametrize("world", able, indirect=True)


@pytest.fixture(params=of(SUBJECTS.values()))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    subject: Subject = request.param
    monkeypatch.setenv("HARNESS_FAKE", "1")
    if subject.prepare is not None and not subject.driver().diagnose():
        subject.prepare()
    subject.share(tmp_path / "cache")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_FAKE_DIR", raising=False)
    problems = subject.driver().diagnose()
    if problems:
        pytest.skip("; ".join(map(str, problems)))
    (tmp_path / "project").mkdir()
    world = World(subject, tmp_path / "project")
    yield world
    for record in world.instances():
        world.driver.reap(record)
    assert world.instances() == []
    if Capability.SNAPSHOT in world.driver.capabilities:
        with world.open() as site:
            for snapshot in site.snapshots():
                site.delete_snapshot(snapshot)


def record_of(world: World, instance: Instance) -> InstanceRecord:
    [record] = [record for record in world.instances() if record.id == instance.record.id]
    return record


def test_instances_side_by_side(world: World) -> None:
    with world.open() as site:
        made = world.create(site, "one", "two", "three")
        assert [instance.name for instance in made] == ["one", "two", "three"]
        assert len({instance.record.id for instance in made}) == 3
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(world.connect(site, instance)) for instance in made]
            for instance, connection in zip(made, connections, strict=True):
                assert connection.run("cat >name", stdin=instance.name.encode()).rc == 0
            assert [connection.run("cat name").out for connection in connections] == ["one", "two", "three"]
        for instance in made:
            site.destroy(instance)
    assert world.instances() == []


def test_record_tells_whose_it_is(world: World) -> None:
    begun = time.time()
    with world.open() as site:
        [instance] = world.create(site, "one")
        world.ready(site, instance)
        record = record_of(world, instance)
        assert (record.driver, record.platform, record.scenario) == (world.subject.name, "one", "conformance")
        assert (record.project, str(record.run), record.kept) == (world.folder, "run-0", False)
        assert record.status == "running"
        assert begun - 1 <= record.created <= time.time() + 1
        assert instance.record.id == record.id


def test_another_process_sees_the_same(world: World) -> None:
    with world.open() as site:
        one, two = world.create(site, "one", "two")
        seen = {str(row[0]): row[1:] for row in world.elsewhere()}
        assert seen[one.record.id][:5] == ["one", "conformance", str(world.folder), "run-0", False]
        site.destroy(one)
        assert [row[0] for row in world.elsewhere()] == [two.record.id]


def test_destroy_is_idempotent_and_ends_what_runs(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        with world.connect(site, instance) as connection:
            connection.run("sleep 1000 >/dev/null 2>&1 &")
            site.destroy(instance)
            site.destroy(instance)
            with pytest.raises(HarnessError, match="one: "):
                connection.run("true", timeout=10)
        assert world.instances() == []
        with pytest.raises((InstanceGone, NotReady), match="one"):
            site.wait_ready(instance, Deadline(0.2))


def test_two_runs_never_meet(world: World) -> None:
    with world.open() as first, world.open() as second:
        [mine], [theirs] = world.create(first, "one"), world.create(second, "one")
        assert mine.record.id != theirs.record.id
        with world.connect(first, mine) as here, world.connect(second, theirs) as there:
            here.run("echo mine >file")
            assert there.run("cat file").rc != 0
            first.destroy(mine)
            assert there.run("echo alive").out == "alive\n"
        assert [record.id for record in world.instances()] == [theirs.record.id]


def test_failed_create_leaves_nothing(world: World) -> None:
    with world.open() as site:
        good, bad = world.subject.spec("good"), world.subject.spec("bad", broken=True)
        with pytest.raises(HarnessError, match="bad") as caught:
            site.create([good, bad], {})
        assert caught.value.message
        assert world.instances() == []
        [again] = site.create([good], {})
        with world.connect(site, again) as connection:
            assert connection.run("true").rc == 0


def test_missing_capabilities_name_themselves(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        snapshot = Snapshot(world.subject.name, "key", "one", 0.0, 0)
        deadline = Deadline(1)
        calls: dict[Capability, list[Callable[[], object]]] = {
            Capability.REBOOT: [
                lambda: site.start(instance),
                lambda: site.stop(instance),
                lambda: site.reboot(instance, deadline),
            ],
            Capability.SNAPSHOT: [
                lambda: site.snapshot(instance, "key"),
                site.snapshots,
                lambda: site.delete_snapshot(snapshot),
                lambda: site.revert(instance, snapshot, deadline),
            ],
            Capability.CONSOLE: [lambda: site.console(instance)],
            Capability.SCREENSHOT: [lambda: site.screenshot(instance)],
            Capability.FREEZE: [lambda: site.freeze(instance), lambda: site.thaw(instance)],
            Capability.PARTITION: [lambda: site.partition(instance, cut=True)],
        }
        assert site.capabilities <= world.driver.capabilities
        for capability in set(calls) - site.capabilities:
            for call in calls[capability]:
                with pytest.raises(Unsupported, match=f"{world.subject.name} .*{capability.value}") as caught:
                    call()
                assert caught.value.capability == capability.value


STATE = """
mkdir -p state/sub && echo kept >state/kept && echo old >state/changed && echo x >state/deleted
chmod 640 state/changed && ln -s kept state/link && echo deep >state/sub/deep
"""
CHANGES = """
echo new >state/changed; chmod 777 state/changed state; rm -r state/deleted state/sub state/link
echo later >state/later; mkdir state/sub; echo other >state/sub/deep
"""
LOOK = "cd state && for f in . * */*; do [ -L $f ] && readlink $f || stat -c '%n %a %F' $f; done; cat changed sub/deep"

LEFTOVER = left_running("sleep 98765") + "echo $!"


@having(Capability.SNAPSHOT)
def test_revert_undoes_everything_after_the_snapshot(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        with world.connect(site, instance) as connection:
            assert connection.run(STATE).rc == 0
            before = connection.run(LOOK)
        snapshot = site.snapshot(instance, "before")
        assert (snapshot.driver, snapshot.key, snapshot.platform) == (world.subject.name, "before", "one")
        for _ in range(2):
            with world.connect(site, instance) as connection:
                assert connection.run(LOOK).stdout == before.stdout, "a snapshot changes nothing"
                connection.run(CHANGES)
                assert connection.run(LOOK).stdout != before.stdout
                leftover = connection.run(LEFTOVER, timeout=60).out.strip()
            endpoint = site.revert(instance, snapshot, world.subject.deadline())
            with open_connection(endpoint, name="one") as connection:
                assert connection.run(LOOK).stdout == before.stdout
                assert connection.run(f"grep -q [9]8765 /proc/{leftover}/cmdline").rc != 0, "its processes are gone"
        assert record_of(world, instance).status == "running"


@having(Capability.SNAPSHOT)
def test_snapshots_are_listed_replaced_and_deleted(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        for content in ("first", "second"):
            with world.connect(site, instance) as connection:
                connection.run(f"echo {content} >file")
            snapshot = site.snapshot(instance, "named")
        assert [(found.key, found.platform) for found in site.snapshots()] == [("named", "one")]
        with world.connect(site, instance) as connection:
            connection.run("echo third >file")
        with open_connection(site.revert(instance, snapshot, world.subject.deadline()), name="one") as connection:
            assert connection.run("cat file").out == "second\n"
        site.delete_snapshot(snapshot)
        site.delete_snapshot(snapshot)
        assert site.snapshots() == []
        with pytest.raises(DriverFailed, match="named"):
            site.revert(instance, snapshot, world.subject.deadline())
        with world.connect(site, instance) as connection:
            assert connection.run("cat file").out == "second\n", "a revert that fails changes nothing"


@having(Capability.SNAPSHOT)
def test_later_run_begins_from_a_snapshot(world: World) -> None:
    key = "0123456789abcdef" * 4
    with world.open() as site:
        if not site.snapshots_outlive:
            with pytest.raises(DriverFailed, match="one"):
                site.create([world.subject.spec("one")], {"one": Snapshot(world.subject.name, key, "one", 0.0, 0)})
            return
        [instance] = world.create(site, "one")
        with world.connect(site, instance) as connection:
            connection.run(STATE)
            before = connection.run(LOOK).stdout
        made = site.snapshot(instance, key)
        assert made.automatic
        assert made.digest
        site.destroy(instance)
    with world.open(scenario="another") as site:
        [snapshot] = [found for found in site.snapshots() if found.key == key]
        assert site.find_snapshot("one", key) == made, "a hash stands for the same in every scenario"
        assert snapshot == made
        assert site.find_snapshot("two", key) is None
        assert site.find_snapshot("one", "f" * 64) is None
        first, second = site.create([world.subject.spec("one"), world.subject.spec("two")], {"one": snapshot})
        with world.connect(site, first) as connection:
            assert connection.run(LOOK).stdout == before
            connection.run(CHANGES)
        with world.connect(site, second) as connection:
            assert connection.run("ls state").rc != 0
        site.destroy(first)
        [third] = site.create([world.subject.spec("one")], {"one": snapshot})
        with world.connect(site, third) as connection:
            assert connection.run(LOOK).stdout == before, "who began from it did not change it"
        [snapshot] = [found for found in site.snapshots() if found.key == key]
        assert snapshot.used == (third.record.id,)
        site.delete_snapshot(snapshot)
        assert site.find_snapshot("one", key) is None
        with world.connect(site, third) as connection:
            assert connection.run(LOOK).stdout == before, "who lies on it keeps what it has"


@having(Capability.SNAPSHOT)
def test_origin_tells_what_a_platform_begins_as(world: World) -> None:
    with world.open() as site, world.open(scenario="another") as other:
        origin = site.origin(world.subject.spec("one"))
        assert origin.digest or origin.unsure
        assert other.origin(world.subject.spec("two")) == origin, "neither names nor scenarios are part of it"
        assert world.instances() == []


@having(Capability.REBOOT)
def test_files_outlive_stop_start_and_reboot(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        with world.connect(site, instance) as connection:
            connection.run("echo kept >file")
            old = connection.run(left_running("sleep 98764") + "echo $!").out.strip()
        site.stop(instance)
        assert record_of(world, instance).status == "stopped"
        with pytest.raises(NotReady, match="one"):
            site.wait_ready(instance, Deadline(0.3))
        site.start(instance)
        with world.connect(site, instance) as connection:
            assert connection.run("cat file").out == "kept\n"
            assert connection.run(f"grep -q [9]8764 /proc/{old}/cmdline").rc != 0
            old = connection.run(left_running("sleep 98763") + "echo $!").out.strip()
        endpoint = site.reboot(instance, world.subject.deadline())
        with open_connection(endpoint, name="one") as connection:
            assert connection.run("cat file").out == "kept\n"
            assert connection.run(f"grep -q [9]8763 /proc/{old}/cmdline").rc != 0
        assert record_of(world, instance).status == "running"


@having(Capability.FREEZE)
def test_frozen_processes_stand_still(world: World) -> None:
    with world.open() as site:
        [instance] = world.create(site, "one")
        with (
            world.connect(site, instance) as connection,
            connection.start("while :; do echo tick; sleep 0.01; done") as process,
        ):
            lines = process.lines()
            assert next(lines) == b"tick\n"
            site.freeze(instance)
            seen = []
            for _ in range(2):
                with pytest.raises(CommandTimedOut) as caught:
                    process.wait(0.2)
                seen.append(caught.value.stdout)
            assert seen[0] == seen[1]
            site.thaw(instance)
            for _ in range(seen[0].count(b"\n") + 3):
                assert next(lines) == b"tick\n"


def test_kept_instance_is_adopted_by_a_later_process(world: World) -> None:
    with world.other_process("earlier", "keep", "one") as (process, [id]):
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
    [record] = world.instances()
    assert (record.id, record.kept, str(record.run), record.status) == (id, True, "earlier", "running")
    with world.open(keep=True) as site:
        instance = site.adopt(world.subject.spec("one"), record)
        with world.connect(site, instance) as connection:
            assert connection.run("echo alive").out == "alive\n"
    with world.open(keep=True) as site:
        instance = site.adopt(world.subject.spec("one"), world.instances()[0])
        site.destroy(instance)
        assert world.instances() == []
        with pytest.raises(InstanceGone, match="one"):
            site.adopt(world.subject.spec("one"), record)


def test_what_is_not_kept_dies_with_its_creator(world: World) -> None:
    with world.open() as site:
        [stranger] = world.create(site, "stranger")
        with world.other_process("killed", "drop", "one") as (process, [id]):
            process.kill()
        wait_for(lambda: id not in [record.id for record in world.instances()])
        assert [record.id for record in world.instances()] == [stranger.record.id]
        with world.connect(site, stranger) as connection:
            assert connection.run("echo alive").out == "alive\n"


def test_reap_takes_what_a_dead_run_left_and_nothing_else(world: World) -> None:
    with world.other_process("killed", "keep", "one", "two") as (process, ids):
        process.kill()
    with world.open() as site:
        [stranger] = world.create(site, "stranger")
        records = [record for record in world.instances() if record.id in ids]
        assert sorted(record.platform for record in records) == ["one", "two"]
        for record in records * 2:
            world.driver.reap(record)
        assert [record.id for record in world.instances()] == [stranger.record.id]
        with world.connect(site, stranger) as connection:
            assert connection.run("echo alive").out == "alive\n"


@having(Capability.ISOLATED)
def test_isolated_means_isolated(world: World, tmp_path: Path) -> None:
    (tmp_path / "witness").write_text("as it was")
    with world.open() as site:
        [instance] = world.create(site, "one")
        with world.connect(site, instance) as connection:
            connection.run(f"mkdir -p {tmp_path}; echo changed >{tmp_path}/witness; echo new >/etc/harness-witness")
            assert connection.run("cat /etc/harness-witness").out == "new\n"
    assert (tmp_path / "witness").read_text() == "as it was"
    assert not Path("/etc/harness-witness").exists()


_SERVE = "import http.server as h; h.HTTPServer(('', 8097), h.SimpleHTTPRequestHandler).serve_forever()"
_REACH = "import socket, sys; socket.create_connection((sys.argv[1], 8097), timeout=1)"


@having(Capability.PARTITION)
def test_a_partition_cuts_the_network_and_heals(world: World) -> None:
    with world.open() as site:
        one, two = world.create(site, "one", "two")
        with (
            world.connect(site, one) as here,
            world.connect(site, two) as there,
            there.start(["python3", "-c", _SERVE]),
        ):

            def reached() -> bool:
                return here.run(["python3", "-c", _REACH, "two"], timeout=30).ok

            wait_for(reached)
            for _ in range(2):
                site.partition(two, cut=True)
                assert not reached()
                assert there.run("echo alive").out == "alive\n", "the harness's own way in is not cut"
            assert record_of(world, two).status == "running"
            for _ in range(2):
                site.partition(two, cut=False)
                wait_for(reached)


def test_diagnosis_and_listing_touch_nothing(world: World) -> None:
    assert world.driver.diagnose() == []
    assert world.instances() == []
    assert world.driver.name == world.subject.name
