"""Plain testinfra: nothing here knows of the harness."""


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


def test_a_units_own_sandbox_really_applies(host):
    program = "ls -A /tmp; touch /usr/harness-witness"
    run = "systemd-run --wait --pipe --quiet -p PrivateTmp=yes -p ProtectSystem=strict -p DynamicUser=yes sh -c %s"
    host.check_output("touch /tmp/harness-witness")
    done = host.run(run, program)
    assert "harness-witness" not in done.stdout
    assert done.rc != 0
    assert not host.file("/usr/harness-witness").exists
