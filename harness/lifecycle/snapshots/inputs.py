"""What a prepared state is made of: everything that can change it, each by a readable name and a keyed digest.

The key lies in the cache folder and nowhere else: the digest of a secret tells nobody its value, and a state that was
made with one value is never taken for that of another.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.drivers.base import Origin, PlatformSpec, Snapshot
from harness.errors import HarnessError
from harness.lifecycle.failures import StepFailed
from harness.lifecycle.snapshots import shelf
from harness.models.config import BinaryOnly
from harness.models.scenario import AnsibleSettings

if TYPE_CHECKING:
    from harness.lifecycle.context import Context
    from harness.models.scenario import Scenario

_FORMAT = "1"
"""Of all that a snapshot's key is made of; another one and every snapshot is made anew."""
_NOT_INPUTS = (".git", ".harness", "__pycache__", ".cache", ".tox", ".venv", "node_modules")


class Unknown(Exception):
    """What a prepared state would be made of cannot be told, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Bodies = Iterator[tuple[str, bytes]]
"""Inputs by name."""


def digests(context: Context, origins: Mapping[str, Origin], bases: Mapping[str, Snapshot]) -> dict[str, str]:
    """Every input by name; `bases` are the snapshots that people named, which platforms start from. Raises Unknown."""
    key = shelf.secret()
    found = {"harness": f"{_FORMAT} {__version__}".encode()}
    for name, spec in context.fleet.specs.items():
        found[f"platform {name}"] = _platform(spec, origins[name], bases.get(name))
    found |= dict(_prepare(context))
    return {name: _keyed(key, name, body) for name, body in found.items()}


def prepare_file(scenario: Scenario) -> Path | None:
    """The plan, script or playbook of `prepare`, if there is one."""
    ansible = scenario.provisioner.ansible
    return scenario.provisioner.prepare or (ansible.playbooks.get("prepare") if ansible is not None else None)


def key_of(inputs: Mapping[str, str]) -> str:
    """[0-9a-f]{64}"""
    return hashlib.sha256(json.dumps(sorted(inputs.items())).encode()).hexdigest()


def _keyed(key: bytes, name: str, body: bytes) -> str:
    return hmac.new(key, f"{name}\0".encode() + body, hashlib.sha256).hexdigest()


def _platform(spec: PlatformSpec, origin: Origin, base: Snapshot | None) -> bytes:
    """All its options: which of them matter to a `prepare` only that can tell."""
    body = {
        "driver": spec.driver,
        "image": spec.image,
        "os": spec.os,
        "arch": spec.arch,
        "groups": list(spec.groups),
        "options": spec.options.model_dump(mode="json") if spec.options is not None else None,
        "origin": origin.digest,
        "base": [base.key, base.digest, base.created] if base is not None else None,
    }
    return json.dumps(body, sort_keys=True).encode()


def _prepare(context: Context) -> Bodies:
    path = prepare_file(context.scenario)
    assert path is not None
    yield "environment", json.dumps(sorted(context.scenario.provisioner.env.items())).encode()
    yield from _KINDS.get(path.suffix, _playbook)(context, path)


def _script(context: Context, path: Path) -> Bodies:
    yield path.name, _read(path)


def _plan(context: Context, path: Path) -> Bodies:
    """What each host is given to run: the files it copies, its variables, groups and tags are in that."""
    from harness.compile.reference import ReferenceCompiler
    from harness.compile.source import source_digest
    from harness.lifecycle.plans import payloads_of, read_checked, run_arguments
    from harness.models.scenario import CompilerChoice

    scenario, hosts = context.scenario, list(context.fleet.specs)
    try:
        if path not in context.plans:
            context.plans[path] = read_checked(scenario, path, compiler=CompilerChoice())
        checked = context.plans[path]
        payloads = payloads_of(scenario, checked, hosts, list(context.secrets))
    except (StepFailed, HarnessError) as error:  # `prepare` itself says so, in its own place
        raise Unknown(f"{path.name} cannot be read") from error
    told = [*(payload.model_dump_json(by_alias=True) for payload in payloads), repr(run_arguments(checked))]
    yield path.name, json.dumps(told).encode()
    yield "runner", source_digest(ReferenceCompiler().crate).encode()
    strategies = {name: scenario.strategy(name) for name in hosts}
    yield "strategy", repr(sorted(strategies.items())).encode()
    if any(strategy != BinaryOnly() for strategy in strategies.values()):
        yield "ansible-core", _version("ansible-core").encode()
    for name in sorted({name for payload in payloads for name in payload.secrets}):
        yield f"secret {name}", context.secrets[name].encode()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _playbook(context: Context, path: Path) -> Bodies:
    """Of Ansible: the folder of the playbook, the project's roles and collections, variables, configuration.

    What a playbook fetches, looks up or takes from elsewhere on this machine nobody can tell: so it is kept only where
    every platform asks for it.
    """
    asking = [spec.name for spec in context.fleet.specs.values() if not spec.snapshot]
    if asking:
        raise Unknown("what a playbook depends on cannot be told for sure (`snapshot: true` on every platform asks)")
    provisioner, project = context.scenario.provisioner, context.scenario.ref.project
    root = project if project.is_dir() else project.parent
    for folder in dict.fromkeys([path.parent, *(root / name for name in ("roles", "collections", "library"))]):
        yield f"folder {folder.name}", _tree(folder)
    for file in ("requirements.yml", "collections.yml", "ansible.cfg"):
        yield file, _read(root / file) if (root / file).is_file() else b""
    yield "ansible-core", _version("ansible-core").encode()
    settings = provisioner.ansible or AnsibleSettings()
    # A run with platforms of its own has an ephemeral folder of its own.
    settings = replace(settings, ephemeral=Path(), environment={})
    yield "ansible", repr((settings, provisioner.inventory)).encode()


_KINDS: Mapping[str, Callable[[Context, Path], Bodies]] = {".sh": _script, ".json": _plan}
"""By the suffix of the file; a new kind of `prepare` says here what it is made of."""


def _tree(folder: Path) -> bytes:
    digest = hashlib.sha256()
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in _NOT_INPUTS)
        for name in sorted(files):
            path = Path(place, name)
            body = str(path.readlink()).encode() if path.is_symlink() else _read(path)
            digest.update(f"{path.relative_to(folder)}\0{path.lstat().st_mode}\0{len(body)}\0".encode() + body)
    return digest.digest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unknown(f"{path} cannot be read: {error.strerror or error}") from error
