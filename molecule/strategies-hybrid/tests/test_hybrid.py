"""What no expected outcome can say."""


def test_the_handler_ran_once(host):
    """It was notified over SSH and by binary."""
    assert host.file("/etc/strategies/note").content_string == "noted\n"
