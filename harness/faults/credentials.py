"""The machine is not the one we know, or does not know us. On our side alone: the platform itself is left as it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

from harness.faults.target import Target, Undo, key_pair
from harness.models.endpoint import Ssh
from harness.models.fault import Fault


def other_host_key(target: Target, fault: Fault) -> Undo:
    """We remember another key than the host shows: what one sees when it was exchanged, or when another answers."""
    folder = Path(mkdtemp(dir=target.folder()))
    public = key_pair(folder, "host_key").with_suffix(".pub").read_text()
    host, port = target.ssh.host, target.ssh.port or 22
    known = folder / "known_hosts"
    known.write_text(f"{host if port == 22 else f'[{host}]:{port}'} {public}")
    return _changed(target, target.ssh.model_copy(update={"known_hosts": str(known)}))


def wrong_key(target: Target, fault: Fault) -> Undo:
    key = key_pair(Path(mkdtemp(dir=target.folder())), "id_ed25519")
    alone = {"identities": (str(key),), "use_config": False, "password_env": None, "password_file": None}
    return _changed(target, target.ssh.model_copy(update=alone))


def wrong_password(target: Target, fault: Fault) -> Undo:
    """Also where a key would be let in: it is not offered."""
    file = Path(mkdtemp(dir=target.folder())) / "password"
    file.touch(mode=0o600)
    file.write_text("not the password\n")
    alone = {"identities": (), "use_config": False, "password_env": None, "password_file": str(file)}
    return _changed(target, target.ssh.model_copy(update=alone))


def _changed(target: Target, endpoint: Ssh) -> Undo:
    target.redirect(endpoint)
    return lambda: target.redirect(None)
