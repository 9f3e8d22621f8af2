"""What the docker driver adds to the daemon's own work: `python -m benchmarks.docker_lifecycle [ROUNDS]`.

Beside the driver run the bare SDK calls for the same containers: a network, create, start, remove. Images are there.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pairs import Row, compare, table
from harness import daemon
from harness.deadline import Deadline
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.docker import DockerDriver, images
from harness.drivers.docker.container import IDLE
from harness.drivers.docker.options import DockerOptions

if TYPE_CHECKING:
    from docker.api.client import APIClient

IMAGE = "debian-12"
FEW, MANY = 2, 10
_numbers = itertools.count()


def ours(folder: Path, count: int, *, destroy: bool = True) -> Callable[[], object]:
    """A site opened, its containers made, ready and destroyed, as a run does it."""
    specs = [PlatformSpec(f"node{n}", "docker", image=IMAGE, options=DockerOptions()) for n in range(count)]

    def run() -> None:
        ref = ScenarioRef(folder, "benchmark", folder)
        with DockerDriver().open(ref, RunId(f"bench-{next(_numbers)}"), keep=False) as site:
            made = site.create(specs, {})
            for instance in made:
                site.wait_ready(instance, Deadline(60))
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(site.destroy, made))

    return run


def bare(client: APIClient, image: str, count: int) -> Callable[[], object]:
    """The same with the SDK alone, one thread a container."""

    def run() -> None:
        network = f"harness-benchmark-{next(_numbers)}"
        identifier = client.create_network(network, driver="bridge", check_duplicate=True)["Id"]

        def start(number: int) -> str:
            host = client.create_host_config(init=True, network_mode=network)
            aliases = client.create_endpoint_config(aliases=[f"node{number}"])
            made: str = client.create_container(
                image,
                IDLE,
                entrypoint="",
                host_config=host,
                networking_config=client.create_networking_config({network: aliases}),  # type: ignore[arg-type]
            )["Id"]
            client.start(made)
            return made

        with ThreadPoolExecutor(count) as pool:
            made = list(pool.map(start, range(count)))
            list(pool.map(lambda one: client.remove_container(one, v=True, force=True), made))
        client.remove_network(identifier)

    return run


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    client = daemon.connect(daemon.default_address())
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            image = images.Finder(client, folder, DockerOptions(), print).find(IMAGE)
            print(table(_rows(client, folder, image, rounds)))
    finally:
        client.close()


def _rows(client: APIClient, folder: Path, image: str, rounds: int) -> list[Row]:
    return [
        compare(
            f"create and destroy, {FEW} containers",
            ours(folder, FEW),
            "the bare SDK calls",
            bare(client, image, FEW),
            rounds=rounds,
            goal="<= 1.3",
        ),
        compare(
            f"{MANY} containers",
            ours(folder, MANY),
            f"{FEW} containers",
            ours(folder, FEW),
            rounds=rounds,
            goal="<= 2",
        ),
        compare(
            f"{MANY} containers, the bare SDK calls",
            bare(client, image, MANY),
            f"{FEW} containers, the bare SDK calls",
            bare(client, image, FEW),
            rounds=rounds,
        ),
    ]


if __name__ == "__main__":
    main()
