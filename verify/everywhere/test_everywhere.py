"""What the plan of molecule/everywhere makes, wherever it ran: plain testinfra, nothing here knows of the harness."""


def test_the_folder_is_there(host):
    folder = host.file("/etc/harness-everywhere")
    assert folder.is_directory
    assert folder.mode == 0o755


def test_it_knows_where_it_is(host):
    name = host.file("/etc/harness-everywhere/name")
    assert name.mode == 0o640
    assert name.content_string.split(" by ")[0] in ("view", "container", "machine", "box")


def test_the_limit_is_there_once(host):
    lines = host.file("/etc/harness-everywhere/limits").content_string.splitlines()
    assert [line.partition("=")[0] for line in lines] == ["made"]


def test_the_handler_ran_exactly_once(host):
    assert host.file("/etc/harness-everywhere/changes").content_string == "changed\n"
