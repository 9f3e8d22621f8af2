"""That node1 is a machine of its own: another kernel, another init, and Vagrant's user in it."""

from __future__ import annotations

from testinfra.host import Host

testinfra_hosts = ["harness://node1.vagrant"]


def test_it_is_a_virtual_machine(host: Host) -> None:
    assert host.check_output("systemd-detect-virt --vm") in ("qemu", "kvm")
    assert host.check_output("hostname") == "node1"
    assert host.file("/proc/1/comm").content_string.strip() == "systemd"


def test_services_are_those_of_a_real_init(host: Host) -> None:
    assert host.service("ssh").is_running
    assert host.user("vagrant").home == "/home/vagrant"
    with host.sudo("vagrant"):
        assert host.check_output("sudo -n id -u") == "0"
