"""Switching guests on and off."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from harness.connections import open_connection
from harness.deadline import Deadline, poll
from harness.drivers.libvirt import guest, hypervisor, readiness
from harness.drivers.libvirt.labels import Label
from harness.errors import CommandTimedOut, NotReady, TransportFailed
from harness.models.endpoint import Endpoint

_STOP_SECONDS = 20.0
_PRESS_SECONDS = 5.0
"""Between one press of the button and the next: a guest that is just booting does not see it."""
_ANSWER_SECONDS = 5.0
_REBOOT = "nohup sh -c 'sleep 0.2; systemctl reboot || reboot' >/dev/null 2>&1 &"


def start(domain: Any) -> None:
    """Raises libvirtError."""
    if readiness.status(domain) == "stopped":
        domain.create()


def stop(domain: Any, label: Label) -> None:
    """As by its power button; without power when it takes no notice of that. Raises libvirtError."""
    import libvirt

    deadline = readiness.patient(Deadline(_STOP_SECONDS), label)
    pressed = 0.0
    while readiness.status(domain) != "stopped" and not deadline.expired():
        if time.monotonic() - pressed > _PRESS_SECONDS:
            pressed = time.monotonic()
            try:
                domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            except libvirt.libvirtError as error:
                if not hypervisor.is_missing(error):
                    raise
        time.sleep(0.1)
    kill(domain)


def kill(domain: Any) -> None:
    """Raises libvirtError."""
    import libvirt

    try:
        if domain.isActive():
            domain.destroy()
    except libvirt.libvirtError as error:
        if not hypervisor.is_missing(error):
            raise


def reboot(name: str, endpoint: Endpoint, deadline: Deadline) -> None:
    """By its own init; returns when another boot has begun. Raises NotReady when none has by the deadline."""
    with open_connection(endpoint, name=name) as connection:
        before = guest.boot_id(connection, deadline.remaining())
        with suppress(TransportFailed, CommandTimedOut):  # it is under way
            connection.run(_REBOOT, timeout=_ANSWER_SECONDS)

    def begun(last: bool) -> bool | None:
        try:
            with open_connection(endpoint, name=name) as connection:
                now = guest.boot_id(connection, min(_ANSWER_SECONDS, max(1.0, deadline.remaining())))
        except (TransportFailed, CommandTimedOut):
            now = ""
        if now and now != before:
            return True
        if last:
            state = "goes on as before" if now else "does not answer"
            raise NotReady(f"{name}: it was told to boot anew and {state} after {deadline.elapsed():.0f} s")
        return None

    poll(begun, deadline, interval=0.2, slowest=1.0)
