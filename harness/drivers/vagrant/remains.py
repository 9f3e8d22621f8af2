"""What of ours exists in Vagrant, and its removal."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil

from harness.drivers.base import InstanceRecord
from harness.drivers.vagrant import projects, vagrantfile
from harness.drivers.vagrant.projects import Machine, Project
from harness.drivers.vagrant.providers import LIBVIRT
from harness.errors import DriverFailed

_SIDE_BY_SIDE = 4
_STATES = {
    "running": "running",
    "inaccessible": "running",
    "paused": "frozen",
    "suspended": "frozen",
    "frozen": "frozen",
    "not_created": "planned",
}
"""Vagrant's words for what there is in ours; each provider has some of its own for a machine that is off."""
_GRACE = 5.0
_VIRSH_SECONDS = 60.0


def instances() -> list[InstanceRecord]:
    """Of every project folder, each machine as Vagrant tells of it; without a folder Vagrant is not even started."""
    every = projects.everything()
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        found = list(pool.map(_instances, every))
    return [record for records in found for record in records]


def _instances(project: Project) -> list[InstanceRecord]:
    made = [machine for machine in project.machines if project.has_made(machine)]
    states = status(project, made) if made else {}
    return [
        project.record(machine, states.get(machine.machine, "unknown") if machine in made else "planned")
        for machine in project.machines
    ]


def status(project: Project, machines: Sequence[Machine]) -> dict[str, str]:
    """By the machine's name in the Vagrantfile; without those of which Vagrant cannot tell."""
    from harness.drivers.vagrant.command import Vagrant

    found: dict[str, str] = {}
    client = Vagrant(_standing(project))
    for machine in machines:
        with suppress(DriverFailed):
            for row in client.status(vm_name=machine.machine):
                if row.state:
                    found[str(row.name)] = _STATES.get(row.state, "stopped")
    return found


def reap(record: InstanceRecord) -> None:
    """Of a dead run: whatever Vagrant is still doing there is ended first."""
    found = projects.of_instance(record.id)
    if found is not None:
        project, machine = found
        _end_commands(project)
        destroy(project, [machine])


def destroy(project: Project, machines: Sequence[Machine]) -> None:
    """They, and all that belongs to them; a second call does nothing. Raises DriverFailed."""
    from harness.drivers.vagrant.command import Vagrant

    now = projects.find(project.name)
    doomed = [machine for machine in machines if now is not None and machine in now.machines]
    if not doomed:
        return
    # Of others Vagrant has nothing to destroy, and refuses to where it does not understand what they were to be.
    if made := [machine.machine for machine in doomed if project.has_made(machine)]:
        Vagrant(_standing(project)).remove(made)
    for machine in doomed:
        if machine.provider == LIBVIRT:
            _sweep(machine, f"{project.name}_{machine.machine}")
    projects.forget(project, doomed)


def _standing(project: Project) -> Project:
    """With all that Vagrant wants to find, when the scenario's folder has gone in the meantime."""
    if project.own is not None and not Path(project.own).is_file():
        bare = project.folder / "Vagrantfile.bare"
        bare.write_text(vagrantfile.bare([machine.machine for machine in project.machines]))
        project = project.model_copy(update={"bare": True})
    if not Path(project.root).is_dir():
        project = project.model_copy(update={"root": str(project.folder)})
    return project


def _sweep(machine: Machine, name: str) -> None:
    """A domain that was defined in the very moment in which Vagrant was killed: it does not know of it."""
    virsh = shutil.which("virsh")
    if virsh is None:
        return
    for command in (["destroy"], ["undefine", "--snapshots-metadata", "--managed-save", "--nvram"]):
        verb, *options = command
        argv = [virsh, "--connect", machine.uri or "qemu:///system", verb, name, *options]
        try:
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_VIRSH_SECONDS)
        except subprocess.TimeoutExpired as error:
            words = f"{machine.platform}: `{shlex.join(argv)}` did not end within {_VIRSH_SECONDS:g} s"
            raise DriverFailed(words, hint="does libvirtd answer? `harness destroy --orphans` tries again") from error


def _end_commands(project: Project) -> None:
    """Vagrant commands of this project that outlived their run: they work with its Vagrantfile."""
    running = [process for process in psutil.process_iter() if _works_on(process, project)]
    for process in running:
        with suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(running, timeout=_GRACE)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE)


def _works_on(process: psutil.Process, project: Project) -> bool:
    """What a provider's own daemon was started with by the way counts for nothing: it may serve others."""
    try:
        if not any(Path(word).stem == "vagrant" for word in process.cmdline()[:3]):
            return False
        return process.environ().get("VAGRANT_VAGRANTFILE") == str(project.vagrantfile)
    except (psutil.Error, OSError):
        return False
