"""By what a connection asks to be let in: keys, the agent, a password."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_target import Target
from harness.connections.ssh_words import LOCKED, Attempt
from harness.errors import TransportFailed

_FILE = "see how the platform names it; relative paths are taken from the scenario's folder"


class _Just(list[Any]):
    """Keys. Where there is none asyncssh takes a plain list for "the default ones"."""

    def __bool__(self) -> bool:
        return True


async def credentials(attempt: Attempt, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
    """As options of asyncssh.connect; the agent stays open until the end of `stack`. Raises TransportFailed."""
    target = attempt.target
    options: dict[str, Any] = {"client_keys": _Just(await _keys(attempt, stack)), "agent_path": None}
    password = _password(target)
    if password is not None:
        options["password"] = password
    if target.preferred:
        options["preferred_auth"] = list(target.preferred)
    return options


async def _keys(attempt: Attempt, stack: contextlib.AsyncExitStack) -> list[Any]:
    """In ssh(1)'s order: of the agent's keys those that files name, then its others, then the files."""
    target = attempt.target
    private = {path: _private(path, attempt) for path in target.identities}
    of_agent = await _agent(target, stack) if None in private.values() or not target.named else []
    certificates = _certificates(target)
    first: list[Any] = []
    last: list[Any] = []
    for path, key in private.items():
        data = key.public_data if key is not None else _public(path)
        held = next((one for one in of_agent if data is not None and one.public_data == data), None)
        if held is not None:
            of_agent.remove(held)
            first += _certified(held, certificates)
            attempt.unusable.pop(path, None)
        elif key is not None:
            last += asyncssh.load_keypairs([key], certlist=certificates)
    others = [] if target.identities_only else [pair for one in of_agent for pair in _certified(one, certificates)]
    return [*first, *others, *last]


def _private(path: str, attempt: Attempt) -> Any:
    """None where only the agent may be able to use it, or nobody; a platform's own has to be a key. Raises
    TransportFailed."""
    named = attempt.target.named
    try:
        return asyncssh.read_private_key(path)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "passphrase" in str(error).lower() or isinstance(error, asyncssh.KeyEncryptionError):
            attempt.unusable[path] = LOCKED
        elif _public(path) is not None:
            attempt.unusable[path] = "the agent does not have it"
        elif named:
            raise TransportFailed(f"the identity file {path} is no private key: {error}", hint=_FILE) from error
        else:
            attempt.unusable[path] = str(error)
    except OSError as error:
        words = error.strerror or str(error)
        if named:
            raise TransportFailed(f"the identity file {path} cannot be read: {words}", hint=_FILE) from error
        if _public(path) is not None:
            attempt.unusable[path] = "the agent does not have it"
        elif not isinstance(error, FileNotFoundError):
            attempt.unusable[path] = words
    return None


def _public(path: str) -> bytes | None:
    """The public half of a key that cannot be used here: beside it, or within."""
    for name in (f"{path}.pub", path):
        with contextlib.suppress(OSError, asyncssh.KeyImportError):
            return bytes(asyncssh.read_public_key(name).public_data)
    return None


async def _agent(target: Target, stack: contextlib.AsyncExitStack) -> list[Any]:
    """Its keys; none where it does not answer."""
    if target.agent is None:
        return []
    with contextlib.suppress(OSError, ValueError, asyncssh.Error):
        agent = await asyncssh.connect_agent(target.agent)
        stack.callback(agent.close)
        return list(await agent.get_keys())
    return []


def _certificates(target: Target) -> list[Any]:
    """Those that are named, and those beside the keys (`KEY-cert.pub`)."""
    found: list[Any] = []
    for path in (*target.certificates, *(f"{path}-cert.pub" for path in target.identities)):
        with contextlib.suppress(OSError, asyncssh.KeyImportError):
            found.append(asyncssh.read_certificate(path))
    return found


def _certified(held: Any, certificates: Sequence[Any]) -> list[Any]:
    """The agent's key with each certificate for it, and without."""
    found = []
    for certificate in certificates:
        if certificate.key.public_data == held.public_data:
            pair = copy.copy(held)
            pair.set_certificate(certificate)
            found.append(pair)
    return [*found, held]


def _password(target: Target) -> str | None:
    """Raises TransportFailed where it is not to be had."""
    if target.password_env is not None:
        try:
            return os.environ[target.password_env]
        except KeyError:
            raise TransportFailed(
                f"the password for {target.place} is to come from the variable {target.password_env}, which is not set",
                hint=f"export {target.password_env}=...",
            ) from None
    if target.password_file is not None:
        try:
            return (Path(target.password_file).read_text().splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise TransportFailed(
                f"the password file {target.password_file} cannot be read: {error}", hint=_FILE
            ) from error
    return None
