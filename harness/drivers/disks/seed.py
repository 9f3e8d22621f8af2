"""The NoCloud seed: a small disk by which cloud-init learns, without any network, who this guest is.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html: a file system labelled `cidata` with
`meta-data` and `user-data`. Keys and names are each instance's own; the image holds none.

Give it to the guest as a read-only virtio disk: the kernels of cloud images have no driver for a SATA CD-ROM.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from harness.data import data_dir
from harness.errors import Unsupported
from harness.models.disk import SHELL_PORT

SHELL_FILES: Mapping[str, str] = {
    "serial-shell": "usr/lib/harness/serial-shell",
    "harness-shell@.service": "etc/systemd/system/harness-shell@.service",
    "90-harness-shell.rules": "etc/udev/rules.d/90-harness-shell.rules",
}
"""Where the files of disks/serial-shell/ belong in a guest."""

_START = """
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    udevadm control --reload
    for file in /sys/class/virtio-ports/*/name; do
        read -r name <"$file"
        case $name in {prefix}*) systemctl start --no-block "harness-shell@$name.service";; esac
    done
fi
"""


@dataclass(frozen=True)
class Seed:
    """`identifier`: as long as it stays, cloud-init takes the guest for the same one. `authorized_keys`: lines for
    `user`. `host_key`: an ed25519 private key in OpenSSH's format, and its public line; None: the guest makes one."""

    identifier: str
    hostname: str
    user: str
    authorized_keys: tuple[str, ...] = ()
    host_key: tuple[str, str] | None = None


def user_data(seed: Seed) -> str:
    """cloud-init's configuration; JSON is YAML."""
    person: dict[str, object] = {"name": seed.user, "ssh_authorized_keys": list(seed.authorized_keys)}
    if seed.user != "root":
        person |= {"sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/sh", "lock_passwd": True}
    config: dict[str, object] = {
        "hostname": seed.hostname,
        "disable_root": False,
        "users": [person],
        # Before anything else there, and at every boot.
        "bootcmd": [["sh", "-c", _shell_script()]],
    }
    if seed.host_key is not None:
        private, public = seed.host_key
        config["ssh_keys"] = {"ed25519_private": private, "ed25519_public": public}
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"


def write_seed(path: Path, seed: Seed) -> None:
    """Write it as an ISO 9660 image, whole or not at all, readable for this user only. Raises OSError, Unsupported."""
    try:
        from pycdlib import PyCdlib
    except ImportError as error:
        raise Unsupported("NoCloud seeds", by="this machine", hint="pip install 'harness-e2e[libvirt]'") from error
    meta = json.dumps({"instance-id": seed.identifier, "local-hostname": seed.hostname})
    image = PyCdlib()
    image.new(interchange_level=3, vol_ident="cidata", joliet=3, rock_ridge="1.09")
    try:
        for name, place, text in (("meta-data", "META", meta + "\n"), ("user-data", "USER", user_data(seed))):
            content = text.encode()
            image.add_fp(io.BytesIO(content), len(content), f"/{place}.;1", rr_name=name, joliet_path=f"/{name}")
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            draft.touch(mode=0o600)
            image.write(str(draft))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    finally:
        image.close()


def _shell_script() -> str:
    """Installs and starts our root shells, where systemd is there to run them."""
    lines = ["set -e"]
    for name, place in SHELL_FILES.items():
        content = (data_dir("disks") / "serial-shell" / name).read_bytes()
        mode = "755" if content.startswith(b"#!") else "644"
        target = quote(f"/{place}")
        lines.append(f"mkdir -p {quote(f'/{Path(place).parent.as_posix()}')}")
        lines.append(f"printf %s {base64.b64encode(content).decode()} | base64 -d >{target}")
        lines.append(f"chmod {mode} {target}")
    return "\n".join(lines) + _START.format(prefix=SHELL_PORT)
