def test_the_greeting_is_there(host):
    assert host.file("/etc/motd").content_string == "Made by planc.\n"
    assert host.file("/srv/length").content_string.strip() == "15"
