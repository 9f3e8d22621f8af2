"""Which tests of a driver are for a soak only."""

from __future__ import annotations

import os

import pytest

from tests.drivers.subjects import Subject


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("HARNESS_SOAK"):
        return
    left_out = [item for item in items if _is_long(item)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _is_long(item: pytest.Item) -> bool:
    subject = getattr(item, "callspec", None) and item.callspec.params.get("world")  # type: ignore[attr-defined]
    name = getattr(item, "originalname", "")
    return isinstance(subject, Subject) and subject.short is not None and name not in subject.short
