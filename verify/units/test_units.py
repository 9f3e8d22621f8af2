"""What the plan of molecule/systemd-native makes, and that units are confined as they ask: plain testinfra."""


def test_systemd_is_the_first_process(host):
    assert host.check_output("cat /proc/1/comm") == "systemd"


def test_the_beat_runs_and_will_after_a_boot(host):
    service = host.service("harness-beat")
    assert service.is_running
    assert service.is_enabled


def test_the_beat_does_its_work(host):
    assert int(host.file("/run/harness-beat").content_string) > 0


def test_the_other_unit_does_not_run(host):
    service = host.service("harness-idle")
    assert not service.is_running
    assert not service.is_enabled


def in_a_unit(host, setting, program):
    return host.run("systemd-run --wait --pipe --quiet -p %s sh -c %s", setting, program)


def test_a_unit_has_its_own_folder_for_temporary_files(host):
    host.check_output("touch /tmp/harness-witness")
    assert in_a_unit(host, "PrivateTmp=yes", "ls -A /tmp").stdout == ""


def test_a_unit_cannot_write_to_the_system(host):
    assert "Read-only file system" in in_a_unit(host, "ProtectSystem=strict", "touch /usr/harness-witness").stderr
    assert not host.file("/usr/harness-witness").exists


def test_a_unit_has_a_user_of_its_own(host):
    # The range that systemd.exec(5) names for DynamicUser=.
    assert 61184 <= int(in_a_unit(host, "DynamicUser=yes", "id -u").stdout) <= 65519
