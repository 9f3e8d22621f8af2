"""What a platform may ask for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.drivers.native.options import NativeOptions
from harness.errors import DriverFailed, ImageFailed
from tests.drivers.native.conftest import World, output, run

pytestmark = [pytest.mark.sandbox]


@pytest.mark.root
def test_shares(root_world: World, tmp_path: Path) -> None:
    """Read-only unless asked; relative to the scenario; a file as well; no device opens in one."""
    project = root_world.project
    (project / "data").mkdir(parents=True)
    (project / "data/file").write_text("one")
    (project / "rw").mkdir()
    shares = ["data:/srv/data", "rw:/srv/rw:rw", f"{project}/data/file:/etc/one-file"]
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(shares=shares))
        assert output(endpoint, "cat /srv/data/file /etc/one-file") == "oneone"
        assert run(endpoint, "echo two > /srv/data/file").returncode != 0
        output(endpoint, "echo two > /srv/rw/file; mknod /srv/rw/null c 1 3")
        assert run(endpoint, "echo x > /srv/rw/null").returncode != 0
    assert (project / "data/file").read_text() == "one"
    assert (project / "rw/file").read_text() == "two\n"


@pytest.mark.root
def test_a_share_shows_what_is_hidden(root_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything below /tmp is hidden, this folder too, until it is shared."""
    (tmp_path / "seen").write_text("yes")
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
        assert run(endpoint, f"cat {tmp_path}/seen").returncode != 0
        _, endpoint = root_world.make(site, root_world.spec("other", shares=[str(tmp_path)]))
        assert output(endpoint, f"cat {tmp_path}/seen") == "yes"


@pytest.mark.root
def test_hide(root_world: World) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(hide=["/usr/share/doc", "/etc/os-release", "/no/such"]))
        assert output(endpoint, "ls -A /usr/share/doc") == ""
        assert Path("/etc/os-release").is_symlink() or run(endpoint, "cat /etc/os-release").returncode != 0


@pytest.mark.root
def test_environment(root_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain one with what was asked for, and nothing of the caller's."""
    monkeypatch.setenv("MY_SECRET", "x")
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(environment={"GREETING": "hello there"}))
        lines = output(endpoint, "env").splitlines()
        assert "GREETING=hello there" in lines
        assert not [line for line in lines if line.startswith(("MY_SECRET", "VIRTUAL_ENV", "HARNESS"))]
        assert "HOME=/root" in lines


@pytest.mark.root
def test_the_network(root_world: World) -> None:
    mine = os.readlink("/proc/self/ns/net")  # noqa: PTH115
    with root_world.open() as site:
        _, private = root_world.make(site, root_world.spec())
        _, shared = root_world.make(site, root_world.spec("other", network="host"))
        assert output(private, "readlink /proc/self/ns/net") != mine
        assert output(private, "cat /sys/class/net/lo/operstate; ls /sys/class/net") == "unknown\nlo"
        assert output(shared, "readlink /proc/self/ns/net") == mine
        assert "node1" not in output(private, "grep -v 127 /etc/hosts")


@pytest.mark.root
@pytest.mark.image
@pytest.mark.systemd
def test_systemd_on_the_host_s_network(root_world: World, debian: str) -> None:
    """A user name space that does not own its network: no /sys of its own, and that network is not joined."""
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(image=debian, init="systemd", network="host"))
        assert output(endpoint, "systemctl is-active dbus") == "active"
        assert output(endpoint, "readlink /proc/self/ns/net") == os.readlink("/proc/self/ns/net")  # noqa: PTH115
        assert run(endpoint, "echo 1 > /sys/kernel/mm/ksm/run").returncode != 0


@pytest.mark.root
@pytest.mark.image
@pytest.mark.systemd
def test_systemd_that_cannot_boot(root_world: World, debian: str) -> None:
    """Said at once, not when the time is up."""
    from harness.deadline import Deadline
    from harness.drivers.native import identity, rootfs

    unpacked = rootfs.resolve(debian, root_world.project, identity.for_root())
    with root_world.open() as site:
        hide = root_world.spec(image=str(unpacked), init="systemd", shares=["/dev/null:/lib/systemd/systemd"])
        deadline = Deadline(60)
        with pytest.raises(DriverFailed, match="ended"):
            root_world.make(site, hide)
        assert deadline.elapsed() < 30


@pytest.mark.root
def test_more_capabilities(root_world: World) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(capabilities=["CAP_NET_ADMIN"]))
        output(endpoint, "ip link set lo mtu 1400")
        assert output(endpoint, "cat /sys/class/net/lo/mtu") == "1400"
        with pytest.raises(DriverFailed, match="no capability FLY"):
            site.create([root_world.spec(capabilities=["FLY"])], {})


@pytest.mark.root
def test_entering(root_world: World) -> None:
    """Exact statuses, another user, another folder, what cannot be executed."""
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
        assert run(endpoint, "exit 37").returncode == 37
        assert run(endpoint, "kill -9 $$").returncode == 137
        assert output(endpoint, "id -un; id -G; echo $HOME; grep CapEff /proc/self/status", user="daemon").split("\n")[
            ::3
        ] == ["daemon", "CapEff:\t0000000000000000"]
        assert output(endpoint, "pwd", cwd="/usr") == "/usr"
        assert "no user 'nobody-here'" in run(endpoint, "true", user="nobody-here").stderr
        assert run(endpoint, "true", cwd="/no/such").returncode == 125
        from harness.sandbox.command import enter_command

        for argv, status in ((["/etc/passwd"], 126), (["no-such-command"], 127), (["/no/such"], 127)):
            assert subprocess.run(enter_command(endpoint, argv), capture_output=True, check=False).returncode == status


@pytest.mark.root
@pytest.mark.image
def test_an_unpacked_root_file_system(root_world: World, debian: str) -> None:
    """A folder named by `image:`, relative to the scenario; it stays as it was."""
    from harness.drivers.native import rootfs

    unpacked = rootfs.resolve(debian, root_world.project, None)
    assert unpacked is not None
    root_world.project.mkdir()
    (root_world.project / "tree").symlink_to(unpacked)
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(image="tree"))
        assert output(endpoint, ". /etc/os-release; echo $ID $VERSION_ID") == "debian 12"
        output(endpoint, "touch /etc/new; rm /etc/passwd")
    assert not (unpacked / "etc/new").exists()
    assert (unpacked / "etc/passwd").exists()


@pytest.mark.root
def test_refusals(root_world: World) -> None:
    """Each names the platform and the cure."""
    (root_world.project / "empty").mkdir(parents=True)
    with root_world.open() as site:
        for spec, kind, words in (
            (root_world.spec(init="systemd"), DriverFailed, "`init: systemd` needs an image"),
            (root_world.spec(image="debian-99"), ImageFailed, "there is no image 'debian-99'"),
            (root_world.spec(image="empty"), ImageFailed, "no unpacked root file system"),
        ):
            with pytest.raises(kind, match=words) as caught:
                site.create([spec], {})
            assert caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"memory": "lots"},
        {"shares": ["a:b:c:d"]},
        {"hide": ["relative"]},
        {"hide": ["/a/../b"]},
        {"capabilities": ["net admin"]},
        {"network": "bridge"},
        {"unknown": 1},
    ],
)
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NativeOptions.model_validate(options)


def test_memory_in_mebibytes() -> None:
    assert NativeOptions.model_validate({"memory": 512}).memory == "512m"


@pytest.mark.root
def test_memory_is_a_limit(root_world: World) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(memory=8))
        done = run(endpoint, "head -c 20000000 /dev/zero > /root/big")
        assert "No space left" in done.stderr
