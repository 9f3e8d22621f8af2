from __future__ import annotations

import os
import platform

from harness.connections.base import Connection
from harness.connections.probe import _os_release


def test_facts_of_this_machine(connection: Connection) -> None:
    facts = connection.facts()
    assert (facts.os, facts.arch) == ("linux", platform.machine())
    assert facts.libc == ("gnu" if platform.libc_ver()[0] == "glibc" else "musl")
    assert facts.uid == int(connection.run(["id", "-u"]).out)
    assert facts.hostname == connection.run(["uname", "-n"]).out.strip()
    assert facts.distribution == platform.freedesktop_os_release()["ID"]
    assert ("apt" in facts.package_managers) == (connection.run("command -v apt-get").rc == 0)
    assert connection.facts() is facts


def test_init_is_what_runs(local: Connection) -> None:
    assert (local.facts().init == "systemd") == os.path.isdir("/run/systemd/system")  # noqa: PTH112


def test_os_release_with_the_shells_quoting() -> None:
    text = 'NAME="A \\"b\\""\nID=\'x\'\n# ID=comment\nVERSION_ID=12 \nbroken=\'\n\nnot an assignment'
    assert _os_release(text) == {"NAME": 'A "b"', "ID": "x", "VERSION_ID": "12"}
