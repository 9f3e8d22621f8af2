"""How numbers and strange bytes are written for people."""

from __future__ import annotations

import codecs
import re

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


READABLE = "harness.readable"
"""An error handler of codecs: what an encoding lacks is written as something that it has."""
_IN_ITS_PLACE = {"·": "-", "…": "...", "✓": "ok", "✗": "x"}


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_IN_ITS_PLACE.get(sign, "?") for sign in missing), error.end


codecs.register_error(READABLE, _readable)


def seconds(value: float) -> str:
    """`4 ms`, `1.62 s`, `3 min 5 s`."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.0095 else f"{value * 1000:.1f} ms"
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    return "{} min {} s".format(*divmod(round(value), 60))


def size(count: int) -> str:
    """Bytes as `820 B`, `1.4 MB` (powers of ten, as disks and networks are sold)."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def age(value: float) -> str:
    """Seconds as `5 s`, `3 min`, `7 h`, `12 days`."""
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        if value < length * (60 if length < 3600 else 48):
            return f"{max(0, value) / length:.0f} {unit}"
    return f"{value / 86400:.0f} days"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    """Without what would steer the terminal: a host's output must not move the cursor or hide a line."""
    return _CONTROL.sub(lambda match: "" if match[0].startswith("\x1b[") else "\N{REPLACEMENT CHARACTER}", text)
