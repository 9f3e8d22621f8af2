"""What a machine of Vagrant's costs: `vagrant up`, `snapshot save` and `snapshot restore`, each to the first command.

Needs Vagrant with vagrant-libvirt and libvirtd; the box of debian-12 is built first if it has to be.
python -m benchmarks.vagrant [ROUNDS]; `timings` is for benchmarks that measure something beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from harness.connections import open_connection
from harness.deadline import Deadline
from harness.drivers.base import Instance, PlatformSpec, RunId, ScenarioRef, Site
from harness.models.endpoint import Endpoint
from harness.registry import driver

READY = 900.0
OPTIONS = {"provider": "libvirt", "memory": 512, "cpus": 1, "user": "root"}


def timings(rounds: int) -> dict[str, list[float]]:
    """Seconds by what was done. Vagrant's own start, without any machine, is told beside."""
    found: dict[str, list[float]] = {"vagrant --version": [], "restore to first command": []}
    vagrant = driver("vagrant")
    options = vagrant.platform_options.model_validate(OPTIONS)
    spec = PlatformSpec("vm1", "vagrant", image="debian-12", options=options)
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        ref = ScenarioRef(Path(name), "bench", Path(name))
        with vagrant.open(ref, RunId("bench"), keep=False) as site:
            begun = time.perf_counter()
            [instance] = site.create([spec], {})
            _command(site.wait_ready(instance, Deadline(READY)))
            found["up to first command"] = [time.perf_counter() - begun]
            begun = time.perf_counter()
            snapshot = site.snapshot(instance, "bench")
            found["snapshot save"] = [time.perf_counter() - begun]
            for _ in range(rounds):
                begun = time.perf_counter()
                _command(site.revert(instance, snapshot, Deadline(READY)))
                found["restore to first command"].append(time.perf_counter() - begun)
                begun = time.perf_counter()
                subprocess.run(["vagrant", "--version"], check=True, capture_output=True)
                found["vagrant --version"].append(time.perf_counter() - begun)
            _destroy(site, instance, found)
    return found


def _command(endpoint: Endpoint) -> None:
    with open_connection(endpoint, name="vm1") as connection:
        assert connection.run("true").ok


def _destroy(site: Site, instance: Instance, found: dict[str, list[float]]) -> None:
    begun = time.perf_counter()
    site.destroy(instance)
    found["destroy"] = [time.perf_counter() - begun]


if __name__ == "__main__":
    for what, seconds in timings(int(sys.argv[1]) if len(sys.argv) > 1 else 3).items():
        print(f"{what}: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
