"""The pytest plugin: makes `harness://` known to testinfra, and takes over in a verify child.

Every pytest run of this environment loads it, so it imports nothing and does nothing until it is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from harness.verify import JOB

if TYPE_CHECKING:
    from harness.containers import ContainerManager

SCHEME = "harness"


def pytest_configure(config: pytest.Config) -> None:
    """Register the backend; in a verify child (HARNESS_VERIFY_JOB is set) what runs its job."""
    try:
        from testinfra import backend
    except ImportError:
        return  # somebody else's environment, where testinfra was uninstalled
    backend.BACKENDS.setdefault(SCHEME, "harness.verify.backend.HarnessBackend")
    job = os.environ.get(JOB)
    if job:
        from harness.verify.session import install

        install(config, job)
    elif f"{SCHEME}://" in (config.getoption("hosts", None) or ""):
        _check(str(config.getoption("hosts")))


def pytest_unconfigure(config: pytest.Config) -> None:
    module = sys.modules.get("harness.verify.backend")
    if module is not None:
        module.close()


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """An error of ours is told in words where the test is collected, not as a traceback."""
    if "_testinfra_host" not in metafunc.fixturenames:
        return (yield)
    try:
        return (yield)
    except Exception as error:
        from harness.errors import HarnessError

        if not isinstance(error, HarnessError):
            raise
        raise pytest.Collector.CollectError(_words(error)) from error


@pytest.fixture
def container_manager(request: pytest.FixtureRequest) -> Iterator[ContainerManager]:
    """Containers for one test (docs/containers.md): whatever it starts is gone when it ends."""
    from harness.containers import ContainerManager
    from harness.errors import HarnessError

    with ContainerManager(request.config.rootpath) as manager:
        try:
            manager.check()
        except HarnessError as error:
            pytest.fail(_words(error), pytrace=False)
        yield manager


def _check(hosts: str) -> None:
    """`--hosts` names what exists: known before anything is collected."""
    from harness.errors import HarnessError
    from harness.verify.backend import HarnessBackend, registry

    for spec in hosts.split(","):
        scheme, _, rest = spec.strip().partition("://")
        if scheme == SCHEME:
            try:
                for name in HarnessBackend.get_hosts(rest.partition("?")[0].partition("/")[0]):
                    registry().connection(registry().resolve(name.rpartition("@")[2])[0])
            except HarnessError as error:
                raise pytest.UsageError(_words(error)) from error


def _words(error: Exception) -> str:
    hint = getattr(error, "hint", None)
    return f"{error}\n  hint: {hint}" if hint else str(error)
