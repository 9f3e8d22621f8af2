"""A plan's slice into a stub: the layout of docs/runner-contract.md."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.compile.store import Entry, Store, sha256_of
from harness.errors import CompileFailed
from harness.models.runner import PAYLOAD_MAGIC, Payload

BINARY = "runner"
TRAILER = 8 + 32 + len(PAYLOAD_MAGIC)


@dataclass(frozen=True)
class Stub:
    """A runner without a payload, whose content was found to have this sha256."""

    path: Path
    sha256: str


def payload_bytes(payload: Payload) -> bytes:
    """The same payload is always the same bytes: fields in the model's order, variables in the plan's."""
    try:
        return payload.model_dump_json(by_alias=True).encode()
    except ValueError as error:
        # A JSON file may hold half of a surrogate pair ("\ud800"), which no UTF-8 text can.
        raise CompileFailed(f"the plan cannot be written as UTF-8: {error}") from error


def trailer(payload: bytes) -> bytes:
    """What follows the payload: its length, its sha256 and the magic."""
    return len(payload).to_bytes(8, "little") + hashlib.sha256(payload).digest() + PAYLOAD_MAGIC


def embed(store: Store, stub: Stub, payload: bytes) -> Entry:
    """The runner of this payload, from the store or put together now, as the entry's file `BINARY`."""
    payload_sha256 = hashlib.sha256(payload).hexdigest()
    key = hashlib.sha256(f"{stub.sha256} {payload_sha256}".encode()).hexdigest()

    def make(folder: Path) -> dict[str, str]:
        binary = folder / BINARY
        # The kernel copies it (and on some file systems only refers to it); what is checked is the copy.
        shutil.copyfile(stub.path, binary)
        if sha256_of(binary) != stub.sha256:
            raise CompileFailed(f"the stub {stub.path} changed since it was found whole", hint="compile again")
        with binary.open("ab") as stream:
            stream.writelines((payload, trailer(payload)))
        binary.chmod(0o755)
        return {"stub": stub.sha256, "payload": payload_sha256}

    entry, _ = store.obtain("binary", key, make)
    return entry


def extract(binary: Path) -> bytes | None:
    """The payload that a runner carries; None when it has none, or one that does not match its sha256."""
    with binary.open("rb") as stream:
        size = stream.seek(0, 2)
        if size < TRAILER:
            return None
        stream.seek(size - TRAILER)
        end = stream.read(TRAILER)
        length = int.from_bytes(end[:8], "little")
        if end[40:] != PAYLOAD_MAGIC or length > size - TRAILER:
            return None
        stream.seek(size - TRAILER - length)
        payload = stream.read(length)
    return payload if trailer(payload) == end else None
