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


def test_who_logs_in_is_greeted(host: Host) -> None:
    name = host.run("hostname").stdout.strip()
    assert host.file("/etc/motd").content_string == f"Welcome to {name}.\n"
    assert host.file("/srv/app/index.html").content_string == f"<h1>{name}</h1>\n"


def test_the_profile_and_the_folders(host: Host) -> None:
    assert host.file("/etc/profile.d/app.sh").content_string == "export APP=/srv/app\n"
    assert host.file("/srv/app").mode == 0o755
    assert host.file("/var/log/app").mode == 0o750
