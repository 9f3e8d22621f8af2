"""Hosts to look at: this machine (nothing is changed outside the test's own folder) and native sandboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.models.endpoint import Endpoint, Local
from harness.models.verification import VerifyHost, VerifyJob
from tests.sandboxes import sandboxes as make_sandboxes


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Connection]:
    with open_connection(Local(directory=str(tmp_path)), name="node1") as opened:
        yield opened


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    """Two native platforms, node1 and node2."""
    with make_sandboxes(tmp_path_factory.mktemp("project"), "node1", "node2") as made:
        yield made


@pytest.fixture
def sandbox(sandboxes: dict[str, Endpoint]) -> Iterator[Connection]:
    with open_connection(sandboxes["node1"], name="node1") as opened:
        yield opened


JobMaker = Callable[..., VerifyJob]


@pytest.fixture
def make_job(tmp_path: Path) -> JobMaker:
    """A job over two hosts that are both this machine; node1 is in the group web, node2 in db."""
    directory = tmp_path / "scenario" / "tests"
    directory.mkdir(parents=True)

    def make(**fields: object) -> VerifyJob:
        endpoint = Local(directory=str(tmp_path))
        hosts = [
            VerifyHost(platform="node1", groups=["all", "web"], endpoint=endpoint),
            VerifyHost(platform="node2", groups=["all", "db"], endpoint=endpoint),
        ]
        job = VerifyJob(scenario="default", hosts=hosts, directory=directory)
        return job.model_copy(update=fields)

    return make
