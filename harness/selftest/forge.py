"""Binaries that are wrong as files: what a compiler, its cache or the way to a host may make of a good one."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.compile.embed import Stub, extract, payload_bytes, trailer
from harness.models.results import CompilationResult
from harness.models.runner import Payload
from harness.selftest.stub import MutantPayload

_E_MACHINE = 18
_S390 = 22
_PT_INTERP, _PT_NOTE = 3, 4
_LOADER = b"/lib/ld-harness-selftest.so.1\0"
"""A dynamic loader that no machine has."""


@dataclass(frozen=True)
class Order:
    """What a host should have got. `payloads` are all of the plan, by host; `secrets` the values that it uses."""

    host: str
    honest: CompilationResult
    payloads: dict[str, Payload]
    stub: Stub
    """The mutants' own."""
    secrets: dict[str, str]

    @property
    def payload(self) -> Payload:
        return self.payloads[self.host]


Forge = Callable[[Order], bytes]
"""The bytes that the host gets instead."""


def mutated(name: str) -> Forge:
    """The mutants' stub with this plan, told in which way to be wrong."""

    def forge(order: Order) -> bytes:
        return _embedded(
            order, MutantPayload.model_validate({**order.payload.model_dump(by_alias=True), "mutant": name})
        )

    return forge


def stale_plan(order: Order) -> bytes:
    """The plan as it was before its last change: texts were others, and its last task was not there yet."""
    tree = order.payload.model_dump(by_alias=True)
    for play in tree["plays"]:
        for task in play["tasks"]:
            content = task["args"].get("content")
            if isinstance(content, str) and "{{" not in content:
                task["args"]["content"] = content.upper()
    tree["plays"][-1]["tasks"].pop()
    return _embedded(order, Payload.model_validate(tree))


def other_slice(order: Order) -> bytes:
    """What another host was to run."""
    other = next(payload for host, payload in order.payloads.items() if host != order.host)
    return _embedded(order, other.model_copy(update={"run_on": [order.host]}))


def secret_inside(order: Order) -> bytes:
    """Secrets are filled in when the plan is compiled."""
    payload = order.payload
    text = payload.model_dump_json(by_alias=True)
    for name, value in order.secrets.items():
        text = text.replace(f"{{{{ secret('{name}') }}}}", value)
    return _embedded(order, Payload.model_validate_json(text).model_copy(update={"secrets": []}))


def other_architecture(order: Order) -> bytes:
    """ELF's e_machine (elf(5)) is that of a mainframe."""
    binary = bytearray(order.honest.binary_path.read_bytes())
    struct.pack_into("<H", binary, _E_MACHINE, _S390)
    return bytes(binary)


def half_written(order: Order) -> bytes:
    """The disk was full, or the connection broke."""
    binary = order.honest.binary_path.read_bytes()
    return binary[: len(binary) // 2]


def without_plan(order: Order) -> bytes:
    """The stub alone: nothing was appended."""
    return order.honest.binary_path.read_bytes()[: -len(_tail(order.honest.binary_path))]


def missing_loader(order: Order) -> bytes:
    """It is dynamic and wants a loader that the host has not: a note becomes PT_INTERP (elf(5), program headers)."""
    binary = bytearray(order.honest.binary_path.read_bytes())
    at, size, count = struct.unpack_from("<Q", binary, 32)[0], *struct.unpack_from("<HH", binary, 54)
    for header in range(at, at + size * count, size):
        if struct.unpack_from("<I", binary, header)[0] == _PT_NOTE:
            struct.pack_into("<I", binary, header, _PT_INTERP)
            struct.pack_into("<Q", binary, header + 8, len(binary))
            struct.pack_into("<Q", binary, header + 32, len(_LOADER))
            return bytes(binary) + _LOADER
    raise LookupError(f"{order.honest.binary_path} has no PT_NOTE")


def written(order: Order, forge: Forge, folder: Path) -> CompilationResult:
    """The forged binary as a file, with a size and a digest of its own: whoever compares these finds nothing wrong."""
    data = forge(order)
    path = folder / f"{order.host}-runner"
    path.write_bytes(data)
    path.chmod(0o755)
    changed = {"binary_path": path, "binary_size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return order.honest.model_copy(update=changed)


def _embedded(order: Order, payload: Payload) -> bytes:
    stub = order.stub.path.read_bytes() if isinstance(payload, MutantPayload) else _bare(order.honest.binary_path)
    data = payload_bytes(payload)
    return stub + data + trailer(data)


def _bare(binary: Path) -> bytes:
    return binary.read_bytes()[: -len(_tail(binary))]


def _tail(binary: Path) -> bytes:
    payload = extract(binary)
    assert payload is not None
    return payload + trailer(payload)
