"""The strategies by name, one module each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.deploy.means import Deployed, HostWork, Means
from harness.models.config import BinaryOnly, ForceSSH, SSHFallback

Strategy = Callable[[Sequence[HostWork], Means], Deployed]


def of(tag: str) -> Strategy:
    """By the tag of the strategy's model. Imported when it is asked for: most runs need no Ansible."""
    if tag == BinaryOnly.tag:
        from harness.deploy import binary_only

        return binary_only.deploy
    if tag == SSHFallback.tag:
        from harness.deploy import ssh_fallback

        return ssh_fallback.deploy
    if tag == ForceSSH.tag:
        from harness.deploy import force_ssh

        return force_ssh.deploy
    from harness.deploy import hybrid

    return hybrid.deploy
