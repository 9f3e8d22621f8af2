"""What a snapshot of `prepare` costs and saves: `harness test` on a container whose `prepare` installs a package.

The first run prepares, commits and goes on from the commit; the second starts from it; the third (`--no-snapshot`)
prepares as if there were none. Needs Docker and a package source. python -m benchmarks.snapshots [ROUNDS]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from harness.cache import cache_dir
from harness.models.results import TestReport

PACKAGE = "jq"
SCENARIO = """\
driver: {name: docker}
platforms: [{name: web1, image: debian-12}]
provisioner: {name: binary, plan: plan.json}
"""
PREPARE = f"""\
#!/bin/sh
set -e
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {PACKAGE}
"""
TASK = {"task_id": "write", "name": "write", "module": "copy", "hosts": ["web1"]}
PLAN = {
    "metadata": {"created_at": "2026-01-01T00:00:00Z", "rustle_plan_version": "0.1.0"},
    "hosts": ["web1"],
    "total_tasks": 1,
    "plays": [
        {
            "play_id": "play",
            "name": "play",
            "batches": [
                {
                    "batch_id": "batch",
                    "hosts": ["web1"],
                    "tasks": [{**TASK, "args": {"content": "x\n", "dest": "/etc/written"}}],
                }
            ],
        }
    ],
}
TEST = f"def test_it(host):\n    assert host.exists({PACKAGE!r})\n    assert host.file('/etc/written').exists\n"


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        project, cache = Path(name, "project"), Path(name, "cache")
        _write(project)
        cache.mkdir(mode=0o700)
        for shared in ("images", "store"):
            (cache / shared).symlink_to(cache_dir() / shared)
        os.environ["HARNESS_CACHE_DIR"] = str(cache)
        ways = {"first": [], "from the snapshot": [], "without": ["--no-snapshot"]}
        taken: dict[str, list[float]] = {way: [] for way in ways}
        steps: dict[str, dict[str, list[float]]] = {way: {} for way in ways}
        _run(project, "test", "--no-snapshot")  # the stub, the image: all warm
        try:
            for _ in range(rounds):
                _run(project, "snapshot", "prune", "--all")
                for way, options in ways.items():
                    started = time.perf_counter()
                    _run(project, "test", *options)
                    taken[way].append(time.perf_counter() - started)
                    for step in _report(project).steps:
                        steps[way].setdefault(step.step, []).append(step.duration)
        finally:
            _run(project, "snapshot", "prune", "--all")
        _print(taken, steps)
        shutil.rmtree(project)


def _write(project: Path) -> None:
    folder = project / "molecule" / "default"
    (folder / "tests").mkdir(parents=True)
    (folder / "molecule.yml").write_text(SCENARIO)
    (folder / "plan.json").write_text(json.dumps(PLAN))
    (folder / "prepare.sh").write_text(PREPARE)
    (folder / "tests" / "test_it.py").write_text(TEST)


def _run(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "harness", *arguments]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"harness {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _report(project: Path) -> TestReport:
    return TestReport.model_validate_json((project / ".harness/runs/latest/report.json").read_text())


def _print(taken: dict[str, list[float]], steps: dict[str, dict[str, list[float]]]) -> None:
    base = median(taken["without"])
    print("| run | median | min - max | create | prepare | beside --no-snapshot |\n|---|---|---|---|---|---|")
    for way, values in taken.items():
        parts = [f"{median(steps[way][step]):.2f} s" for step in ("create", "prepare")]
        spread = f"{min(values):.2f} s - {max(values):.2f} s"
        print(f"| {way} | {median(values):.2f} s | {spread} | {' | '.join(parts)} | {median(values) / base:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
