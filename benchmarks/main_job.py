"""What the main job costs on the embedded default, each beside something that anyone knows the price of.

    .venv/bin/python -m benchmarks.main_job [--rounds N] [NAME ...]

Run it as root on a quiet machine, with a warm cache (`harness test -s default` once). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pairs import Row, command, compare, table
from harness.compile.base import CompileSettings
from harness.compile.embed import embed, payload_bytes
from harness.compile.reference import ReferenceCompiler
from harness.compile.store import Store
from harness.compile.targets import host_target
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.native import NativeDriver
from harness.models.runner import Payload, PayloadPlay, PayloadTask

PROJECT = Path(__file__).resolve().parent.parent
HARNESS = [sys.executable, "-m", "harness"]


def help_text(rounds: int) -> Row:
    bare = command([sys.executable, "-c", "import click"])
    return compare(
        "`harness --help`",
        command([*HARNESS, "--help"]),
        "python, `import click`",
        bare,
        rounds=rounds,
        goal="< 200 ms",
    )


def sandboxes(rounds: int) -> Row:
    """In this process: open a site, create two platforms, wait for both, destroy them."""

    def ours() -> None:
        with _site() as site:
            made = site.create([_spec("node1"), _spec("node2")], {})
            for instance in made:
                site.wait_ready(instance, Deadline(10))
            for instance in made:
                site.destroy(instance)

    unshare = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true"]

    def beside() -> None:
        for _ in range(2):
            subprocess.run(unshare, check=True)

    name = "two native platforms: create, ready, destroy"
    return compare(name, ours, "`unshare --mount --pid --net ... true`, twice", beside, rounds=rounds, goal="< 100 ms")


def embedding(rounds: int) -> Row:
    compiler = ReferenceCompiler()
    stub, _ = compiler.stub(host_target(), CompileSettings())
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10**9))

        def ours() -> None:
            embed(Store(Path(folder) / "store"), stub, payload_bytes(_payload(10, nonce=str(next(numbers)))))

        copy = Path(folder) / "copy"
        return compare(
            "embed a plan of ten tasks", ours, "copy the stub", lambda: shutil.copyfile(stub.path, copy),
            rounds=rounds, goal="< 20 ms",
        )  # fmt: skip


def compiling(rounds: int) -> Row:
    plan = PROJECT / "molecule" / "default" / "plan.json"
    with tempfile.TemporaryDirectory() as folder:
        ours = command([*HARNESS, "compile", str(plan), "-o", str(Path(folder) / "out")], cwd=PROJECT)
        bare = command([sys.executable, "-c", "import click, pydantic"])
        return compare(
            "warm `harness compile`", ours, "python, `import click, pydantic`", bare, rounds=rounds, goal="< 500 ms"
        )


def whole_test(rounds: int) -> Row:
    ours = command([*HARNESS, "test", "-s", "default"], cwd=PROJECT)
    tests = PROJECT / "verify" / "site"
    bare = command([sys.executable, "-m", "pytest", "-q", "--collect-only", str(tests)], cwd=PROJECT)
    name = "warm `harness test -s default`: two platforms, ten tasks, six tests"
    return compare(name, ours, "pytest only collecting those tests", bare, rounds=max(5, rounds // 2), goal="< 2 s")


def assertion(rounds: int) -> Row:
    """One `host.file(p).mode`, through the persistent shell and through testinfra's own local backend."""
    import testinfra

    from benchmarks.over import asking, host_over

    with _connection() as connection:
        return compare(
            "one testinfra assertion on a sandbox", asking(host_over(connection), 20),
            "testinfra's local backend, on this host", asking(testinfra.get_host("local://"), 20),
            rounds=rounds, per_call=20, goal="< 5 ms",
        )  # fmt: skip


def thousand_tasks(rounds: int) -> Row:
    compiler = ReferenceCompiler()
    binary = compiler.compile(_payload(1000), host_target(), CompileSettings()).binary_path

    def ours() -> None:
        done = subprocess.run([binary], check=True, capture_output=True, cwd="/")
        report = json.loads(done.stdout.splitlines()[-1])
        assert report["ok"] == 1000, report

    loop = command(["sh", "-c", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done"])
    return compare(
        "a plan of 1,000 tasks: the runner's time", ours, "1,000 processes from a shell loop", loop,
        rounds=rounds, goal="< 1 s",
    )  # fmt: skip


BENCHMARKS: dict[str, Callable[[int], Row]] = {
    "help": help_text,
    "sandboxes": sandboxes,
    "embedding": embedding,
    "compiling": compiling,
    "assertion": assertion,
    "thousand": thousand_tasks,
    "test": whole_test,
}


@contextmanager
def _site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        scenario = ScenarioRef(Path(folder), "bench", Path(folder))
        with NativeDriver().open(scenario, RunId("bench"), keep=False) as site:
            yield site


def _spec(name: str) -> PlatformSpec:
    return PlatformSpec(name, "native", options=NativeDriver.platform_options())


@contextmanager
def _connection() -> Iterator[Connection]:
    with _site() as site:
        [instance] = site.create([_spec("node1")], {})
        try:
            with open_connection(site.wait_ready(instance, Deadline(10)), name="node1") as connection:
                yield connection
        finally:
            site.destroy(instance)


def _payload(tasks: int, *, nonce: str = "") -> Payload:
    made = [
        PayloadTask(task_id=f"t{number}", module="debug", args={"msg": f"task {number} {nonce}"})
        for number in range(tasks)
    ]
    return Payload(plan_id="bench", run_on=["node1"], hosts={"node1": {}}, plays=[PayloadPlay(tasks=made)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    print(table([BENCHMARKS[name](arguments.rounds) for name in arguments.names or BENCHMARKS]))
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"\nLargest child process (controller or pytest): {largest / 1024:.0f} MB")


if __name__ == "__main__":
    main()
