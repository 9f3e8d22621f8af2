"""By what a connection asks to be let in: keys, the agent, a password."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_words import Attempt, place
from harness.errors import TransportFailed
from harness.models.endpoint import Ssh

_FILE = "see how the platform names it; relative paths are taken from the scenario's folder"


class _Just(list[str]):
    """Key files. Where there is none asyncssh takes a plain list for "the default ones"."""

    def __bool__(self) -> bool:
        return True


def credentials(endpoint: Ssh, attempt: Attempt) -> dict[str, Any]:
    """As options of asyncssh.connect. Raises TransportFailed."""
    options: dict[str, Any] = {}
    password = _password(endpoint)
    if password is not None:
        options["password"] = password
    if endpoint.identities:
        attempt.locked = tuple(path for path in endpoint.identities if _is_locked(path))
        public = [f"{path}.pub" for path in attempt.locked if Path(f"{path}.pub").exists()]
        options["client_keys"] = _Just(path for path in endpoint.identities if path not in attempt.locked)
        # With one that is locked the agent may help, but by no other key than that.
        options["agent_path"] = os.environ.get("SSH_AUTH_SOCK") if public else None
        options["agent_identities"] = public
    elif password is not None and not endpoint.use_config:
        options["client_keys"] = None
    elif endpoint.use_config:
        files = _configured(endpoint)
        there = _Just(file for file in files if Path(file).exists())
        if len(there) < len(files):  # ssh(1) passes over those that are missing
            options |= {"client_keys": there, "ignore_encrypted": True}
    return options


def configs() -> list[str]:
    """The ssh config files of this user and of this machine."""
    files = (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config"))
    return [str(file) for file in files if os.access(file, os.R_OK)]


def _configured(endpoint: Ssh) -> Sequence[str]:
    """The identity files that the ssh config names for this host."""
    who = (getpass.getuser(), endpoint.user or (), endpoint.host, endpoint.port or ())
    config = asyncssh.config.SSHClientConfig.load(None, configs(), False, False, False, *who)
    files = config.get("IdentityFile", ())
    assert isinstance(files, list | tuple)
    return [str(Path(file).expanduser()) for file in files]


def _password(endpoint: Ssh) -> str | None:
    """Raises TransportFailed where it is not to be had."""
    if endpoint.password_env is not None:
        try:
            return os.environ[endpoint.password_env]
        except KeyError:
            raise TransportFailed(
                f"the password for {place(endpoint)} is to come from the variable {endpoint.password_env}, "
                "which is not set",
                hint=f"export {endpoint.password_env}=...",
            ) from None
    if endpoint.password_file is not None:
        try:
            return (Path(endpoint.password_file).read_text().splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise TransportFailed(
                f"the password file {endpoint.password_file} cannot be read: {error}", hint=_FILE
            ) from error
    return None


def _is_locked(path: str) -> bool:
    """Whether a passphrase is needed. Raises TransportFailed for what is no key."""
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError:
        return True
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower():
            return True
        raise TransportFailed(f"the identity file {path} is no private key: {error}", hint=_FILE) from error
    except OSError as error:
        raise TransportFailed(
            f"the identity file {path} cannot be read: {error.strerror or error}", hint=_FILE
        ) from error
    return False
