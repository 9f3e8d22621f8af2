"""What the ten tasks must have left, whoever ran them."""

from __future__ import annotations

from testinfra.host import Host


def test_the_configuration(host: Host) -> None:
    configuration = host.file("/srv/app/app.conf")
    assert configuration.mode == 0o640
    assert f"# of {host.run('hostname').stdout.strip()}\n" in configuration.content_string
    assert host.file("/srv/app/limits").content_string == "connections=500\n"
    assert host.file("/etc/app.conf").linked_to == "/srv/app/app.conf"


def test_what_commands_have_made(host: Host) -> None:
    assert host.file("/srv/app/initialised").exists
    assert host.file("/srv/app/count").content_string == "3\n"
