"""What the harness adds to a foreign compiler and its runners: `python -m benchmarks.compilers [ROUNDS]`.

With HARNESS_RUSTLE_DEPLOY: a compile with everything around it (own home, lock, proof, store) beside a bare call of the
same executable with the same plan and environment, both warm. And on a native platform: a runner that posts a report
beside one that tells by its exit status.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.pairs import Row, compare, table
from harness.cache import cache_dir
from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.rustle import KIND, VARIABLE, RustleDeploy, RustleDeployOptions
from harness.compile.store import locked
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.binary import BinaryRun, run_binary
from harness.models.results import CompilationResult, ResultsBy
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from tests.sandboxes import sandboxes

PORT, PATH = 21999, "/report"
_numbers = itertools.count()


def payload() -> Payload:
    """Another plan at every call: nothing is in a store."""
    text = f"{os.getpid()} {next(_numbers)}"
    tasks = [PayloadTask(task_id="hello", module="debug", args={"msg": text})]
    return Payload(plan_id="p", run_on=["node1"], hosts={"node1": {}}, plays=[PayloadPlay(tasks=tasks)])


def ours(compiler: RustleDeploy) -> Callable[[], object]:
    return lambda: compiler.compile(payload(), host_target(), CompileSettings())


def bare(compiler: RustleDeploy, folder: Path) -> Callable[[], object]:
    build = cache_dir() / KIND / "build"

    def run() -> None:
        plan = folder / "plan.json"
        plan.write_bytes(compiler.plan(payload(), host_target()))
        # Another harness at work in this folder would take away what cargo writes there.
        with locked(build.with_name("build.lock"), Cancellation()):
            call(plan)

    def call(plan: Path) -> None:
        subprocess.run(
            [compiler.executable(), plan, "--compile-only", "-o", folder / "out", "--optimization", "debug"],
            env={
                **os.environ,
                "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
                "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "CARGO_BUILD_BUILD_DIR": str(build),
                "OPENSSL_STATIC": "1",
                "RUSTFLAGS": "-C target-feature=+crt-static",
            },
            check=True,
            capture_output=True,
        )

    return run


def runner(connection: Connection, folder: Path, results: ResultsBy) -> Callable[[], object]:
    report = {"success": True, "results": [{"play_id": "p", "success": True, "task_results": [
        {"task_id": "hello", "module_result": {"changed": False, "failed": False}}]}]}  # fmt: skip
    body = json.dumps(report)
    post = f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; printf 'POST {PATH} HTTP/1.1\\r\\nHost: x\\r\\n"
    post += f"Content-Length: {len(body)}\\r\\n\\r\\n%s' '{body}' >&3; read -r _ <&3\n"
    script = ("#!/bin/bash\n" + (post if results == "report" else "")).encode()
    file = folder / results
    file.write_bytes(script)
    made = CompilationResult(
        binary_path=file,
        compilation_time=0.0,
        binary_size=len(script),
        cache_hit=True,
        sha256=hashlib.sha256(script).hexdigest(),
        target=host_target(),
        results=results,
        report_url=f"http://127.0.0.1:{PORT}{PATH}" if results == "report" else None,
    )

    def run() -> None:
        job = BinaryRun(host="node1", connection=connection, binary=made, payload=payload())
        result = run_binary(job, deadline=Deadline(60), cancellation=Cancellation())
        assert result.error is None, result.error

    return run


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.environ.get(VARIABLE):
            compiler = RustleDeploy(RustleDeployOptions(optimization="debug"))
            rows.append(
                compare(
                    "a warm compile by rustle-deploy, debug",
                    ours(compiler),
                    "a bare call of it",
                    bare(compiler, folder),
                    rounds=rounds,
                    goal="<= 1.1",
                )
            )
        with sandboxes(folder, "node1") as endpoints, open_connection(endpoints["node1"], name="node1") as connection:
            rows.append(
                compare(
                    "push and run on a native platform, the report heard",
                    runner(connection, folder, "report"),
                    "the same by exit status",
                    runner(connection, folder, "exit-status"),
                    rounds=rounds,
                )
            )
    print(table(rows))


if __name__ == "__main__":
    main()
