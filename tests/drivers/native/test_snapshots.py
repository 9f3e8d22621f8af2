"""Files go back to exactly what they were: owners, modes, deletions, folders made anew, extended attributes."""

from __future__ import annotations

import pytest

from harness.deadline import Deadline
from harness.drivers.native import labels, store
from harness.errors import DriverFailed
from harness.models.endpoint import Sandbox
from tests.drivers.native.conftest import World, output, run

pytestmark = [pytest.mark.root, pytest.mark.sandbox]

CHANGE = (
    "mkdir /opt/new; echo a > /opt/new/file; chown 12:34 /opt/new/file; chmod 640 /opt/new/file; "
    "rm -rf /usr/share/doc; mkdir /usr/share/doc; touch /usr/share/doc/only; rm /etc/hostname; "
    "echo more >> /etc/hosts; touch /root/mine /tmp/mine; ln -s nowhere /etc/link"
)
LOOK = (
    "stat -c '%n %u %g %a' /opt/new/file; ls -A /usr/share/doc; ls /etc/hostname 2>&1; tail -1 /etc/hosts; "
    "ls -A /root/mine /tmp/mine; readlink /etc/link; cat /opt/new/file"
)


@pytest.mark.parametrize(
    ("image", "upper"),
    [
        (None, "memory"),
        pytest.param(None, "disk", marks=pytest.mark.slow),
        pytest.param("debian-12", "memory", marks=pytest.mark.image),
        pytest.param("debian-12", "disk", marks=pytest.mark.image),
    ],
)
def test_revert(root_world: World, request: pytest.FixtureRequest, image: str | None, upper: str) -> None:
    if image:
        request.getfixturevalue("debian")
    with root_world.open() as site:
        spec = root_world.spec(image=image, upper=upper)
        instance, endpoint = root_world.make(site, spec)
        output(endpoint, CHANGE)
        looks = run(endpoint, LOOK).stdout
        snapshot = site.snapshot(instance, "clean")
        assert snapshot.missing[0] == "processes"
        assert snapshot.size > 0
        output(endpoint, "rm -rf /opt/new /etc/link /usr/share/doc; sleep 333 >/dev/null 2>&1 & exit 0")
        back = site.revert(instance, snapshot, Deadline(30))
        assert isinstance(back, Sandbox)
        assert run(back, LOOK).stdout == looks
        assert run(back, "ps ax | grep -q '[s]leep 333'").returncode != 0
        # A second one over the first, as a start for another platform of another site.
        output(back, "rm /opt/new/file; touch /opt/new/second")
        second = site.snapshot(instance, "b" * 64)
        site.destroy(instance)
    with root_world.open() as other:
        _, endpoint = root_world.make(other, root_world.spec(image=image, upper=upper), {"node1": second})
        assert output(endpoint, "ls /opt/new; ls -A /usr/share/doc") == "second\nonly"


def test_a_newer_one_replaces_an_older_one(root_world: World) -> None:
    """The one that a living sandbox lies on stays until it has gone."""
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec())
        output(endpoint, "echo one > /etc/which")
        first = site.snapshot(instance, "state")
        endpoint_two = site.revert(instance, first, Deadline(20))
        assert isinstance(endpoint_two, Sandbox)
        output(endpoint_two, "echo two > /etc/which")
        second = site.snapshot(instance, "state")
        (folder,) = store.home().iterdir()
        assert len([entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]) == 2
        back = site.revert(instance, second, Deadline(20))
        assert isinstance(back, Sandbox)
        assert output(back, "cat /etc/which") == "two"
        assert [one.key for one in site.snapshots()] == ["state"]
        site.delete_snapshot(second)
        site.delete_snapshot(second)
        assert site.snapshots() == []
        with pytest.raises(DriverFailed, match="there is no snapshot"):
            site.revert(instance, second, Deadline(20))
        assert output(back, "cat /etc/which") == "two", "a refused revert changes nothing"
        assert labels.find()


def test_named_ones_belong_to_their_scenario(root_world: World) -> None:
    from dataclasses import replace

    with root_world.open() as site:
        instance, _ = root_world.make(site, root_world.spec())
        site.snapshot(instance, "mine")
        site.snapshot(instance, "c" * 64)
    elsewhere = replace(root_world.scenario, name="other")
    with root_world.driver.open(elsewhere, root_world.run, keep=False) as site:
        assert [one.key for one in site.snapshots()] == ["c" * 64]
