from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.compile.reference import ReferenceOptions
from harness.errors import UsageError
from harness.models.config import BinaryOnly, Hybrid
from harness.models.scenario import SecretSource
from harness.scenario import Overrides, load_scenario, load_settings
from tests.scenario.conftest import MINIMAL, Load, problems_of

FULL = """\
driver:
  name: fake
platforms:
  - name: web1
    image: debian-12
    os: linux
    arch: amd64
    groups: [web, all]
  - {name: db1, groups: [db], faults: {create: slow}}
provisioner:
  name: binary
  plan: {path: ../shared.json, validate: false}
  strategy: hybrid
  compiler: {name: reference, profile: debug}
  inventory:
    host_vars: {web1: {port: 80}}
    hosts_vars: {db1: {port: 5432}}
    group_vars: {web: {role: web}}
    hosts:
      backend:
        hosts: {db1: {weak: 1, port: 1}}
        vars: {tier: back}
        children: {reserve: {hosts: {web1: }}}
  secrets:
    TOKEN: {env: THE_TOKEN}
    KEY: {file: key.txt}
  env: {A: 1, B: true, C: text}
  tags: one, two
  skip_tags: [three]
  side_effect: again.sh
verifier:
  name: testinfra
  directory: checks
  expected: outcomes.json
  derive_from_plan: false
  options: {v: true}
  additional_files_or_dirs: ["../../extra/test_*.py"]
scenario:
  name: web
  category: error
  timeout_seconds: 12.5
  test_sequence: [destroy, create, converge, verify, side_effect, verify, destroy]
performance: {max_binary_size_mb: 5}
expect: {stage: run, error: "exit(ed)? 1"}
collect: [/var/log/*.log]
prerun: false
log: true
"""


@pytest.fixture
def full(load: Load, project: Path) -> Load:
    folder = project / "molecule" / "web"
    (folder / "checks").mkdir(parents=True)
    (project / "molecule" / "extra").mkdir()
    for name in ("again.sh", "prepare.json", "cleanup.sh", "../shared.json", "../extra/test_a.py"):
        (folder / name).write_text("{}")
    (folder / "outcomes.json").write_text('[{"host": "web1", "tasks": [{"task_id": "t"}]}]')
    return lambda: load(FULL)


def test_every_key_arrives(full: Load, project: Path) -> None:
    scenario = full()
    folder = project / "molecule" / "web"
    web, db = scenario.platforms
    assert (web.name, web.driver, web.image, web.os, web.arch) == ("web1", "fake", "debian-12", "linux", "x86_64")
    assert web.groups == ("web", "backend", "reserve")
    assert db.groups == ("db", "backend")
    assert "create" in db.options.faults  # type: ignore[union-attr]
    assert scenario.groups() == {
        "all": ["web1", "db1"],
        "web": ["web1"],
        "backend": ["web1", "db1"],
        "reserve": ["web1"],
        "db": ["db1"],
    }

    provisioner = scenario.provisioner
    assert provisioner.plan == folder / "../shared.json"
    assert not provisioner.validate_plan
    assert provisioner.strategy == Hybrid()
    assert (provisioner.compiler.name, provisioner.compiler.options) == ("reference", ReferenceOptions(profile="debug"))
    assert provisioner.inventory.hosts_vars == {"web1": {"port": 80}, "db1": {"weak": 1, "port": 5432}}
    assert provisioner.inventory.group_vars == {"web": {"role": "web"}, "backend": {"tier": "back"}}
    assert provisioner.secrets == {"TOKEN": SecretSource(env="THE_TOKEN"), "KEY": SecretSource(file=folder / "key.txt")}
    assert provisioner.env == {"A": "1", "B": "true", "C": "text"}
    assert (provisioner.tags, provisioner.skip_tags) == (("one", "two"), ("three",))
    assert provisioner.prepare == folder / "prepare.json"
    assert provisioner.side_effect == folder / "again.sh"
    assert provisioner.cleanup == folder / "cleanup.sh"

    verifier = scenario.verifier
    assert (verifier.name, verifier.directory) == ("testinfra", folder / "checks")
    assert [outcome.host for outcome in verifier.expected_outcomes] == ["web1"]
    assert verifier.additional_files_or_dirs == (folder / "checks/../../extra/test_a.py",)
    assert not verifier.derive_from_plan

    assert scenario.sequences["test"] == ("destroy", "create", "converge", "verify", "side_effect", "verify", "destroy")
    assert scenario.sequences["converge"] == ("dependency", "create", "prepare", "converge")
    assert (scenario.category, scenario.timeout_seconds) == ("error", 12.5)
    assert scenario.performance is not None and scenario.performance.max_binary_size_mb == 5
    assert scenario.expect is not None and (scenario.expect.stage, scenario.expect.error) == ("run", "exit(ed)? 1")
    assert scenario.collect == ("/var/log/*.log",)
    assert not scenario.warnings


