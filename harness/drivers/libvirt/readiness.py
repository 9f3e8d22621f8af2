"""When a command could run in a guest, and why it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.connections import open_connection
from harness.deadline import Deadline, poll
from harness.drivers.base import Instance
from harness.drivers.libvirt import hypervisor, labels, machine, screen
from harness.drivers.libvirt.acceleration import SLOWNESS
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.errors import CommandTimedOut, InstanceGone, NotReady, TransportFailed

if TYPE_CHECKING:
    from harness.connections.base import Connection
    from harness.models.endpoint import Endpoint

_LOST = (
    ("Kernel panic - not syncing", "its kernel panicked"),
    ("(initramfs)", "it found no root file system"),
    ("You are in emergency mode", "systemd is in its emergency mode"),
    ("Booting from Hard Disk...\nBoot failed", "its disk cannot be booted"),
    ("No bootable device", "its disk cannot be booted"),
)
"""What a console says of a guest that will not come up by itself."""
_SLICE = 5.0
"""Seconds after which a guest that does not answer is looked at from outside."""


def patient(deadline: Deadline, label: Label) -> Deadline:
    """Without KVM a guest is given more time."""
    return Deadline(deadline.remaining() * SLOWNESS) if label.emulated else deadline


def look_up(host: Hypervisor, instance: Instance) -> tuple[Any, Label]:
    """The domain and its label. Raises InstanceGone, libvirtError."""
    found = find(host, instance.record.id)
    if found is None:
        raise InstanceGone(
            f"{instance.name}: its domain {instance.record.id} no longer exists",
            hint="`harness create` makes a new one",
        )
    return found


def find(host: Hypervisor, identifier: str) -> tuple[Any, Label] | None:
    """None for a stranger's, too. Raises libvirtError."""
    import libvirt

    try:
        domain = host.connection.lookupByName(identifier)
    except libvirt.libvirtError as error:
        if hypervisor.is_missing(error):
            return None
        raise
    label = labels.of(domain)
    return None if label is None else (domain, label)


def status(domain: Any) -> str:
    """`running`, `frozen`, `stopped`. Raises libvirtError."""
    import libvirt

    state, _ = domain.state()
    if state in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED):
        return "frozen"
    return "stopped" if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED) else "running"


def check_alive(name: str, domain: Any, label: Label) -> None:
    """Raises NotReady for a guest that will not answer, whatever time it is given; libvirtError."""
    import libvirt

    state, reason = domain.state()
    console = machine.console_of(label)
    if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        words = "; ".join(domain.errors() or {}) or "its disk"
        raise NotReady(
            f"{name}: it stands still, for {words} cannot be written",
            hint=f"is the disk full that {console.parent} lies on?",
        )
    if status(domain) != "running":
        raise NotReady(f"{name}: it is {status(domain)}; {screen.tail(console)}", hint="start it again, or destroy it")
    said = screen.text(console)
    for sign, meaning in _LOST:
        if sign in said[-20_000:]:
            raise NotReady(f"{name}: {meaning}; {screen.tail(console)}", hint="is the image the right one?")


def wait_for_answer(name: str, domain: Any, label: Label, endpoint: Endpoint, deadline: Deadline) -> Connection:
    """An open connection on which a command has run. Raises NotReady with the end of the console."""
    connection = open_connection(endpoint, name=name)

    def answered(last: bool) -> bool | None:
        with hypervisor.explained(name):
            check_alive(name, domain, label)
        try:
            if connection.run("test -d /", timeout=max(1.0, min(_SLICE, deadline.remaining()))).ok:
                return True
            words = "its shell fails"
        except (TransportFailed, CommandTimedOut) as error:
            words = error.message
        if last:
            raise NotReady(
                f"{name}: nothing answers in it after {deadline.elapsed():.0f} s ({words}); "
                f"{screen.tail(machine.console_of(label))}",
                hint="harness console shows all of it; without KVM a guest takes ten times as long"
                if label.emulated
                else "harness console shows all of it",
            )
        return None

    try:
        poll(answered, deadline, interval=0.05, slowest=0.5)
    except BaseException:
        connection.close()
        raise
    return connection
