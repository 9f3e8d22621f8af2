"""The harness beside Molecule: the same image, ten tasks and six testinfra tests, two containers, all warm.

    .venv/bin/python -m benchmarks.against_molecule [--rounds N] [--venv FOLDER] [test|tuned|verbs|assertion ...]

Run it on a quiet machine with a Docker daemon. It installs Molecule, its docker driver, Ansible and testinfra into a
virtual environment of their own (outside the checkout, kept for the next time), and prints a Markdown table. The two
take turns, so that the ratios hold when the machine's speed drifts. Molecule is measured as it comes, and tuned: with
pipelining and without the gathering of facts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MOLECULE = Path(__file__).resolve().parent / "molecule"
# `ansible`, not ansible-core alone: it holds the collection community.docker, so that no Galaxy need be reached.
PACKAGES = ("molecule", "molecule-plugins[docker]", "ansible", "pytest-testinfra", "docker")
VERBS = ("create", "converge", "idempotence", "verify", "destroy")
PARTS = ("test", "tuned", "verbs", "assertion")
LIMIT = 900.0
"""Seconds that one call may take."""


@dataclass(frozen=True)
class Tool:
    """A command line in its folder. `prefix` stands before the verb, `suffix` behind it."""

    name: str
    folder: Path
    prefix: tuple[str, ...]
    suffix: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    """The verbs that ended well."""

    def run(self, verb: str) -> float:
        """Seconds. Raises SystemExit with what it printed, should it fail."""
        argv = [*self.prefix, verb, *self.suffix]
        started = time.perf_counter()
        done = subprocess.run(
            argv, cwd=self.folder, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        took = time.perf_counter() - started
        print(f"{self.name} {verb}: {told(took)}", file=sys.stderr, flush=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-6000:]}")
        self.ran.append(verb)
        return took

    def tidy(self) -> None:
        """Nothing of it stays, after a failure and Ctrl-C neither."""
        if self.ran[-1:] in (["test"], ["destroy"]):
            return
        argv = [*self.prefix, "destroy", *self.suffix]
        env = {**os.environ, **self.env}
        subprocess.run(argv, cwd=self.folder, env=env, capture_output=True, timeout=LIMIT, check=False)


def environment(folder: Path) -> Path:
    """The folder of Molecule's programs; installed unless it is there."""
    programs = folder / "bin"
    if not (programs / "molecule").exists():
        print(f"installing {', '.join(PACKAGES)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=1800)
    return programs


@contextmanager
def projects(programs: Path) -> Iterator[tuple[Tool, Tool, Tool]]:
    """Ours, Molecule as it comes, and Molecule tuned, each in a project of its own."""
    with tempfile.TemporaryDirectory(prefix="harness-benchmark-") as name, ExitStack() as stack:
        root = Path(name)
        _refuse_strangers()
        ours = Tool("harness", _our_project(root / "ours"), (sys.executable, "-m", "harness"), ("-s", "default"))
        image = _image(ours)
        plain = _molecule(root / "molecule", programs, image, "molecule", tuned=False)
        tuned = _molecule(root / "tuned", programs, image, "molecule, tuned", tuned=True)
        for tool in (ours, plain, tuned):
            stack.callback(tool.tidy)
        yield ours, plain, tuned


def _refuse_strangers() -> None:
    """Molecule's containers have the platforms' plain names, and it removes whatever has them."""
    from harness import daemon

    client = daemon.connect(daemon.default_address())
    try:
        there = {name.strip("/") for row in client.containers(all=True) for name in row["Names"]}
    finally:
        client.close()
    if taken := sorted(there & {"node1", "node2"}):
        raise SystemExit(
            f"Molecule would remove the containers {', '.join(taken)}: rename them, or remove them yourself"
        )


def _our_project(folder: Path) -> Path:
    """molecule/docker without its own network test: six tests, as Molecule runs them."""
    for part in ("molecule", "verify"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns(".harness", "__pycache__"))
    scenario = folder / "molecule" / "default"
    text = (folder / "molecule" / "docker" / "molecule.yml").read_text()
    text = text.replace("  directory: tests\n", "  directory: ../../verify/site\n")
    text = text.replace("  additional_files_or_dirs: [../../../verify/site]\n", "")
    (scenario / "molecule.yml").write_text(text)
    return folder


def _molecule(folder: Path, programs: Path, image: str, name: str, *, tuned: bool) -> Tool:
    scenario = folder / "molecule" / "default"
    shutil.copytree(MOLECULE, scenario)
    shutil.copytree(PROJECT / "molecule" / "default" / "templates", scenario / "templates")
    shutil.copytree(PROJECT / "verify" / "site", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    env = {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "BENCHMARK_IMAGE": image,
        "BENCHMARK_NETWORK": f"harness-benchmark-{os.getpid()}-{folder.name}",
        "BENCHMARK_TESTS": str(folder / "tests"),
        "BENCHMARK_PIPELINING": str(tuned).lower(),
        "BENCHMARK_FACTS": str(not tuned).lower(),
    }
    return Tool(name, folder, (str(programs / "molecule"),), (), env)


def _image(ours: Tool) -> str:
    """The image that our containers are made from; makes it, and the runner, in passing."""
    ours.run("test")
    from harness import daemon
    from harness.drivers.docker.images import Finder
    from harness.drivers.docker.options import DockerOptions

    client = daemon.connect(daemon.default_address())
    try:
        found = Finder(client, PROJECT, DockerOptions(), print).find("debian-12")
        tags = client.inspect_image(found)["RepoTags"]
        return str(tags[0] if tags else found)
    finally:
        client.close()


@dataclass
class Pair:
    """Two things timed in turn, in seconds."""

    what: str
    beside: str
    goal: str = ""
    times: list[tuple[float, float]] = field(default_factory=list)

    def row(self) -> str:
        ours, theirs = (statistics.median(column) for column in zip(*self.times, strict=True))
        ratio = statistics.median(theirs / ours for ours, theirs in self.times)
        return f"| {self.what} | {told(ours)} | {self.beside} | {told(theirs)} | {ratio:.1f} | {self.goal} |"


def told(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def whole(ours: Tool, theirs: Tool, rounds: int, *, goal: str) -> Pair:
    pair = Pair("the whole of `test`", f"`{theirs.name} test`", goal)
    theirs.run("test")
    for _ in range(rounds):
        pair.times.append((ours.run("test"), theirs.run("test")))
    return pair


def verbs(ours: Tool, theirs: Tool, rounds: int) -> list[Pair]:
    """Each verb of ours beside the same of theirs, on containers that are kept between them."""
    pairs = [Pair(f"`{verb}`", f"`{theirs.name} {verb}`") for verb in VERBS]
    for _ in range(rounds):
        for verb, pair in zip(VERBS, pairs, strict=True):
            pair.times.append((ours.run(verb), theirs.run(verb)))
    return pairs


def assertion(ours: Tool, rounds: int) -> Pair:
    """One `host.file(p).mode` on the same container: over our connection and by testinfra's docker backend."""
    import testinfra

    from benchmarks.over import asking, host_over
    from harness import daemon
    from harness.connections import open_connection
    from harness.models.endpoint import Docker

    ours.run("create")
    address = daemon.default_address()
    client = daemon.connect(address)
    try:
        label = f"harness-e2e.project={ours.folder}"
        identifier = str(client.containers(filters={"label": label})[0]["Id"])
    finally:
        client.close()
    pair = Pair("one testinfra assertion", "testinfra's docker backend", ">= 20")
    theirs = testinfra.get_host(f"docker://{identifier}")
    with open_connection(Docker(container=identifier, daemon=address), name="node1") as connection:
        host = host_over(connection)
        asking(host, 1)()
        pair.times = [(_timed(asking(host, 50)) / 50, _timed(asking(theirs, 5)) / 5) for _ in range(rounds)]
    return pair


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def table(pairs: Sequence[Pair]) -> str:
    """As Markdown."""
    lines = ["| what | harness | beside it | its median | times faster | goal |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(pair.row() for pair in pairs)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    default = Path.home() / ".cache" / "harness-benchmarks" / "molecule"
    parser.add_argument("--venv", type=Path, default=default, help="Molecule's virtual environment (%(default)s)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    rounds = arguments.rounds
    found: list[Pair] = []
    with projects(environment(arguments.venv.absolute())) as (ours, molecule, tuned):
        if "test" in parts:
            found.append(whole(ours, molecule, rounds, goal=">= 10"))
        if "tuned" in parts:
            found.append(whole(ours, tuned, rounds, goal=""))
        if "verbs" in parts:
            found += verbs(ours, molecule, rounds)
        if "assertion" in parts:
            found.append(assertion(ours, rounds * 2))
    print(table(found))


if __name__ == "__main__":
    main()
