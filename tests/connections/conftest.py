"""Every test here runs over each kind of connection that this machine can open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.models.endpoint import Endpoint, Local
from tests.sandboxes import sandboxes


@pytest.fixture(scope="session")
def sandbox_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with sandboxes(tmp_path_factory.mktemp("project"), "node1") as made:
        yield made["node1"]


@pytest.fixture(scope="session")
def docker_endpoint() -> Iterator[Endpoint]:
    """A container made by hand: the driver has tests of its own."""
    from harness import daemon
    from harness.errors import HarnessError
    from harness.models.endpoint import Docker
    from tests.docker_images import ensure_base

    try:
        address = daemon.default_address()
        client = daemon.connect(address, timeout=30)
    except HarnessError as error:
        pytest.skip(f"no Docker daemon here: {error.message}")
    made = client.create_container(
        ensure_base(), ["sleep", "infinity"], host_config=client.create_host_config(init=True)
    )
    try:
        client.start(made["Id"])
        yield Docker(container=made["Id"], daemon=address)
    finally:
        client.remove_container(made["Id"], force=True)
        client.close()


@pytest.fixture(scope="session")
def ssh_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with sandboxes(tmp_path_factory.mktemp("project"), "node1", connection="ssh") as made:
        yield made["node1"]


@pytest.fixture(scope="session")
def serial_endpoint() -> Iterator[Endpoint]:
    from tests.guests import debian_guest

    with debian_guest() as made:
        yield made.endpoint


@pytest.fixture(
    params=[
        "local",
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("ssh", marks=[pytest.mark.sandbox, pytest.mark.ssh]),
        pytest.param("serial", marks=[pytest.mark.vm, pytest.mark.slow]),
    ]
)
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    if request.param == "local":
        endpoint: Endpoint = Local(directory=str(tmp_path))
    else:
        endpoint = request.getfixturevalue(f"{request.param}_endpoint")
    with open_connection(endpoint, name="node1") as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Connection]:
    with open_connection(Local(directory=str(tmp_path)), name="node1") as opened:
        yield opened


@pytest.fixture
def folder(connection: Connection) -> Iterator[str]:
    """An empty folder on the platform."""
    made = connection.run(["mktemp", "-d"]).out.strip()
    yield made
    connection.run(["rm", "-rf", made])
