"""What the plan of molecule/default makes: plain testinfra, nothing here knows of the harness."""


def test_the_greeting_names_the_host(host):
    name = host.check_output("hostname")
    assert host.file("/etc/motd").content_string.startswith(f"Welcome to {name}, ")


def test_the_folder_is_there(host):
    folder = host.file("/etc/harness-demo")
    assert folder.is_directory
    assert folder.mode == 0o755


def test_the_configuration_knows_its_role_and_its_peer(host):
    name = host.check_output("hostname")
    role, peer = ("web", "node2") if name == "node1" else ("db", "node1")
    configuration = host.file("/etc/harness-demo/site.conf")
    assert configuration.contains(f"^role = {role}$")
    assert configuration.contains(f"^peer = {peer}$")
    assert configuration.mode == 0o640


def test_the_link_leads_to_the_configuration(host):
    assert host.file("/etc/harness-demo/current").linked_to == "/etc/harness-demo/site.conf"


def test_it_was_initialised(host):
    assert host.file("/etc/harness-demo/initialised").size == 0


def test_the_handler_ran_exactly_once(host):
    assert host.file("/etc/harness-demo/changes").content_string == "changed\n"
