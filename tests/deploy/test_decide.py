from __future__ import annotations

import pytest

from harness.deploy.decide import decide
from harness.errors import Unsupported
from harness.models.config import BinaryOnly, DeploymentStrategy, ForceSSH, Hybrid, SSHFallback


def test_binary_only_is_by_binary() -> None:
    assert decide("node1", BinaryOnly()).method == "binary"


@pytest.mark.parametrize("strategy", [SSHFallback(), Hybrid(), ForceSSH()])
def test_what_cannot_be_done_yet_is_refused_by_name(strategy: DeploymentStrategy) -> None:
    with pytest.raises(Unsupported, match=strategy.tag):
        decide("node1", strategy)
