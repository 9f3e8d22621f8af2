"""Which overlay lies where, and what it hides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drivers.native import cgroups, mounts, store
from harness.drivers.native.mounts import Mount, Overlay, View


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=20))
def test_layer_names_are_unambiguous(name: str) -> None:
    target = f"/{name}/x"
    layer = store.layer_name(target)
    assert "/" not in layer
    assert store.layer_target(layer) == target


def test_layer_names_of_the_root() -> None:
    assert store.layer_target(store.layer_name("/")) == "/"
    assert store.layer_target(store.layer_name("")) == ""
    assert len({store.layer_name(target) for target in ("", "/", "/root", "/plain", "/at-root", "/a/b", "/a%2Fb")}) == 7


def test_the_host_s_mounts() -> None:
    """This machine's own: what is met at a path, no pseudo file system, nothing that a sandbox has of its own."""
    text = Path("/proc/self/mountinfo").read_text()
    found = mounts.host_mounts(text)
    assert all(mount.kind not in mounts.PSEUDO for mount in found)
    assert not [mount.path for mount in found if mount.path.startswith(("/proc", "/sys", "/dev", "/run", "/tmp"))]
    assert [mount.path for mount in found] == sorted(mount.path for mount in found)
    covered = text + "99999 1 0:1 / / rw - ext4 /dev/x rw\n99998 1 0:1 / /usr rw - ext4 /dev/x rw\n"
    assert "/usr" not in [mount.path for mount in mounts.host_mounts(covered) if mount.id == 99998]


def test_one_overlay_for_each_file_system() -> None:
    view = mounts.one_overlay(
        [Mount("/data", "xfs", 2), Mount("/data/deep", "ext4", 3), Mount("/etc/one", "ext4", 4, False)]
    )
    assert [overlay.target for overlay in view.overlays] == ["/", "/data", "/data/deep"]


@pytest.fixture
def three() -> View:
    return View([Overlay("/", "/"), Overlay("/usr", "/usr"), Overlay("/usr/share", "/usr/share")])


def hidden(view: View) -> dict[str, list[str]]:
    return {overlay.target: overlay.hidden for overlay in view.overlays}


def test_hide_in_the_deepest_overlay(three: View) -> None:
    mounts.hide(three, "/usr/share/doc")
    mounts.hide(three, "/etc/passwd")
    mounts.hide(three, "/no/such")
    assert hidden(three) == {"/": ["etc/passwd"], "/usr": [], "/usr/share": ["doc"]}


def test_hide_a_mount_and_what_lies_below_it(three: View) -> None:
    mounts.hide(three, "/usr")
    assert hidden(three) == {"/": ["usr"]}


def test_hide_twice(three: View) -> None:
    mounts.hide(three, "/etc/apt")
    mounts.hide(three, "/etc")
    mounts.hide(three, "/etc/passwd")
    assert hidden(three)["/"] == ["etc"]


def test_an_overlay_for_each_largest_tree() -> None:
    """/usr/share is cut: its siblings are overlays, the folders above it are made."""
    view = mounts.overlay_per_tree(["/usr/share"])
    targets = {overlay.target for overlay in view.overlays}
    assert "/usr/share" in targets
    assert "/usr/bin" in targets
    assert "/usr" not in targets
    assert "/etc" in targets
    assert not targets & {"/", "/proc", "/sys", "/dev", "/run", "/tmp"}
    assert ("/usr", "dir", "/usr") in view.plain
    links = {path for path, kind, _ in view.plain if kind == "link"}
    assert {entry.path for entry in os.scandir("/") if entry.is_symlink()} <= links
    for one in targets:
        assert not [other for other in targets if other != one and other.startswith(one + "/")], one


VERSION_1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
MEMBER_1 = """\
9:name=systemd:/
4:memory:/deep/one
1:cpu,cpuacct:/
0::/
"""


def test_hierarchies_of_version_1() -> None:
    found = {one.path: one for one in cgroups.hierarchies(VERSION_1, MEMBER_1)}
    assert found["/sys/fs/cgroup/memory"].own == "/sys/fs/cgroup/memory/deep/one"
    assert found["/sys/fs/cgroup/cpu,cpuacct"].options == "cpu,cpuacct"
    assert found["/sys/fs/cgroup/systemd"].options == "none,name=systemd"
    assert (found["/sys/fs/cgroup/unified"].version, found["/sys/fs/cgroup/unified"].options) == (2, "")
    assert "/sys/fs/cgroup" not in found


def test_hierarchy_of_version_2_in_a_container() -> None:
    """The mount's root is this process's own folder there."""
    info = "30 23 0:26 /docker/abc /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n"
    (one,) = cgroups.hierarchies(info, "0::/docker/abc/init.scope\n")
    assert (one.path, one.own, one.version) == ("/sys/fs/cgroup", "/sys/fs/cgroup/init.scope", 2)
