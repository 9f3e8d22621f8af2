"""Where a binary that reports by HTTP is to post: fixed by what the binary is made of."""

from __future__ import annotations

_FIRST, _COUNT = 20000, 10000
"""Below the ports that systems give to outgoing connections (32768 on Linux), above most services."""


def report_url(nonce: str) -> str:
    """On the platform's own loopback, where the harness listens while the binary runs. `nonce`: in hex, 8 digits up."""
    return f"http://127.0.0.1:{_FIRST + int(nonce[:8], 16) % _COUNT}/{nonce}"
