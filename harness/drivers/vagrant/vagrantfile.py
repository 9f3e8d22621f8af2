"""Vagrantfiles made from typed platforms: what a scenario says goes in as values, and as nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.vagrant import ruby
from harness.drivers.vagrant.options import VagrantOptions
from harness.drivers.vagrant.providers import LIBVIRT

_MEMORY_AND_CPUS: Mapping[str, tuple[str, str]] = {
    "vsphere": ("memory_mb", "cpu_count"),
    "vmware_esxi": ("guest_memsize", "guest_numvcpus"),
}
"""How providers call them that do not say `memory` and `cpus`."""
_NOT_SETTINGS = ("synced_folder", "cachier")
"""Molecule's flags among `config_options`."""


@dataclass(frozen=True)
class Wanted:
    """One machine. `box` and `version` are what was decided on; `kvm`: whether guests of this machine run on KVM."""

    name: str
    provider: str
    options: VagrantOptions
    box: str = ""
    version: str | None = None
    kvm: bool = True


def generated(machines: Sequence[Wanted], *, prefix: str) -> str:
    """`prefix` begins the names of what libvirt makes."""
    lines = [*_head(), *_cachier(machines)]
    for machine in machines:
        lines += [f"  config.vm.define {ruby.literal(machine.name)} do |machine|"]
        lines += [f"    {line}" for line in _machine(machine, prefix)]
        lines += ["  end"]
    return "\n".join([*lines, "end", ""])


def around(own: Path, machines: Sequence[Wanted], *, prefix: str) -> str:
    """The user's own, and after it only what keeps two runs apart."""
    lines = [f"load {ruby.literal(str(own))}", *_head()]
    for machine in machines:
        lines += [f"  config.vm.define {ruby.literal(machine.name)} do |machine|"]
        lines += [f'    machine.vm.provider "{LIBVIRT}" do |provider|']
        lines += [f"      provider.default_prefix = {ruby.literal(prefix)}", "    end", "  end"]
    return "\n".join([*lines, "end", ""])


def bare(names: Sequence[str]) -> str:
    """Enough to ask for machines that were made by another one, and to destroy them."""
    return "\n".join([*_head(), *(f"  config.vm.define {ruby.literal(name)}" for name in names), "end", ""])


def _head() -> list[str]:
    return ["# Made by the harness, anew with every run.", 'Vagrant.configure("2") do |config|']


def _cachier(machines: Sequence[Wanted]) -> list[str]:
    scopes = [str(one.options.config_options.get("cachier", one.options.cachier)) for one in machines]
    wanted = next((scope for scope in scopes if scope in ("machine", "box")), None)
    setting = f"config.cache.scope = {ruby.literal(wanted)}" if wanted else "config.cache.disable!"
    return [f'  {setting} if Vagrant.has_plugin?("vagrant-cachier")']


def _machine(machine: Wanted, prefix: str) -> Iterator[str]:
    options = machine.options
    yield from _settings("machine.vm", _box(machine))
    if not options.shares_a_folder:
        yield 'machine.vm.synced_folder ".", "/vagrant", disabled: true'
    settings = {"ssh.insert_key": True, **options.config_options}
    yield from _settings("machine", {key: value for key, value in settings.items() if key not in _NOT_SETTINGS})
    if options.hostname is not False:
        name = options.hostname if isinstance(options.hostname, str) else machine.name
        yield from _settings("machine.vm", {"hostname": name})
    for interface in options.interfaces:
        named = tuple(interface.options.items())
        yield ruby.Statement("vm.network", False, (interface.network_name,), named).written("machine")
    for line in options.instance_raw_config_args:
        yield ruby.parse(line).written("machine")
    yield f"machine.vm.provider {ruby.literal(machine.provider)} do |provider, override|"
    yield from (f"  {line}" for line in _provider(machine, prefix))
    yield "end"


def _box(machine: Wanted) -> dict[str, object]:
    options = machine.options
    found: dict[str, object] = {
        "box": machine.box,
        "box_version": machine.version or options.box_version,
        "box_url": options.box_url,
        "box_architecture": options.box_architecture,
        "box_download_checksum": options.box_download_checksum,
        "box_download_checksum_type": options.box_download_checksum_type,
    }
    return {key: value for key, value in found.items() if value is not None}


def _provider(machine: Wanted, prefix: str) -> Iterator[str]:
    options, name = machine.options, machine.provider
    if name.startswith("vmware_") and name not in _MEMORY_AND_CPUS:
        yield f'provider.vmx["memsize"] = {ruby.literal(str(options.memory))}'
        yield f'provider.vmx["numvcpus"] = {ruby.literal(str(options.cpus))}'
    else:
        memory, cpus = _MEMORY_AND_CPUS.get(name, ("memory", "cpus"))
        yield from _settings("provider", {memory: options.memory, cpus: options.cpus})
    yield from _settings("provider", {**_defaults(machine, prefix), **options.provider_options})
    for line in options.provider_raw_config_args:
        yield ruby.parse(line).written("provider")
    for line in options.provider_override_args:
        yield ruby.parse(line).written("override")


def _defaults(machine: Wanted, prefix: str) -> dict[str, object]:
    """What Molecule sets where nothing is said; a box's name on VirtualBox needs no whole copy of its disk."""
    if machine.provider == "virtualbox":
        return {"linked_clone": True}
    if machine.provider != LIBVIRT:
        return {}
    said = machine.options.provider_options
    found: dict[str, object] = {"default_prefix": prefix}
    if not machine.kvm:
        found["driver"] = "qemu"
    if "qemu" in str(said.get("driver", found.get("driver", ""))) and "cpu_mode" not in said:
        found |= {"cpu_mode": "custom", "cpu_model": "qemu64"}
    return found


def _settings(receiver: str, settings: Mapping[str, object]) -> Iterator[str]:
    for key, value in settings.items():
        yield f"{receiver}.{key} = {ruby.literal(value)}"


def has_kvm() -> bool:
    return os.access("/dev/kvm", os.R_OK | os.W_OK)
