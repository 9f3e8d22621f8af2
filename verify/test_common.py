"""What should hold on any Linux platform after any plan: shared by scenarios, plain testinfra.

A scenario adds it with `verifier: {additional_files_or_dirs: [../../../verify/test_common.py]}`.
"""

import pytest


def test_etc_is_not_writable_for_everybody(host):
    """A sticky folder and a symbolic link are no danger; sockets and pipes are judged like files."""
    command = "find /etc -xdev -perm -0002 ! -type l ! '(' -type d -perm -1000 ')'"
    assert host.check_output(command) == ""


def test_secrets_of_accounts_are_not_readable_for_everybody(host):
    for path in ("/etc/shadow", "/etc/gshadow"):
        file = host.file(path)
        if file.exists:
            assert file.user == "root"
            assert file.mode & 0o007 == 0, f"{path} has mode {file.mode:04o}"


def test_every_account_has_its_own_number(host):
    for database in ("passwd", "group"):
        lines = host.file(f"/etc/{database}").content_string.splitlines()
        entries = [line.split(":") for line in lines if line and not line.startswith("#")]
        assert all(len(entry) == (7 if database == "passwd" else 4) for entry in entries)
        names = [entry[0] for entry in entries]
        assert len(names) == len(set(names)), f"/etc/{database} names one twice"
        assert [entry[0] for entry in entries if entry[2] == "0"] == ["root"]


def test_temporary_folders_are_sticky(host):
    for path in ("/tmp", "/var/tmp"):
        if host.file(path).exists:
            assert host.file(path).mode == 0o1777


def test_no_unit_failed(host):
    if not host.file("/run/systemd/system").is_directory:
        pytest.skip("systemd does not run here")
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


def test_no_package_is_half_installed(host):
    if not host.exists("dpkg"):
        pytest.skip("no dpkg here")
    assert host.check_output("dpkg --audit") == ""


def test_it_is_the_platform_that_was_asked_for(host):
    """The platform's host name is its name in the scenario, so that a plan's `inventory_hostname` fits."""
    name = host.backend.get_hostname()
    assert host.check_output("cat /proc/sys/kernel/hostname || hostname").split(".")[0] == name.split(".")[0]
