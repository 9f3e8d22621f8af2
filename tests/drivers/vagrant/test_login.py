"""What Vagrant says of the way to a machine."""

from __future__ import annotations

import pytest

from harness.drivers.vagrant import login, refusals

CONFIG = """
Host vm1
  HostName 192.168.121.74
  User vagrant
  Port 2200
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  IdentityFile "/home/some body/.vagrant/private_key"
  IdentityFile /second
  IdentitiesOnly yes
  LogLevel FATAL
"""


def test_the_way_is_read() -> None:
    way = login.parse(CONFIG)
    assert (way.host, way.port, way.user) == ("192.168.121.74", 2200, "vagrant")
    assert way.identities == ("/home/some body/.vagrant/private_key", "/second")
    assert way.proxy_command is None
    assert login.parse("HostName a\nProxyCommand ssh -W %h:%p b").proxy_command == "ssh -W %h:%p b"
    with pytest.raises(ValueError, match="no host"):
        login.parse("Port 22")


@pytest.mark.parametrize(
    ("kind", "words", "cure"),
    [
        ("Vagrant::Errors::MachineActionLockedError", "", "another vagrant command"),
        ("Vagrant::Errors::ProviderNotFound", "", "vagrant-libvirt"),
        ("Vagrant::Errors::BoxAddShortNotFound", "", "vagrant box add"),
        ("VagrantPlugins::ProviderLibvirt::Errors::FogLibvirtConnectionError", "", "libvirtd"),
        ("VagrantPlugins::ProviderLibvirt::Errors::CreatingStoragePoolError", "", "driver-storage"),
        ("X", "No space left on device", "disk is full"),
    ],
)
def test_known_errors_have_a_cure(kind: str, words: str, cure: str) -> None:
    assert cure in (refusals.hint(kind, words) or "")
