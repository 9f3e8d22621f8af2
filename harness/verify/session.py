"""A verify child: pytest with the job's checks beside the user's tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from harness.connections.base import Connection
from harness.errors import HarnessError, TransportFailed
from harness.models.verification import VerifyJob
from harness.secrets import Mask
from harness.verify import JOB
from harness.verify.ansible import SCHEMES, AnsibleSide
from harness.verify.ansible import install as answer_for_testinfra
from harness.verify.backend import HarnessBackend
from harness.verify.checks import Check
from harness.verify.hosts import Address, Hosts, NobodyLeft
from harness.verify.items import CheckItem
from harness.verify.looks import Looks
from harness.verify.plan_checks import checks_of, unique_ids
from harness.verify.records import PROPERTY, RECORDS, Recorder


def install(config: pytest.Config, path: str) -> None:
    """Read the job and register what runs it. Raises pytest.UsageError when it cannot be read."""
    try:
        job = VerifyJob.model_validate_json(Path(path).read_bytes())
        checks = checks_of(job)
    except (OSError, ValueError, HarnessError) as error:
        raise pytest.UsageError(f"the verify job {path}: {error}") from error
    hosts = Hosts(job)
    HarnessBackend.hosts = hosts
    HarnessBackend.side = side = AnsibleSide(job, hosts)
    answer_for_testinfra(side)
    config.pluginmanager.register(Session(job, hosts, checks, side), "harness-verify")
    if not hasattr(config, "workerinput"):  # xdist's workers report to the process that writes
        config.pluginmanager.register(Recorder(Path(path).parent / RECORDS, Mask(job.secrets)), "harness-recorder")


class Session:
    def __init__(self, job: VerifyJob, hosts: Hosts, checks: list[Check], side: AnsibleSide) -> None:
        self._side = side
        self._job = job
        self._hosts = hosts
        self._checks = checks
        self._looks = Looks(checks, self._connect)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """The checks come first: what the run left is looked at before any test could change it."""
        ids = unique_ids(self._checks)
        items[:0] = [
            CheckItem.make(session, check, self._looks, node_id)
            for check, node_id in zip(self._checks, ids, strict=True)
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # Where no test used hypothesis its plugin has nothing to tell, but would import all of it to find out:
        # that takes longer than everything else here.
        if "hypothesis" not in sys.modules and session.config.pluginmanager.has_plugin("hypothesispytest"):
            session.config.pluginmanager.unregister(name="hypothesispytest")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._looks.begin(item.check.host for item in session.items if isinstance(item, CheckItem))
        # xdist's workers have read it by now; a pytest that a test starts is none of ours.
        os.environ.pop(JOB, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """A host that could not be reached says nothing about what it was asked: an error, and no failed test."""
        if call.excinfo is not None and isinstance(call.excinfo.value, TransportFailed):
            item.user_properties.append((f"{PROPERTY}unreachable", str(call.excinfo.value)))

    @pytest.hookimpl(wrapper=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> Generator[None, None, None]:
        """testinfra asks for paramiko hosts by default; here a test is for every platform of the scenario, and
        `testinfra_hosts` may hold plain names of platforms and groups."""
        if "_testinfra_host" not in metafunc.fixturenames:
            return (yield)
        option = metafunc.config.option
        given = (
            option.hosts.split(",") if option.hosts is not None else getattr(metafunc.module, "testinfra_hosts", None)
        )
        try:
            specs, left_out = self._specs(_names(given))
        except HarnessError as error:
            hint = f"\n  hint: {error.hint}" if error.hint else ""
            raise pytest.Collector.CollectError(f"{error.message}{hint}") from error
        before, names = option.hosts, metafunc.fixturenames
        if not specs:
            reason = f"not part of this run: {', '.join(left_out)}" if left_out else "there are no hosts"
            skipped = pytest.param(None, marks=pytest.mark.skip(reason=reason), id="-".join(left_out) or "no-host")
            metafunc.parametrize("_testinfra_host", [skipped], scope="module", indirect=True)
            metafunc.fixturenames = [name for name in names if name != "_testinfra_host"]
        option.hosts = ",".join(specs)
        try:
            return (yield)
        finally:
            option.hosts, metafunc.fixturenames = before, names

    def _specs(self, given: list[str]) -> tuple[list[str], list[str]]:
        """Host specs with a scheme, and the names that this run leaves out."""
        specs: list[str] = []
        left_out: list[str] = []
        for name in given:
            if (own := self._as_ours(name)) is not None:
                specs += own
                left_out += [] if own else [name]
                continue
            if "://" in name and not name.startswith("harness://"):
                specs.append(name)
                continue
            plain, question, query = name.removeprefix("harness://").partition("?")
            user, at, spec = plain.rpartition("@")
            try:
                found = self._hosts.resolve(spec)
            except NobodyLeft:
                left_out.append(spec)
                continue
            specs += [f"harness://{user}{at}{address}{question}{query}" for address in found]
        return list(dict.fromkeys(specs)), left_out

    def _as_ours(self, spec: str) -> list[str] | None:
        """`ansible://web?sudo=true` and `docker://web1` on our own connections; None where they mean something else."""
        scheme, separator, rest = spec.partition("://")
        if not separator or scheme not in SCHEMES:
            return None
        place, _, query = rest.partition("?")
        options = dict(parse_qsl(query))
        name = place.rpartition("@")[2] or "all"
        if scheme == "ansible" and not self._side.owns(options.pop("ansible_inventory", None)):
            return None
        found = self._side.names(name) if scheme == "ansible" else [n for n in self._side.names("*") if n == name]
        if scheme != "ansible" and not found:
            return None
        kept = urlencode({key: value for key, value in options.items() if key in ("sudo", "sudo_user", "timeout")})
        return [f"harness://{Address(host, self._job.scenario)}{'?' if kept else ''}{kept}" for host in found]

    def _connect(self, platform: str) -> Connection:
        return self._hosts.connection(Address(platform, self._job.scenario))


def _names(given: str | Iterable[str] | None) -> list[str]:
    """`testinfra_hosts` as it stands in a module; one name alone is meant as a list of it."""
    if given is None:
        return ["all"]
    return [given] if isinstance(given, str) else [str(name) for name in given]
