"""sshd in a sandbox: its network has nothing but loopback, so that who connects enters it."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import shlex

from harness.deadline import Deadline
from harness.drivers import sshd
from harness.drivers.base import Instance
from harness.drivers.native import remains
from harness.drivers.native.options import NativeOptions
from harness.models.endpoint import Endpoint, Sandbox
from harness.sandbox.command import program

_LOOPBACK = "127.0.0.1"


def through_sshd(instance: Instance, endpoint: Sandbox, deadline: Deadline) -> Endpoint:
    """The endpoint that the platform asked for; with `connection: ssh` sshd runs in it from now on."""
    options = instance.spec.options if isinstance(instance.spec.options, NativeOptions) else NativeOptions()
    if options.connection != "ssh":
        return endpoint
    return sshd.offer(
        endpoint,
        instance.name,
        options.ssh,
        sshd.Keys.at(remains.folder_of(instance.record.id) / "ssh"),
        _way(instance.record.id, options, endpoint),
        systemd=options.init == "systemd",
        deadline=deadline,
    )


def _way(identifier: str, options: NativeOptions, endpoint: Sandbox) -> sshd.Way:
    port = options.ssh.port
    if options.network == "host":
        return sshd.Way(_LOOPBACK, port, (_LOOPBACK,))
    who = ["--pid", str(endpoint.pid), "--start-time", str(endpoint.start_time)]
    enter = program("relay", [*who, *(["--rootless"] if endpoint.rootless else []), "--", str(port)])
    command = shlex.join(enter).replace("%", "%%")
    # A name that nothing resolves, but unlike its neighbours': OpenSSH's masters are told apart by host, port and user.
    return sshd.Way(identifier, port, (_LOOPBACK,), proxy_command=command, proxy_passes_socket=True, sandbox=endpoint)
