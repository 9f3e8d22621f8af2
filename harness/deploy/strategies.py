"""The strategies by name, one module each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.deploy.means import Deployed, HostWork, Means
from harness.errors import Unsupported
from harness.models.config import BinaryOnly

Strategy = Callable[[Sequence[HostWork], Means], Deployed]


def of(tag: str) -> Strategy:
    """By the tag of the strategy's model. Imported when it is asked for: most runs need no Ansible."""
    if tag == BinaryOnly.tag:
        from harness.deploy import binary_only

        return binary_only.deploy
    raise Unsupported(f"the strategy {tag}", by="this version", hint="use `strategy: binary-only`")
