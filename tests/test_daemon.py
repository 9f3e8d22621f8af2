from __future__ import annotations

import sys

import pytest

from harness.daemon import DaemonFailed, connect
from harness.models.endpoint import DaemonAddress


def test_a_missing_sdk_is_told_though_a_docker_folder_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a checkout, whose docker/ folder holds images: `import docker` alone would succeed."""
    monkeypatch.setitem(sys.modules, "docker.api.client", None)
    with pytest.raises(DaemonFailed, match="needs the Python package docker") as error:
        connect(DaemonAddress(url="unix:///nowhere.sock"))
    assert "harness-e2e[docker]" in (error.value.hint or "")
