from __future__ import annotations

import os
import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from harness.connections import open_connection, posix
from harness.connections.base import Connection
from harness.connections.probe import _os_release, probe
from harness.models.endpoint import Local
from harness.models.facts import Facts


def test_facts_of_this_machine(connection: Connection) -> None:
    facts = connection.facts()
    assert (facts.os, facts.arch) == ("linux", platform.machine())
    assert facts.libc == ("gnu" if platform.libc_ver()[0] == "glibc" else "musl")
    assert facts.uid == int(connection.run(["id", "-u"]).out)
    assert facts.user == connection.run(["id", "-un"]).out.strip()
    assert facts.hostname == connection.run(["uname", "-n"]).out.strip()
    assert facts.distribution == platform.freedesktop_os_release()["ID"]
    assert ("apt" in facts.package_managers) == (connection.run("command -v apt-get").rc == 0)
    assert connection.facts() is facts


def test_hosts_are_asked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def together(connection: Connection) -> Facts:
        both.wait(30)  # breaks where one asks only after the other
        return probe(connection)

    monkeypatch.setattr(posix, "probe", together)
    hosts = [open_connection(Local(), name=name) for name in ("a", "b")]
    with closing(hosts[0]), closing(hosts[1]), ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda host: host.facts(), hosts)
    assert first == second


def test_init_is_what_runs(local: Connection) -> None:
    assert (local.facts().init == "systemd") == os.path.isdir("/run/systemd/system")  # noqa: PTH112


def test_os_release_with_the_shells_quoting() -> None:
    text = 'NAME="A \\"b\\""\nID=\'x\'\n# ID=comment\nVERSION_ID=12 \nbroken=\'\n\nnot an assignment'
    assert _os_release(text) == {"NAME": 'A "b"', "ID": "x", "VERSION_ID": "12"}
