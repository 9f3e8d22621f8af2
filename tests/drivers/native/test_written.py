"""What the driver tells of what has been written in a sandbox."""

from __future__ import annotations

import pytest

from tests.drivers.native.conftest import World, output

pytestmark = [pytest.mark.sandbox]

CHANGE = (
    "mkdir -p /opt/new; echo a > '/opt/new/a file'; touch /tmp/mine; rm /etc/issue; chmod 600 /etc/shells; "
    "rm -rf /etc/init.d; mkdir /etc/init.d; touch /etc/init.d/only; ln -s nowhere /etc/link"
)


def check(world: World, **options: str) -> None:
    with world.open() as site:
        instance, endpoint = world.make(site, world.spec(**options))
        scripts = output(endpoint, "ls -d /etc/init.d/*").split()
        before = site.written(instance)
        assert before is not None and not any(path.startswith("/etc/init.d") for path in before.paths)
        output(endpoint, CHANGE)
        after = site.written(instance)
        assert after is not None
        new = after.paths - before.paths
        changed = {"/opt/new", "/opt/new/a file", "/etc/issue", "/etc/shells", "/etc/link", "/etc/init.d/only"}
        assert changed <= new
        assert scripts and set(scripts) <= new, "what a folder that was made anew no longer holds"
        assert not any(path.startswith("/usr/") for path in new)


@pytest.mark.root
@pytest.mark.parametrize("image", [None, pytest.param("debian-12", marks=pytest.mark.image)])
def test_everything_that_was_written_and_nothing_else(
    root_world: World, request: pytest.FixtureRequest, image: str | None
) -> None:
    if image:
        request.getfixturevalue("debian")
    check(root_world, **({"image": image} if image else {}))
