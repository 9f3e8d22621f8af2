"""What a machine betrays: runners that are wrong in one way, run for real in a sandbox, and the one that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.connections.base import Connection
from harness.models.runner import Payload
from harness.verify.conduct.evidence import Evidence
from harness.verify.conduct.judge import judge
from tests.verify.conduct import accusations, conducted, payload, task
from tests.waiting import left_running

pytestmark = pytest.mark.sandbox

Run = Callable[..., Evidence]

MOTD = task("motd", args={"dest": "/etc/motd", "content": "hello {{ name }}\n", "mode": "0644"})
FOLDER = task("folder", "file", args={"path": "/srv/app/data", "state": "directory"})
LINE = task("line", "lineinfile", args={"path": "/srv/app/data/conf", "line": "a=1", "create": True})
PLAN = payload(MOTD, FOLDER, LINE, variables={"name": "you"})
WORK = "printf 'hello you\\n' >/etc/motd; mkdir -p /srv/app/data; echo a=1 >/srv/app/data/conf\n"
SAID = "say motd changed; say folder changed; say line changed\n"


@pytest.fixture
def run(sandbox: Connection, tmp_path: Path) -> Run:
    """Of a plan by a script, on a machine that is as it was before the first of them."""
    # Older than the run by more than the grain of a file's times.
    sandbox.run("rm -rf /srv/app /tmp/* /var/tmp/*; echo old >/etc/motd; rm -f /etc/stray; pkill -f 'sleep 99'; true")
    sandbox.run("touch -d '1 hour ago' /etc/motd")

    def go(script: str, plan: Payload = PLAN, **more: Any) -> Evidence:
        return conducted(sandbox, tmp_path, plan, script, **more)

    return go


def everything(found: Evidence) -> list[str]:
    results = judge(found, ["complete", "times", "contents", "traces", "strangers", "network", "secrets"])
    return [f"{result.check}: {result.actual}" for result in results if result.outcome == "failed"]


def test_who_does_as_the_plan_says_is_not_accused(run: Run) -> None:
    assert everything(run(WORK + SAID)) == []


def test_reports_a_change_and_makes_none(run: Run, sandbox: Connection) -> None:
    sandbox.run("sleep 1.6")  # a file that has just been written may have the same times after another change
    found = accusations(run("mkdir -p /srv/app/data\n" + SAID), "traces")
    assert found == [
        "motd: as before the run, times and all: /etc/motd: a file, mode 0644, root:root, 4 bytes",
        "line: as before the run, times and all: /srv/app/data/conf: does not exist",
    ]


@pytest.mark.parametrize("status", ["ok", "skipped"])
def test_makes_a_change_and_reports_none(run: Run, status: str) -> None:
    said = f"say motd {status}; say folder changed; say line changed\n"
    found = accusations(run(WORK + said), "traces")
    assert found == ["motd: /etc/motd: content changed (4 bytes -> 10 bytes)"]


def test_a_file_of_other_content(run: Run) -> None:
    found = accusations(run(WORK + "printf 'hello you\\r\\n' >/etc/motd\n" + SAID), "contents")
    assert len(found) == 1
    assert found[0].startswith("motd: /etc/motd: 11 bytes, other than that")


def test_a_mode_that_no_umask_gives(run: Run) -> None:
    found = accusations(run(WORK + "chmod 666 /srv/app/data/conf\n" + SAID), "traces")
    assert found == ["line: /srv/app/data/conf: a file, mode 0666, root:root, 4 bytes"]


def test_a_folder_made_above_and_open_to_everybody(run: Run) -> None:
    found = accusations(run(WORK + "chmod 777 /srv/app\n" + SAID), "traces")
    assert found == ["folder: /srv/app: a directory, mode 0777, root:root"]


def test_an_owner_whom_the_task_did_not_become(run: Run) -> None:
    plan = payload(task("mine", args={"dest": "/srv/mine", "content": "x"}, become=True, become_user="nobody"))
    script = "rm -f /srv/mine; printf x >/srv/mine; {}say mine changed\n"
    assert accusations(run(script.format(""), plan), "traces") == [
        "mine: /srv/mine: a file, mode 0644, root:root, 1 bytes"
    ]
    run("rm /srv/mine\n", payload())
    assert accusations(run(script.format("chown nobody /srv/mine; "), plan), "traces") == []


def test_an_artifact_that_was_never_made(run: Run) -> None:
    said = """say motd changed '"artifacts":["/etc/motd","/etc/never"]'; say folder changed; say line changed\n"""
    evidence = run(WORK + said)
    # The run's artifacts are looked for by who takes the evidence.
    assert evidence.after is not None
    evidence.after.looked_for |= {"/etc/never"}
    assert accusations(evidence, "traces") == ["motd: /etc/never does not exist"]


@pytest.mark.parametrize(
    ("mischief", "told"),
    [
        ("echo x >/tmp/left", "/tmp/left: appeared: a file, mode 0644, root:root, 2 bytes"),
        ("echo x >>/etc/stray", "/etc/stray: appeared: a file, mode 0644, root:root, 2 bytes"),
        ("chmod 777 /srv", "/srv: mode 0755 -> 0777"),
        ("echo x >/srv/app/data/other", "/srv/app/data/other: appeared: a file, mode 0644, root:root, 2 bytes"),
        ("rm /etc/issue", "/etc/issue: is gone: it was a file"),
    ],
)
def test_what_no_task_names(run: Run, sandbox: Connection, mischief: str, told: str) -> None:
    sandbox.run("[ -e /etc/issue ] || echo here >/etc/issue; chmod 755 /srv")
    found = accusations(run(f"{WORK}{mischief}\n{SAID}"), "strangers")
    assert len(found) == 1
    assert found[0].startswith(told)
    sandbox.run("chmod 755 /srv")


def test_an_account(run: Run, sandbox: Connection) -> None:
    sandbox.run("cp /etc/passwd /root/passwd")
    found = accusations(run(WORK + "echo who:x:4711:4711::/:/bin/sh >>/etc/passwd\n" + SAID), "strangers")
    sandbox.run("cp /root/passwd /etc/passwd; rm /root/passwd")
    assert [one.partition(" (")[0] for one in found] == [
        "/etc/passwd: was written to",
        "user who: was not there -> x:4711:4711::/:/bin/sh",
    ]


def test_a_process_and_an_open_socket(run: Run, sandbox: Connection) -> None:
    found = accusations(run(WORK + left_running("sleep 99") + SAID), "strangers")
    assert len(found) == 1
    assert "sleep 99" in found[0]
    sandbox.run("pkill -f 'sleep 99'")
    if not sandbox.run("command -v python3").ok:
        pytest.skip("no python3 in the sandbox")
    listen = 'import socket, time; s = socket.create_server(("127.0.0.1", 4711)); time.sleep(99)'
    script = f"python3 -c '{listen}' >/dev/null 2>&1 </dev/null &\n"
    script += "until grep -q ' 0100007F:1267 ' /proc/net/tcp; do sleep 0.02; done\n"
    found = accusations(run(WORK + script + SAID), "strangers")
    assert [one for one in found if one.startswith("0 sockets were in use before, 1 are now")]
    sandbox.run("pkill -f 'time.sleep\\(99\\)'")


def test_the_runner_itself_is_never_what_a_task_left(run: Run, sandbox: Connection) -> None:
    """Also on a machine where much happens, and in a plan whose commands may leave what they like."""
    plan = payload(task("start", "shell", args={"cmd": "..."}))
    script = '(trap "" HUP; sleep 99; :) >/dev/null 2>&1 </dev/null &\nsay start changed\n'
    found = accusations(run(script, plan, alone=False), "strangers")
    sandbox.run("pkill -f 'sleep 99'")
    assert len(found) == 1
    assert "/runner" in found[0]


def test_what_bears_the_runners_name_for_a_moment_is_not_the_runner(run: Run, sandbox: Connection) -> None:
    plan = payload(task("start", "shell", args={"cmd": "..."}))
    script = "(sleep 0.2; exec sleep 99) >/dev/null 2>&1 </dev/null &\nsay start changed\n"
    assert accusations(run(script, plan, alone=False), "strangers") == []
    sandbox.run("pkill -f 'sleep 99'")


def test_what_goes_out(run: Run, sandbox: Connection) -> None:
    if not sandbox.run("command -v python3").ok:
        pytest.skip("no python3 in the sandbox")
    send = 'import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))'
    script = f"python3 -c '{send}' 2>/dev/null\n"
    assert accusations(run(WORK + script + SAID), "network") == ["it did, or was tried: Ip.OutNoRoutes +1"]
    asks = payload(MOTD, FOLDER, LINE, task("wait", "wait_for"), variables={"name": "you"})
    (result,) = judge(run(WORK + script + SAID + "say wait ok\n", asks), ["network"])
    assert (result.outcome, result.actual) == ("skipped", "these may need a network: wait")


def test_a_secret_for_everybody(run: Run) -> None:
    secret = "s3cret-and-long"
    script = f"sh -c 'sleep 99; :' {secret} >/dev/null 2>&1 </dev/null &\n"
    script += f"until grep -q {secret} /proc/$!/cmdline; do sleep 0.01; done; echo {secret} >/tmp/cache\n"
    seen = run(WORK + script + SAID, secrets={"TOKEN": secret}, file_leaks=("/tmp/cache", "/etc/motd"))
    in_file, in_process = accusations(seen, "secrets")
    assert in_file == "a known value stands in /tmp/cache"  # and /etc/motd is as the plan wants it
    assert in_process.endswith("sh -c sleep 99; : ********")


def test_who_is_opaque_is_told_as_unverified_unless_declared(run: Run) -> None:
    plan = payload(MOTD, FOLDER, LINE, task("cmd", "command", args={"cmd": "..."}), variables={"name": "you"})
    script = WORK + SAID + "began=$(now); mkdir /srv/made; echo x >/etc/stray; say cmd changed '\"rc\":0'\n"
    evidence = run(script, plan)
    assert accusations(evidence, "strangers") == []
    (result,) = judge(evidence, ["strangers"])
    assert result.actual == "unverified, as nothing tells what they and all after them did: cmd"
    early = f"{WORK}echo x >/etc/early; sleep 0.1\n{SAID}say cmd changed\n"
    assert accusations(run(early, plan), "strangers") == ["/etc/early: appeared: a file, mode 0644, root:root, 2 bytes"]
    run("rm -r /srv/made /etc/stray /etc/early\n", payload())
    declared = run(script, plan, touches={"cmd": ("/srv/made*",)})
    assert accusations(declared, "strangers") == ["/etc/stray: appeared: a file, mode 0644, root:root, 2 bytes"]
    run("rm -r /srv/made /etc/stray\n", payload())
    allowed = run(script, plan, touches={"cmd": ("/srv/made*",)}, allowed={"/etc/st*": "ours"})
    assert accusations(allowed, "strangers") == []
    run("rm -r /srv/made /etc/stray\n", payload())


def test_where_others_are_at_work_nothing_is_taken_for_the_runners(run: Run) -> None:
    script = WORK + "echo x >/etc/stray\n" + left_running("sleep 99") + SAID.replace("motd changed", "motd ok")
    assert everything(run(script, alone=False)) == []