def test_what_is_not_said_has_our_defaults_with_binary(load: Load, project: Path) -> None:
    scenario = load(
        MINIMAL.replace("driver: {name: fake}\n", "").replace("- name: node1", "- {name: node1, driver: fake}")
    )
    assert scenario.driver == "native"
    assert scenario.verifier.name == "testinfra"
    assert scenario.verifier.directory == project / "molecule/web/tests"
    assert scenario.verifier.derive_from_plan
    assert scenario.provisioner.plan == project / "molecule/web/plan.json"
    assert scenario.provisioner.strategy in (None, BinaryOnly())
    assert scenario.sequences["test"][0:5] == ("dependency", "cleanup", "destroy", "syntax", "create")
    assert scenario.timeout_seconds == 300


@pytest.mark.parametrize("provisioner", ["", "provisioner: {name: ansible, config_options: {defaults: {x: 1}}}\n"])
def test_and_molecules_with_ansible_or_none(load: Load, provisioner: str) -> None:
    scenario = load(provisioner + "platforms: [{name: web_1, privileged: true, image: x, groups: [a]}]\n")
    assert (scenario.driver, scenario.verifier.name, scenario.provisioner.name) == ("default", "ansible", "ansible")
    assert scenario.platforms[0].groups == ("a",)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        ("name: node1", 3, "platforms[0].imge: unknown key; did you mean image?"),
        ("driver:", 1, "drver: unknown key; did you mean driver?"),
        ("provisioner: {name: binary", 4, "provisioner.startegy: unknown key; did you mean strategy?"),
        ("{name: fake", 1, "driver.optoins: unknown key"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_known_one(load: Load, change: str, line: int, words: str) -> None:
    key = words.partition(":")[0].rpartition(".")[2]
    replaced = {
        "name: node1": "{name: node1, imge: x}",
        "driver:": "drver: {}\ndriver:",
        "provisioner: {name: binary": "provisioner: {startegy: hybrid, name: binary",
        "{name: fake": "{optoins: 1, name: fake",
    }[change]
    found = problems_of(lambda: load(MINIMAL.replace(change, replaced)))
    assert key in MINIMAL.replace(change, replaced)
    assert found == [problem for problem in found if problem.startswith("molecule/web/molecule.yml:")]
    assert f"molecule/web/molecule.yml:{line}: {words}" in found[0]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("verifier: {direcotry: x}", "verifier.direcotry: unknown key; did you mean directory?"),
        ("scenario: {test_sequnce: [create]}", "scenario.test_sequnce: unknown key; did you mean test_sequence?"),
        ("scenario: {test_sequence: [craete]}", "there is no step 'craete'; did you mean create?"),
        ("scenario: {test_sequence: [test]}", "there is no step 'test'"),
        ("scenario: {test_sequence: [create now]}", "the step create takes no arguments"),
        ("scenario: {test_sequence: [verify other.py]}", "works with provisioner ansible only"),
        ("scenario: {test_sequence: []}", "should have at least 1 item"),
        ("scenario: {timeout_seconds: 0}", "should be greater than 0"),
        ("scenario: {timeout_seconds: true}", "should be a number, not true"),
        ("scenario: {category: basci}", "did you mean basic?"),
        ("verifier: {name: ansible}", "is verified by testinfra"),
        ("verifier: {name: goss}", "should be 'testinfra' or 'ansible', not 'goss'"),
        ("verifier: {directory: nowhere}", "there is no folder"),
        ("verifier: {expected: nowhere.json}", "there is no file"),
        ("verifier: {additional_files_or_dirs: ['x*']}", "nothing matches 'x*'"),
        ("expect: {stage: run}", "expect.error: missing; it is required"),
        ("expect: {stage: run, error: '('}", "expect.error: not a regular expression"),
        ("expect: {stage: rum, error: x}", "did you mean run?"),
        ("collect: [etc/motd]", "should be an absolute path"),
        ("performance: {max_binary_size: 3}", "did you mean max_binary_size_mb?"),
        ("collect: 3\nperformance: []", "collect: should be a list, not 3"),
    ],
)
def test_what_is_wrong_beside_the_platforms(load: Load, extra: str, words: str) -> None:
    found = problems_of(lambda: load(MINIMAL + extra))
    assert words in "\n".join(found)
    assert found[0].startswith("molecule/web/molecule.yml:5")


