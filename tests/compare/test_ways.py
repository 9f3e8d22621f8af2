"""What can be compared, and what is refused before anything is made, all of it at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.projects import Project, existing, task


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["a comparison takes two sides at least"]),
        (("--compilers", "reference"), ["a comparison takes two sides at least"]),
        (("--compilers", "referense,nonesuch"), ["did you mean reference?", "there is no compiler 'nonesuch'"]),
        (("--strategies", "binary-only,forse-ssh"), ["did you mean force-ssh?"]),
        (("--sides", "a,b"), ["there is no side in the scenario 'a'"]),
        (("--sides", "a", "--compilers", "reference"), ["--compilers and --sides exclude one another"]),
        (("--compilers", "reference,reference", "--output", "x.txt"), ["what kind of report"]),
        (("--compilers", "reference,reference", "--checks", "full"), ["--checks has no place here"]),
        (("--fixture", "nonesuch", "--compilers", "reference,reference"), ["nonesuch"]),
    ],
)
def test_the_command_line(project: Project, fake_folder: Any, arguments: tuple[str, ...], words: list[str]) -> None:
    project.scenario()
    done = project.run("compare", *arguments)
    assert done.code == 2
    assert [one for one in words if one not in done.text] == []
    assert existing(fake_folder) == []


def test_every_side_s_problems_are_told_at_once(project: Project) -> None:
    project.scenario(
        platforms=[{"name": "node1"}, {"name": "lab", "driver": "ssh", "address": "192.0.2.1"}],
        tasks=[{**task("t", "true"), "module": "blockinfile", "args": {"path": "/x", "block": "y"}}],
    )
    done = project.run("compare", "--compilers", "reference,reference")
    assert done.code == 2
    for words in ("platform lab: the driver ssh cannot make it anew", "reference #1: plan.json:", "reference #2: plan"):
        assert words in done.text
    assert project.instances() == []


def test_ansible_s_own_scenarios_have_no_plan(project: Project) -> None:
    folder = project.folder / "molecule" / "default"
    folder.mkdir(parents=True)
    (folder / "molecule.yml").write_text("driver: {name: fake}\nplatforms: [{name: a}]\nprovisioner: {name: ansible}\n")
    done = project.run("compare", "--compilers", "reference,reference")
    assert done.code == 2
    assert "has no plan to compile" in done.text


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"allow": [{"task": "a"}]}, "compare.allow[0].reason: missing; it is required"),
        ({"allow": [{"task": "a", "reason": " "}]}, "compare.allow[0].reason"),
        ({"allow": [{"reason": "x"}]}, "it would allow everything"),
        ({"allow": [{"task": "a", "path": "/x", "reason": "x"}]}, "task and path exclude one another"),
        ({"allow": [{"tusk": "a", "reason": "x"}]}, "unknown key; did you mean task?"),
        ({"allow": [{"task": "a", "side": "referense", "reason": "x"}]}, "did you mean reference?"),
        ({"allow": {"task": "a"}}, "should be a list"),
        ({"sides": {"a": {}}}, "a side is another compiler, another strategy, or both"),
        ({"sides": {"a": {"compiler": "nonesuch"}}}, "there is no compiler 'nonesuch'"),
        ({"sides": {"a": {"strategy": "fast"}}}, "should be one of binary-only"),
        ({"sides": {"a": {"compiler": {"name": "reference", "profle": "debug"}}}}, "compare.sides.a.compiler.profle"),
    ],
)
def test_what_a_scenario_says_wrongly_is_told_by_its_place(
    project: Project, section: dict[str, Any], words: str
) -> None:
    project.scenario(compare=section)
    done = project.run("compare", "--compilers", "reference,reference")
    assert done.code == 2
    assert words in done.text
    assert "molecule/default/molecule.yml:" in done.text


def test_ports_may_be_numbers(project: Project) -> None:
    from harness.scenario import load_scenario, load_settings

    project.scenario(compare={"allow": [{"port": 8080, "reason": "x"}], "sides": {"a": {"compiler": "reference"}}})
    settings = load_settings(project.folder)
    scenario = load_scenario(project.folder, "default", settings=settings)
    [allowed] = scenario.compare.allow
    assert (allowed.kind, allowed.name, allowed.reason) == ("port", "8080", "x")
    assert scenario.compare.sides["a"].compiler is not None
