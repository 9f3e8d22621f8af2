"""Plain testinfra: nothing here knows of the harness."""


def test_each_reaches_the_other_by_name(host):
    peer = "node2" if host.check_output("hostname") == "node1" else "node1"
    assert host.addr(peer).is_resolvable
    # Nobody listens there: a refusal is the peer's own answer, silence would end in a timeout.
    program = f"import socket; socket.create_connection(('{peer}', 9), 5)"
    assert "ConnectionRefusedError" in host.run("python3 -c %s", program).stderr
