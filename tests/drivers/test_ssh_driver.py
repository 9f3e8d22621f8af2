"""The ssh driver: machines are taken, used and given back as they were."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from harness.connections import open_connection
from harness.deadline import Deadline
from harness.drivers.base import Capability, InstanceRecord, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.ssh import SshDriver
from harness.drivers.ssh.options import SshOptions
from harness.errors import DriverFailed, InstanceGone, Locked, NotReady, Unsupported
from tests import machines
from tests.machines import Machine
from tests.waiting import wait_for

if sys.platform == "win32" or shutil.which("ssh-keygen") is None:
    pytest.skip("needs OpenSSH", allow_module_level=True)

pytestmark = [pytest.mark.ssh, pytest.mark.sandbox, pytest.mark.root]
host = machines.host


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    yield
    assert SshDriver().instances() == []


def opened(project: Path, run: str = "run-1", *, keep: bool = False) -> Site:
    return SshDriver().open(ScenarioRef(project, "default", project), RunId(run), keep=keep)


def spec(host: Machine, name: str = "lab", **options: Any) -> PlatformSpec:
    usual = {"address": "127.0.0.1", "port": host.port, "user": "root", "use_config": False}
    files = {"identity_file": str(host.identity), "known_hosts": str(host.known_hosts)}
    return PlatformSpec(name, "ssh", options=SshOptions.model_validate({**usual, **files, **options}))


def test_taken_used_and_given_back(host: Machine, tmp_path: Path) -> None:
    before = host.inside.run("ls -A /tmp /root /dev/shm /run").out
    with opened(tmp_path) as site:
        [instance] = site.create([spec(host)], {})
        with open_connection(site.wait_ready(instance, Deadline(30)), name="lab") as connection:
            assert connection.run("hostname").out == host.inside.run("hostname").out
            connection.push(b"mine", "/root/kept")
        [told] = SshDriver().instances()
        assert (told.id, told.status, told.project) == (instance.record.id, "adopted", tmp_path)
        site.destroy(instance)
        site.destroy(instance)
        assert SshDriver().instances() == []
    assert host.inside.run("cat /root/kept").out == "mine"
    host.inside.run("rm /root/kept")
    # sshd ends a session in its own time.
    wait_for(lambda: host.inside.run("ls -A /tmp /root /dev/shm /run").out == before)


def test_it_owns_nothing() -> None:
    assert not SshDriver.capabilities & {Capability.OWNED, Capability.SNAPSHOT, Capability.ISOLATED}


def test_kept_and_found_again_by_its_scenario(host: Machine, tmp_path: Path) -> None:
    with opened(tmp_path, keep=True) as site:
        [instance] = site.create([spec(host)], {})
    with opened(tmp_path, "run-2") as site:
        with pytest.raises(Locked, match="is kept by the scenario default of") as kept:
            site.create([spec(host)], {})
        assert "harness destroy -s default" in (kept.value.hint or "")
        again = site.adopt(spec(host), instance.record)
        assert site.wait_ready(again, Deadline(30)).port == host.port  # type: ignore[union-attr]
        site.destroy(again)
        with pytest.raises(InstanceGone):
            site.adopt(spec(host), instance.record)


def test_two_never_meet_on_one_machine(host: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as site:
        with pytest.raises(Locked, match="is the machine of the platform lab, too"):
            site.create([spec(host), spec(host, "other")], {})
        assert SshDriver().instances() == []
        site.create([spec(host)], {})
        with opened(tmp_path / "else", "run-2") as other, pytest.raises(Locked, match=f"process {os.getpid()}"):
            other.create([spec(host)], {})
        # This machine's clock is set, and with it what the kernel says of its booting: its taker is the same as before.
        booted = psutil.boot_time()
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
        monkeypatch.setattr("psutil._pslinux.BOOT_TIME", booted + 3600, raising=False)  # psutil 6 and older
        with opened(tmp_path / "else", "run-2") as other, pytest.raises(Locked, match=f"process {os.getpid()}"):
            other.create([spec(host)], {})
    with opened(tmp_path, "run-3") as site:
        site.create([spec(host)], {})


def test_two_aliases_are_one_machine(host: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(f"Host one two\n HostName 127.0.0.1\n Port {host.port}\n")
    both = [PlatformSpec(name, "ssh", options=SshOptions()) for name in ("one", "two")]
    with opened(tmp_path) as site:
        with pytest.raises(Locked, match=r"two: 127\.0\.0\.1 port .* is the machine of the platform one, too"):
            site.create(both, {})
        (tmp_path / ".ssh/config").write_text("Host one\n Colour blue\n")
        with pytest.raises(DriverFailed, match=r"one: OpenSSH's client refuses one: .* line 2: Bad"):
            site.create(both, {})


def test_what_a_killed_run_took_is_free_again(host: Machine, tmp_path: Path) -> None:
    code = (
        "import os,sys; from pathlib import Path; from tests.drivers.test_ssh_driver import *; "
        "site=opened(Path(sys.argv[1]), 'dead'); site._take(PlatformSpec('lab','ssh',options="
        "SshOptions(address='127.0.0.1', port=int(sys.argv[2]))), {}); os._exit(9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(host.port)], cwd=root, timeout=60, check=False
    )
    assert done.returncode == 9
    [left] = SshDriver().instances()
    assert str(left.run) == "dead"
    with opened(tmp_path) as site:
        [instance] = site.create([spec(host)], {})
        SshDriver().reap(left)  # late: it is another's by now
        assert [record.id for record in SshDriver().instances()] == [instance.record.id]


def test_a_restart_only_where_it_is_allowed_and_proven(host: Machine, tmp_path: Path) -> None:
    with opened(tmp_path) as site:
        [instance] = site.create([spec(host)], {})
        with pytest.raises(Unsupported, match="not ours") as refused:
            site.reboot(instance, Deadline(5))
        assert "allow_reboot" in (refused.value.hint or "")
        site.destroy(instance)
        [instance] = site.create([spec(host, allow_reboot=True)], {})
        # A sandbox cannot restart this machine: it answers on, with the boot id that it had.
        host.inside.push(b"#!/bin/sh\nexit 0\n", "/usr/local/sbin/reboot", mode=0o755)
        with pytest.raises(NotReady, match="was not restarted: its boot id is the same"):
            site.reboot(instance, Deadline(4))


REBOOT = """#!/bin/sh
turn() { pkill -x sshd; while pgrep -x sshd; do sleep 0.1; done; /usr/sbin/sshd -f "$1"; }
{ echo DenyUsers root; cat /etc/harness-test/sshd_config; } >/tmp/turns_away
turn /tmp/turns_away
sleep 2
cat >/usr/local/bin/cat <<'END'
#!/bin/sh
case $1 in */boot_id) echo another;; *) exec /bin/cat "$@";; esac
END
chmod +x /usr/local/bin/cat
turn /etc/harness-test/sshd_config
"""


def test_a_machine_that_comes_up_may_turn_us_away_for_a_while(host: Machine, tmp_path: Path) -> None:
    """As PAM does until the system has booted."""
    with opened(tmp_path) as site:
        [instance] = site.create([spec(host, allow_reboot=True)], {})
        host.inside.push(REBOOT.encode(), "/usr/local/sbin/reboot", mode=0o755)
        try:
            endpoint = site.reboot(instance, Deadline(60))
        finally:
            host.inside.run("rm -f /usr/local/bin/cat")
            host.configure()
        with open_connection(endpoint, name="lab") as connection:
            assert connection.run("echo back").out == "back\n"


def test_words_for_what_cannot_be(host: Machine, tmp_path: Path) -> None:
    with opened(tmp_path) as site:
        with pytest.raises(DriverFailed, match="no image"):
            site.create([PlatformSpec("lab", "ssh", image="debian-12", options=SshOptions())], {})
        [wrong] = site.create([spec(host, identity_file=str(host.folder / "other_key"))], {})
        with pytest.raises(NotReady, match="does not let this user in"):
            site.wait_ready(wrong, Deadline(30))
        site.destroy(wrong)
        [nobody] = site.create([spec(host, port=1)], {})
        with pytest.raises(NotReady, match=r"after . s: root@127\.0\.0\.1 port 1 refuses connections"):
            site.wait_ready(nobody, Deadline(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"password": {}}, "either `env` or `file`"),
        ({"password": {"env": "A", "file": "b"}}, "either `env` or `file`"),
        ({"password": "secret"}, "password"),
        ({"port": 0}, "port"),
        ({"address": "root@lab"}, "should be the host alone"),
        ({"address": "[fd00::1]:22"}, "should be the host alone"),
        ({"address": "lab:22"}, "should be the host alone"),
        ({"connection": "direct"}, "connection"),
        ({"hostname": "x"}, "hostname"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SshOptions.model_validate(options)


def test_reaping_nothing() -> None:
    SshDriver().reap(InstanceRecord("ssh", "ssh-0", "lab", "default", Path("/none"), RunId("r"), False))
