"""Plain testinfra: nothing here knows of the harness."""


def test_sshd_is_the_harness_own(host):
    assert host.socket("tcp://127.0.0.1:2222").is_listening


def test_what_runs_there_came_through_sshd(host):
    assert host.run("env").stdout.count("SSH_CONNECTION=") == 1