@pytest.mark.parametrize(
    ("provisioner", "words"),
    [
        ("name: binry", "should be binary or ansible, not 'binry'; did you mean binary?"),
        ("name: binary, strategy: fast", "should be one of binary-only, ssh-fallback, hybrid, force-ssh, not 'fast'"),
        ("name: binary, strategy: {a: 1}", "should be one of binary-only"),
        ("name: binary, compiler: rustle", "there is no compiler 'rustle'; known here:"),
        ("name: binary, compiler: {name: reference, profil: debug}", "unknown key; did you mean profile?"),
        ("name: binary, compiler: {name: reference, profile: fast}", "should be 'release' or 'debug', not 'fast'"),
        ("name: binary, plan: nowhere.json", "there is no file molecule/web/nowhere.json"),
        ("name: binary, plan: {path: plan.json, validat: no}", "did you mean validate?"),
        ("name: binary, secrets: {A: {}}", "exactly one of env and file"),
        ("name: binary, secrets: {A: {env: X, file: Y}}", "exactly one of env and file"),
        ("name: binary, prepare: x.yml", "should be a plan (.json) or a shell script (.sh)"),
        ("name: binary, prepare: x.sh", "there is no file molecule/web/x.sh"),
        ("name: binary, inventory: {host_vars: {nod1: {}}}", "no platform is named 'nod1'; did you mean node1?"),
        ("name: binary, inventory: {hosts: {g: {host: {}}}}", "unknown key; did you mean hosts?"),
        ("name: binary, inventory: {hosts: {g: {hosts: [node1]}}}", "should be a mapping, not a list"),
        ("name: binary, env: {A=B: x}", "provisioner.env"),
        ("name: binary, env: {A: [x]}", "should be text, not a list"),
        ("name: binary, playbooks: {}", "provisioner.playbooks: unknown key"),
    ],
)
def test_what_is_wrong_in_the_provisioner(load: Load, provisioner: str, words: str) -> None:
    found = problems_of(lambda: load(MINIMAL.replace("name: binary", provisioner)))
    assert len(found) == 1
    assert words in found[0]
    assert found[0].startswith("molecule/web/molecule.yml:4: provisioner")


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        ("[]", "should have at least 1 item"),
        ("{}", "should be a list, not a mapping"),
        ("[{}]", "platforms[0].name: missing"),
        ("[node1]", "should be a mapping, not 'node1'"),
        ("[{name: ''}]", "platforms[0].name"),
        ("[{name: a b}]", "is no host name"),
        ("[{name: -a}]", "is no host name"),
        ("[{name: ../../etc}]", "is no host name"),
        ("[{name: a..b}]", "is no host name"),
        ("[{name: " + "a" * 64 + "}]", "has 64 characters"),
        ("[{name: all}]", "a group that always exists"),
        ("[{name: 7}]", "should be text, not 7"),
        ("[{name: a}, {name: A}]", "platforms[1].name: platforms[0] has this name, too"),
        ("[{name: a, groups: web}]", "should be a list, not 'web'"),
        ("[{name: a, groups: [1]}]", "groups[0]: should be text, not 1"),
        ("[{name: a, groups: [a b]}]", "groups[0]: 'a b' is no group name"),
        ("[{name: a, driver: dokcer}]", "platforms[0].driver: there is no driver named 'dokcer'"),
        ("[{name: a, driver: docker}]", "platforms[0].image: a container needs an image"),
        ("[{name: a, driver: libvirt}]", "platforms[0].image: a virtual machine needs an image"),
        ("[{name: a, driver: vagrant}]", "platforms[0].box: a machine needs a box"),
        ("[{name: a, driver: native, init: systemd}]", "platforms[0].init: `init: systemd` needs an image"),
        ("[{name: a, os: lunix}]", "should be one of linux, macos, windows"),
        ("[{name: a, arch: x87}]", "should be one of x86_64, aarch64"),
        ("[{name: a, faults: {creat: fail}}]", "platforms[0].faults.creat"),
    ],
)
def test_what_is_wrong_in_a_platform(load: Load, platforms: str, words: str) -> None:
    text = MINIMAL.replace("\n  - name: node1", f" {platforms}")
    found = problems_of(lambda: load(text))
    assert len(found) == 1
    assert words in found[0]
    assert found[0].startswith("molecule/web/molecule.yml:2: platforms")


