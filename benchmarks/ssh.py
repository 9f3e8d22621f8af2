"""What SSH costs, beside bare SSH: python -m benchmarks.ssh (as root, with OpenSSH's client and server).

The machine behind sshd is a native platform on this host's own network, so that what is measured is sshd and the
loopback, and no way into a name space. Nothing of this host is changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from benchmarks.over import asking, host_over
from benchmarks.pairs import Row, command, compare, table
from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.binary import BinaryRun, run_binary
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.models.endpoint import Ssh
from harness.models.results import CompilationResult
from harness.registry import driver

PORT = 2299
HOSTS = 100
SIZE = 1_500_000
RUNNER_SIZE = 4_900_000
"""Bytes of a small binary, and of the reference runner."""


@contextmanager
def machine(folder: Path) -> Iterator[tuple[Ssh, Connection]]:
    """A platform behind sshd on 127.0.0.1, and a second way in that is none of SSH."""
    native = driver("native")
    options = native.platform_options.model_validate({"network": "host", "connection": "ssh", "ssh": {"port": PORT}})
    with native.open(ScenarioRef(folder, "bench", folder), RunId("bench-ssh"), keep=False) as site:
        [instance] = site.create([PlatformSpec("node1", "native", options=options)], {})
        try:
            endpoint = site.wait_ready(instance, Deadline(60))
            assert isinstance(endpoint, Ssh)
            with open_connection(endpoint, name="node1") as connection:
                yield endpoint, connection
        finally:
            site.destroy(instance)


def binary(folder: Path, size: int = SIZE) -> CompilationResult:
    """A runner of this size that reports at once."""
    report = {"type": "report", "host": "node1", "plan_id": "p", "payload_sha256": "0" * 64, "ok": 0, "changed": 0}
    report |= {"failed": 0, "skipped": 0, "start": "2026-01-01T00:00:00Z", "duration": 0.0, "exit_code": 0}
    body = f"#!/bin/sh\necho {shlex.quote(json.dumps(report))}\nexit 0\n".encode()
    body += os.urandom(size - len(body))
    path = folder / f"runner-{size}"
    path.write_bytes(body)
    return CompilationResult(
        binary_path=path,
        compilation_time=0.0,
        binary_size=len(body),
        cache_hit=True,
        sha256=hashlib.sha256(body).hexdigest(),
        target="x86_64-unknown-linux-musl",
    )


def push_and_run(endpoint: Ssh, compiled: CompilationResult) -> None:
    """Connect, push, check, run, tidy up, close."""
    with open_connection(endpoint, name="node1") as connection:
        job = BinaryRun(host="node1", connection=connection, binary=compiled)
        result = run_binary(job, deadline=Deadline(120), cancellation=Cancellation())
        assert result.error is None, result.error


def openssh(endpoint: Ssh, *options: str) -> list[str]:
    words = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={endpoint.known_hosts}"]
    words += ["-o", "IdentitiesOnly=yes", "-i", endpoint.identities[0], "-p", str(endpoint.port), *options]
    return [*words, f"{endpoint.user}@{endpoint.host}"]


def many(endpoint: Ssh, folder: Path) -> list[Ssh]:
    """The same sshd by a hundred addresses."""
    key = Path(endpoint.known_hosts or "").read_text().partition(" ")[2]
    hosts = [f"127.0.0.{number}" for number in range(1, HOSTS + 1)]
    known = folder / "known_hosts"
    known.write_text("".join(f"[{host}]:{PORT + 1} {key}" for host in hosts))
    return [endpoint.model_copy(update={"host": host, "port": PORT + 1, "known_hosts": str(known)}) for host in hosts]


def second_sshd(connection: Connection) -> None:
    """At every address of the loopback, and for any burst: the bare loop has no answer to MaxStartups."""
    done = connection.run(
        "d=/run/harness-sshd; sed -e '/^ListenAddress/d; /^PidFile/d' "
        f"-e 's/^Port .*/Port {PORT + 1}/' $d/sshd_config >$d/second; "
        "printf 'ListenAddress 0.0.0.0\\nMaxStartups 1000\\nAllowUsers root@127.0.0.*\\n' >>$d/second; "
        "/usr/sbin/sshd -f $d/second"
    )
    assert done.ok, done.err


def ours(endpoints: list[Ssh], compiled: CompilationResult) -> None:
    with ThreadPoolExecutor(len(endpoints)) as pool:
        list(pool.map(lambda endpoint: push_and_run(endpoint, compiled), endpoints))


def bare(endpoints: list[Ssh], compiled: CompilationResult) -> None:
    """The shortest program that does something like it: no check, no clean-up beside `rm`, no limit, one thread."""
    content = compiled.binary_path.read_bytes()
    script = "f=$(mktemp) && cat >$f && chmod 700 $f && $f; rm -f $f"

    async def one(endpoint: Ssh) -> None:
        async with asyncssh.connect(
            endpoint.host,
            endpoint.port or 22,
            username=endpoint.user or "",
            client_keys=list(endpoint.identities),
            known_hosts=endpoint.known_hosts,
            agent_path=None,
            config=None,
        ) as connection:
            done = await connection.run(script, input=content, encoding=None)
            assert done.exit_status == 0, done.stderr

    async def all_of_them() -> None:
        await asyncio.gather(*(one(endpoint) for endpoint in endpoints))

    asyncio.run(all_of_them())


def main() -> None:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, machine(Path(name)) as (endpoint, connection):
        folder = Path(name)
        compiled = binary(folder)
        push = lambda: push_and_run(endpoint, compiled)  # noqa: E731
        rows.append(
            compare("connect, push 1.5 MB, check, run", push, "`ssh host true`", command([*openssh(endpoint), "true"]),
                    rounds=15, goal="<= 1.3x")
        )  # fmt: skip
        quick = command([*openssh(endpoint, "-o", "KexAlgorithms=curve25519-sha256"), "true"])
        rows.append(compare("the same", push, "`ssh host true` with curve25519", quick, rounds=15))
        shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%C", "-o", "ControlPersist=60")
        master = openssh(endpoint, *shared)
        loop = f"n=20; while [ $n -gt 0 ]; do {shlex.join(master)} 'stat -c %a /etc/passwd'; n=$((n - 1)); done"
        ask, stat = asking(host_over(connection), 20), command(["sh", "-c", loop])
        rows.append(compare("one testinfra assertion", ask, "`ssh host stat` with a ControlMaster", stat, per_call=20))
        command([*master, "-O", "exit"])()
        second_sshd(connection)
        endpoints = many(endpoint, folder)
        rows.append(
            compare(f"{HOSTS} hosts: connect, push, check, run", lambda: ours(endpoints, compiled),
                    "a bare asyncssh loop", lambda: bare(endpoints, compiled), rounds=3, goal="<= 2x")
        )  # fmt: skip
        ten, whole = endpoints[:10], binary(folder, RUNNER_SIZE)
        rows.append(
            compare("10 hosts, 4.9 MB: connect, push, check, run", lambda: ours(ten, whole),
                    "a bare asyncssh loop", lambda: bare(ten, whole), rounds=7)
        )  # fmt: skip
    print(table(rows))


if __name__ == "__main__":
    main()
