"""What a guest shows: the text of its serial console, and a picture of its screen."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

from harness.errors import DriverFailed

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])")
_TAIL = 15
_PPM = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s")


def text(path: Path) -> str:
    """All that the console has said, without what only a terminal needs. Empty where it said nothing."""
    try:
        said = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DriverFailed(f"the console's log {path} cannot be read: {error.strerror}") from error
    return re.sub(r"\r*\n|\r+", "\n", _ESCAPES.sub("", said)).replace("\0", "")


def tail(path: Path) -> str:
    """Its last lines, for an error message; never fails."""
    try:
        lines = [line.rstrip() for line in text(path).splitlines() if line.strip()]
    except DriverFailed as error:
        return error.message
    if not lines:
        return "its console has said nothing"
    return "\n".join(["the end of its console:", *(f"  {line}" for line in lines[-_TAIL:])])


def picture(domain: Any) -> bytes:
    """A PNG of the first screen. Raises libvirtError, DriverFailed."""
    stream = domain.connect().newStream(0)
    parts: list[bytes] = []
    domain.screenshot(stream, 0, 0)
    stream.recvAll(lambda _stream, data, _opaque: parts.append(data), None)
    stream.finish()
    data = b"".join(parts)
    return data if data.startswith(b"\x89PNG") else png(data)


def png(ppm: bytes) -> bytes:
    """From netpbm's raw format, which older libvirts give (https://netpbm.sourceforge.net/doc/ppm.html)."""
    head = _PPM.match(ppm)
    if head is None:
        raise DriverFailed(f"the screen came in a format that is not known: {ppm[:16]!r}")
    width, height = int(head[1]), int(head[2])
    pixels, row = ppm[head.end() :], 3 * width
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