def test_all_problems_come_at_once_and_in_order(load: Load) -> None:
    found = problems_of(
        lambda: load(
            "driver: {name: nodriver}\n"
            "platforms:\n"
            "  - {name: a b}\n"
            "  - {nme: x}\n"
            "provisioner: {name: binary, strtegy: x, compiler: nope, plan: none.json}\n"
            "verifier: {expected: 3}\n"
            "scenario: {test_sequence: [x]}\n"
            "what: 1\n"
            "what: 2\n"
            "collect: [$5]\n"
        )
    )
    lines = [int(problem.split(":")[1]) for problem in found]
    assert lines == sorted(lines)
    assert set(lines) == {1, 3, 4, 5, 6, 7, 8, 9, 10}


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"\x00" * 100, b"- a\n- b\n", b"just words", b"{" * 9999])
def test_what_is_no_scenario_at_all(load: Load, text: bytes) -> None:
    assert problems_of(lambda: load(text))[0].startswith("molecule/web/molecule.yml")


def test_an_empty_file_is_molecules_defaults(load: Load) -> None:
    """All of it may stand in a base configuration."""
    for text in ("", "---\n", "# only words\n"):
        assert load(text).driver == "default"


def test_a_file_that_is_too_large(load: Load) -> None:
    assert "larger than" in problems_of(lambda: load(b"#" * (1024 * 1024 + 1)))[0]


def test_a_fault_of_the_outcomes_is_one_of_the_scenario(load: Load, project: Path) -> None:
    (project / "molecule/web").mkdir(parents=True)
    (project / "molecule/web/expected.json").write_text('[{"tasks": []}]')
    assert any("host: missing" in problem for problem in problems_of(lambda: load(MINIMAL)))


def test_two_files_for_one_stage(load: Load, project: Path) -> None:
    (project / "molecule/web").mkdir(parents=True)
    for suffix in ("json", "sh"):
        (project / f"molecule/web/prepare.{suffix}").write_text("")
    assert "both prepare.json and prepare.sh are there" in problems_of(lambda: load(MINIMAL))[0]


