"""What is on a machine: files, accounts, packages, services, processes and listening sockets, in one round trip.

`capture` looks, `differences` compares two looks. Who judges what they say is elsewhere: the checks of a run's
conduct, the drift of a second run, and the comparison of two machines all stand on this.
"""

from harness.machine.capture import capture
from harness.machine.differences import Change, differences
from harness.machine.model import Entry, Look, Machine, Process, Socket

__all__ = ["Change", "Entry", "Look", "Machine", "Process", "Socket", "capture", "differences"]
