"""What to do about what Vagrant says, by its own names for its errors."""

from __future__ import annotations

import re

from harness.drivers.vagrant.pools import INSTALL, RESTART

_NO_PROVIDER = (
    "`vagrant plugin install vagrant-libvirt` (Debian: apt-get install vagrant-libvirt) or VirtualBox brings one; "
    "`provider:` names it"
)
_NO_BOX = (
    "is the box's name right, and can it be fetched from here? `vagrant box add` adds one from a file; "
    "`image: debian-12` is built from this machine's own package sources"
)
_BY_KIND: tuple[tuple[str, str], ...] = (
    (r"Locked", "another vagrant command works on it: wait until it ends (ps ax | grep vagrant)"),
    (r"Provider(NotFound|NotUsable|CantInstall)|NoDefaultProvider", _NO_PROVIDER),
    (r"BoxAdd|BoxNotFound|BoxMetadata|BoxProviderDoesntMatch|BoxVersion|DownloaderError|BoxChecksum", _NO_BOX),
    (
        r"ConfigInvalid|ConfigUpgrade|Vagrantfile",
        "see the platform's keys in molecule.yml, or its Vagrantfile",
    ),
    (r"FogLibvirtConnectionError", "is libvirtd running? scripts/setup-e2e-env.sh --libvirt starts it"),
    (r"StoragePool", f"libvirtd has no storage driver: {INSTALL}; one that was started before that: {RESTART}"),
    (r"VMBootTimeout|SSHNotReady", "give it more time: `config_options: {vm.boot_timeout: 900}`, in seconds"),
    (r"MachineNotFound|NoMachine|MultiVMTarget", "`machine:` names the machine in the Vagrantfile"),
    (r"SnapshotNotSupported", "this provider has no snapshots: say `snapshot: false`"),
    (r"SnapshotNotFound", "harness snapshot list tells those that there are"),
)
_BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"No space left on device|disk is full", "the disk is full: harness images prune, vagrant box prune"),
    (r"requires? .*dnsmasq|dnsmasq.*not found", "apt-get install dnsmasq-base"),
    (r"Cannot access (storage )?file|Permission denied", "may the user that runs QEMU read that file?"),
    (r"sudo", "a box needs sudo without a password for its user"),
)


def hint(kind: str, words: str) -> str | None:
    by_kind = next((cure for pattern, cure in _BY_KIND if re.search(pattern, kind)), None)
    return by_kind or next((cure for pattern, cure in _BY_WORDS if re.search(pattern, words, re.IGNORECASE)), None)