# --- layers and variables ---


def test_variables_of_environment_and_file(load: Load, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM", "from-environment")
    text = MINIMAL.replace("node1", "${PLATFORM:-none}")
    assert load(text).platforms[0].name == "from-environment"
    (project / ".env.yml").write_text("PLATFORM: from-file\n")
    assert load(text).platforms[0].name == "from-file"
    (project / "other.yml").write_text("PLATFORM: from-other\nNUMBER: 3\nFLAG: true\nNONE:\n")
    assert load(text, Overrides(env_file=project / "other.yml")).platforms[0].name == "from-other"


def test_molecules_own_variables(load: Load, project: Path) -> None:
    scenario = load(
        MINIMAL.replace(
            "name: binary",
            "name: binary, env: {A: '$MOLECULE_SCENARIO_NAME', B: '$MOLECULE_PROJECT_DIRECTORY',"
            " C: '$MOLECULE_SCENARIO_DIRECTORY', D: '$MOLECULE_DRIVER_NAME $MOLECULE_VERIFIER_NAME'}",
        )
    )
    folder = project / "molecule" / "web"
    assert scenario.provisioner.env == {"A": "web", "B": str(project), "C": str(folder), "D": "fake testinfra"}
    assert not scenario.warnings


def test_a_variable_that_is_not_set_is_worth_a_word(load: Load) -> None:
    (warning,) = load(MINIMAL + "collect: [/a$NOT_SET]\n").warnings
    assert warning.where == "molecule/web/molecule.yml:5"
    assert "NOT_SET is not set" in warning.message


def test_and_more_so_where_the_line_is_wrong(load: Load) -> None:
    found = problems_of(lambda: load(MINIMAL.replace("{name: fake}", "{name: $NOT_SET}")))
    assert [problem.partition(": ")[2] for problem in found] == [
        "driver.name: should be text, not nothing",
        "NOT_SET is not set; nothing stands in its place",
    ]


def test_a_required_variable(load: Load) -> None:
    found = problems_of(lambda: load(MINIMAL + "lint: ${TOKEN:?is needed to log in}\n"))
    assert found == ["molecule/web/molecule.yml:5: TOKEN: is needed to log in"]


@pytest.mark.skipif(os.name == "nt", reason="the environment is text there")
def test_a_variable_that_is_no_text(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", b"\xff".decode(errors="surrogateescape"))
    found = problems_of(lambda: load(MINIMAL + "lint: $BROKEN\n"))
    assert found == ["molecule/web/molecule.yml:5: a variable's value is not UTF-8 text"]


def test_base_configurations_lie_under_the_file(load: Load, project: Path) -> None:
    (project / ".config/molecule").mkdir(parents=True)
    (project / ".config/molecule/config.yml").write_text(
        "driver: {name: native}\nscenario: {timeout_seconds: 7, category: error}\ncollect: [/base]\n"
    )
    scenario = load(MINIMAL + "scenario: {category: basic}\n")
    assert (scenario.driver, scenario.timeout_seconds, scenario.category) == ("fake", 7, "basic")
    assert scenario.collect == ("/base",)

    (project / "one.yml").write_text("scenario: {timeout_seconds: 1}\ncollect: [/one]\n")
    (project / "two.yml").write_text("collect: [/two]\n")
    layered = load(MINIMAL, Overrides(base_configs=(Path("one.yml"), Path("two.yml"))))
    assert (layered.timeout_seconds, layered.collect, layered.category) == (1, ("/two",), None)


def test_the_home_folder_has_the_last_base_configuration(load: Load, project: Path) -> None:
    folder = Path.home() / ".config" / "molecule"
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text("collect: [/home]\n")
    assert load(MINIMAL).collect == ("/home",)


def test_a_fault_in_a_base_configuration_is_placed_there(load: Load, project: Path) -> None:
    (project / "base.yml").write_text("\nscenarios: {}\n")
    (project / "broken.yml").write_text("a: [\n")
    found = problems_of(lambda: load(MINIMAL, Overrides(base_configs=(Path("base.yml"),))))
    assert found == ["base.yml:2: scenarios: unknown key; did you mean scenario?"]
    several = (Path("broken.yml"), Path("missing.yml"))
    found = problems_of(lambda: load(MINIMAL + "lint: $5", Overrides(base_configs=several)))
    assert [problem.split(":")[0] for problem in found] == ["broken.yml", "missing.yml", "molecule/web/molecule.yml"]


@pytest.mark.parametrize("text", ["- a\n", "A: [1]\n", "A: {b: 1}\n", "A: [\n", "A: 1\nA: 2\n"])
def test_a_broken_env_file(load: Load, project: Path, text: str) -> None:
    (project / ".env.yml").write_text(text)
    assert problems_of(lambda: load(MINIMAL))[0].startswith(".env.yml:")


def test_an_empty_env_file_says_nothing(load: Load, project: Path) -> None:
    (project / ".env.yml").write_text("# nothing\n")
    assert load(MINIMAL).name == "web"


def test_the_command_line_names_another_driver(load: Load) -> None:
    text = MINIMAL.replace("driver: {name: fake}", "driver: {name: native}")
    assert load(text, Overrides(driver="fake")).platforms[0].driver == "fake"
    found = problems_of(lambda: load(text, Overrides(driver="nope")))
    assert "there is no driver named 'nope'" in found[0]


def test_keys_of_the_driver_are_defaults_for_its_platforms(load: Load) -> None:
    scenario = load(
        MINIMAL.replace("{name: fake}", "{name: fake, faults: {create: fail}}").replace(
            "- name: node1", "- name: node1\n  - {name: node2, faults: {}}"
        )
    )
    first, second = scenario.platforms
    assert "create" in first.options.faults  # type: ignore[union-attr]
    assert not second.options.faults  # type: ignore[union-attr]
    found = problems_of(lambda: load(MINIMAL.replace("{name: fake}", "{name: fake, faults: {creat: fail}}")))
    assert len(found) == 1
    assert found[0].startswith("molecule/web/molecule.yml:1: driver.faults.creat")


def test_a_name_that_is_not_the_folders_is_worth_a_word(load: Load) -> None:
    scenario = load(MINIMAL + "scenario: {name: other}\n")
    assert scenario.name == "web"
    assert "named after its folder" in scenario.warnings[0].message


def test_limits_of_the_settings_where_the_scenario_names_none(load: Load, project: Path) -> None:
    (project / "harness.toml").write_text(
        "[performance]\nmax_binary_size_mb = 9\nmin_improvement_factor = 5.0\n"
        "[e2e_testing]\ndefault_timeout_seconds = 8\n"
    )
    scenario = load(MINIMAL + "performance: {max_binary_size_mb: 3}\n")
    assert scenario.performance is not None
    assert scenario.performance.max_binary_size_mb == 3
    assert scenario.performance.min_improvement_factor == 5
    assert scenario.timeout_seconds == 8


def test_a_scenario_that_is_not_there(load: Load, project: Path) -> None:
    load(MINIMAL)
    with pytest.raises(UsageError, match="there is no scenario 'wbe'") as caught:
        load_scenario(project, "wbe", settings=load_settings(project))
    assert caught.value.hint == "did you mean web?"


def test_windows_line_ends_and_a_byte_order_mark(load: Load) -> None:
    text = b"\xef\xbb\xbf" + MINIMAL.replace("name: node1", "{name: node1, imge: x}").replace("\n", "\r\n").encode()
    assert problems_of(lambda: load(text))[0].startswith("molecule/web/molecule.yml:3: platforms[0].imge")
