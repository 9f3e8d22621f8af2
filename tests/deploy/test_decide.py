"""The decision is a pure function: its properties hold for every plan, strategy and state of the machine."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.deploy.become import by_user, refusals
from harness.deploy.decide import NAMES, Circumstances, Decision, decide
from harness.deploy.known import expected_facts
from harness.deploy.segments import segments_of, unhonoured
from harness.drivers.base import PlatformSpec
from harness.models.config import BinaryOnly, DeploymentStrategy, ForceSSH, Hybrid, SSHFallback
from harness.models.facts import Facts
from harness.models.runner import Payload, PayloadPlay, PayloadTask

STRATEGIES: list[DeploymentStrategy] = [BinaryOnly(), SSHFallback(), Hybrid(), ForceSSH()]
LACKING = ("the module 'cron' is not honoured",)


def task(task_id: str, lacking: tuple[str, ...] = (), **more: Any) -> PayloadTask:
    return PayloadTask(task_id=task_id, module=more.pop("module", "debug"), lacking=lacking, **more)


def payload(*plays: PayloadPlay) -> Payload:
    return Payload(plan_id="p", run_on=["n"], hosts={"n": {}}, plays=list(plays))


def known(strategy: Any, **more: Any) -> Circumstances:
    return Circumstances(strategy=strategy, target="x86_64-unknown-linux-gnu", **more)


@st.composite
def payloads(draw: st.DrawFn) -> Payload:
    plays, number = [], 0
    for _ in range(draw(st.integers(1, 3))):
        made: list[list[PayloadTask]] = []
        for kinds in (draw(st.lists(st.booleans(), min_size=1, max_size=6)), draw(st.lists(st.booleans(), max_size=4))):
            made.append([task(f"t{number + at}", LACKING if kind else ()) for at, kind in enumerate(kinds)])
            number += len(kinds)
        lacking = ("the keyword run_once is not honoured in a play",) if draw(st.booleans()) else ()
        plays.append(PayloadPlay(tasks=made[0], handlers=made[1], lacking=lacking))
    return payload(*plays)


@st.composite
def circumstances(draw: st.DrawFn) -> Circumstances:
    words = st.lists(st.just("something is missing"), max_size=1).map(tuple)
    return Circumstances(
        strategy=draw(st.sampled_from(STRATEGIES)),
        target=draw(st.sampled_from(["x86_64-unknown-linux-gnu", None])),
        toolchain=draw(words),
        ssh=draw(words),
        parts=draw(st.booleans()),
    )


@given(payloads(), circumstances())
def test_every_decision_keeps_to_its_strategy_and_gives_a_reason(slice_: Payload, state: Circumstances) -> None:
    decision = decide("n", slice_, state)
    assert decision.host == "n"
    assert decision.reasons
    assert all(decision.reasons)
    allowed = {
        "BinaryOnly": {"binary"},
        "SSHFallback": {"binary", "ssh"},
        "Hybrid": {"binary", "ssh", "hybrid"},
        "ForceSSH": {"ssh"},
    }
    assert decision.method in allowed[state.strategy.tag]
    assert decision.degraded == (state.strategy == SSHFallback() and decision.method == "ssh")
    assert bool(decision.segments) == (decision.method == "hybrid")
    assert decide("n", slice_, state) == decision


@given(payloads(), circumstances())
def test_a_binary_that_cannot_be_had_is_told(slice_: Payload, state: Circumstances) -> None:
    decision = decide("n", slice_, state)
    possible = state.target is not None and not state.toolchain
    if decision.method in ("binary", "hybrid") and not possible:
        assert decision.obstacles
    if state.strategy == SSHFallback():
        assert (decision.method == "binary") == (possible and not unhonoured(slice_))


@given(payloads())
def test_segments_keep_order_and_cover_everything_once(slice_: Payload) -> None:
    segments = segments_of(slice_)
    told = [task_id for segment in segments for task_id in (*segment.tasks, *segment.handlers)]
    assert told == [one.task_id for play in slice_.plays for one in (*play.tasks, *play.handlers)]
    assert [segment.play for segment in segments] == sorted(segment.play for segment in segments)
    lacking = unhonoured(slice_)
    for segment in segments:
        if segment.method == "binary":
            assert not lacking.keys() & {*segment.tasks, *segment.handlers}
    for one, other in pairwise(segments):
        if one.play == other.play and bool(one.tasks) == bool(other.tasks):
            assert one.method != other.method, "a stretch is as long as it can be"


def test_a_host_without_tasks() -> None:
    assert decide("n", None, known(BinaryOnly())) == Decision("n", "none", ("no task is for it",))


@pytest.mark.parametrize("module", ["meta", "ansible.builtin.include_tasks", "group_by"])
def test_what_reaches_beyond_its_task_keeps_its_play_whole(module: str) -> None:
    play = PayloadPlay(tasks=[task("a"), task("b", LACKING, module=module), task("c")], handlers=[task("h")])
    decision = decide("n", payload(PayloadPlay(tasks=[task("z")]), play), known(Hybrid()))
    assert decision.method == "hybrid"
    assert [(one.method, one.tasks, one.handlers) for one in decision.segments] == [
        ("binary", ("z",), ()),
        ("ssh", ("a", "b", "c"), ("h",)),
    ]


def test_the_reasons_name_the_tasks() -> None:
    many = payload(PayloadPlay(tasks=[task(f"t{n}", LACKING) for n in range(9)]))
    decision = decide("n", many, known(SSHFallback()))
    assert decision.method == "ssh"
    assert decision.reasons[1] == "t0: the module 'cron' is not honoured"
    assert decision.reasons[-1] == "... and 4 more"


def test_the_names_are_the_scenarios() -> None:
    from harness.scenario.file import STRATEGIES as SPELLED

    assert {NAMES[strategy.tag]: strategy for strategy in STRATEGIES} == SPELLED


def test_where_root_does_not_log_in_tasks_that_become_another_are_ansibles() -> None:
    """Ansible has sudo, a runner has not: hosts of one slice part where their users differ."""
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "root": {"become": True},
        "mine": {"become": True, "become_user": "deploy"},
    }
    more: dict[str, dict[str, Any]] = {
        "unknown": {"become": True, "become_user": "{{ who }}"},
        "app": {"become": True, "become_user": "app"},
    }
    tasks = [task(name, **more) for name, more in {**kinds, **more}.items()]
    slice_ = payload(PayloadPlay(tasks=tasks, handlers=[task("h", become=True)]))
    slice_ = slice_.model_copy(update={"run_on": ["lab", "old"]})
    facts = {"lab": Facts(os="linux", arch="x86_64", uid=1000, user="deploy"), "old": Facts(os="linux", arch="x86_64")}
    honours = registry.compiler("reference").honours()
    of_user, of_root = by_user([slice_], facts, honours)
    assert (of_user.run_on, of_root.run_on, of_root.plays) == (["lab"], ["old"], slice_.plays)
    words = "becomes {}, but the runner is started by deploy and has no sudo"
    assert unhonoured(of_user) == {
        name: words.format(whom) for name, whom in [("root", "root"), ("app", "app"), ("h", "root")]
    }
    assert decide("lab", of_user, known(Hybrid())).method == "hybrid"
    assert decide("lab", of_user, known(SSHFallback())).method == "ssh"
    assert [problem.message.split()[1] for problem in refusals(of_user, "lab", "deploy")] == ["root", "app", "h"]
    assert refusals(of_root, "old", "root") == []
    assert by_user([slice_], facts, replace(honours, sudo=True)) == [slice_]


@pytest.mark.parametrize(
    ("driver", "options", "user"),
    [
        ("docker", {}, "root"),
        ("docker", {"user": "app:staff"}, "app"),
        ("docker", {"user": "0:1000"}, "root"),
        ("docker", {"connection": "ssh", "ssh": {"user": "deploy"}}, "deploy"),
        ("native", {"connection": "ssh"}, "root"),
        ("ssh", {"user": "lab"}, "lab"),
        ("vagrant", {}, "vagrant"),
        ("vagrant", {"user": "root"}, "root"),
    ],
)
def test_a_platform_nobody_asked_has_the_user_its_scenario_names(
    driver: str, options: dict[str, Any], user: str
) -> None:
    model = registry.driver(driver).platform_options
    spec = PlatformSpec(name="n", driver=driver, options=model.model_validate(options))
    assert expected_facts(spec).user == user
