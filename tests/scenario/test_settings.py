from __future__ import annotations

from pathlib import Path

import pytest

from harness.drivers.base import PlatformSpec
from harness.drivers.docker.options import DockerOptions
from harness.scenario import load_settings
from harness.scenario.platforms import with_settings
from harness.scenario.settings import RUSTLE_VARIABLES, WITHOUT_EFFECT, Settings, variables
from tests.scenario.conftest import problems_of

SPECIFICATION = """\
[e2e_testing]
default_timeout_seconds = 301
max_parallel_tests = 5
cleanup_on_failure = false
preserve_artifacts = false

[docker]
network_name = "mine"
image_pull_policy = "Never"
cleanup_containers = false

[performance]
baseline_ssh_timeout = 601
min_improvement_factor = 5.5
max_binary_size_mb = 51

[platforms]
default_targets = [
    { arch = "x86_64", os = "linux" },
    { arch = "aarch64", os = "linux" },
]

[fixtures]
fixtures_dir = "tests/fixtures"
generate_large_scale = false
max_hosts_for_testing = 101
"""


def test_every_setting_of_the_specification(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests/e2e.toml").write_text(SPECIFICATION)
    settings = load_settings(project)
    assert settings.e2e_testing.default_timeout_seconds == 301
    assert settings.e2e_testing.max_parallel_tests == 5
    assert not settings.e2e_testing.cleanup_on_failure
    assert not settings.e2e_testing.preserve_artifacts
    assert settings.docker.network_name == "mine"
    assert settings.docker.image_pull_policy == "Never"
    assert not settings.docker.cleanup_containers
    assert settings.performance.baseline_ssh_timeout == 601
    assert settings.performance.min_improvement_factor == 5.5
    assert settings.performance.max_binary_size_mb == 51
    assert [(target.arch, target.os) for target in settings.platforms.default_targets] == [
        ("x86_64", "linux"),
        ("aarch64", "linux"),
    ]
    assert settings.fixtures.fixtures_dir == project / "tests/fixtures"
    assert not settings.fixtures.generate_large_scale
    assert settings.fixtures.max_hosts_for_testing == 101
    assert settings.origin("docker.network_name") == "tests/e2e.toml:8"
    assert settings.origin("platforms.default_targets") == "tests/e2e.toml:18"
    assert settings.origin("harness.workers") == "default"


def test_what_has_no_effect_says_so_where_it_is_set(project: Path) -> None:
    (project / "harness.toml").write_text("[docker]\nnetwork_name = 'mine'\nimage_pull_policy = 'Never'\n")
    told = {name: origin for name, _, origin in load_settings(project).rows()}
    assert told["docker.network_name"].startswith("harness.toml:2, without effect: ")
    assert told["docker.image_pull_policy"] == "harness.toml:3"
    assert told["docker.container_timeout_seconds"] == "default"
    assert sorted(WITHOUT_EFFECT) == [
        "docker.container_timeout_seconds",
        "docker.network_name",
        "e2e_testing.max_parallel_tests",
    ]


@pytest.mark.parametrize(("policy", "pull"), [("Always", "always"), ("IfNotPresent", "missing"), ("Never", "never")])
def test_images_are_pulled_as_the_platform_says_else_as_the_settings_do(policy: str, pull: str) -> None:
    settings = Settings.model_validate({"docker": {"image_pull_policy": policy}})
    silent, own = DockerOptions(), DockerOptions(pull="missing")
    specs = [PlatformSpec("a", "docker", options=silent), PlatformSpec("b", "docker", options=own)]
    first, second = with_settings(specs, settings)
    assert getattr(first.options, "pull", None) == pull
    assert second.options == own


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("RUSTLE_E2E_DOCKER_NETWORK", "net", "net"),
        ("RUSTLE_E2E_CONTAINER_TIMEOUT", "30", 30.0),
        ("RUSTLE_E2E_PRESERVE_CONTAINERS", "true", False),
        ("RUSTLE_E2E_PRESERVE_CONTAINERS", "0", True),
        ("RUSTLE_E2E_PARALLEL_TESTS", "9", 9),
        ("RUSTLE_E2E_CLEANUP_ON_FAILURE", "no", False),
        ("RUSTLE_E2E_PERFORMANCE_BASELINE", "1", True),
        ("RUSTLE_E2E_FIXTURES_DIR", "/abs", Path("/abs")),
        ("RUSTLE_E2E_GENERATE_FIXTURES", "off", False),
        ("RUSTLE_E2E_MAX_TEST_HOSTS", "7", 7),
    ],
)
def test_every_variable_of_the_specification(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    settings = load_settings(project)
    section, key = RUSTLE_VARIABLES[variable].split(".")
    assert getattr(getattr(settings, section), key) == value
    assert settings.origin(RUSTLE_VARIABLES[variable]) == f"environment {variable}"


def test_every_setting_has_a_variable_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name for name, _, _ in Settings().rows() if "." in name}
    assert set(variables().values()) == names
    assert {"HARNESS_WORKERS", "HARNESS_E2E_TESTING_MAX_PARALLEL_TESTS"} <= variables().keys()
    monkeypatch.setenv("HARNESS_PLATFORMS_DEFAULT_TARGETS", "x86_64-linux, aarch64-macos")
    targets = load_settings(project).platforms.default_targets
    assert [(target.arch, target.os) for target in targets] == [("x86_64", "linux"), ("aarch64", "macos")]


def test_the_later_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> tuple[object, str]:
        settings = load_settings(project, options)
        return settings.harness.workers, settings.origin("harness.workers")

    options: dict[str, object] = {"harness.workers": None}
    assert seen() == (None, "default")
    (project / "harness.toml").write_text("[harness]\n\nworkers = 2\n")
    assert seen() == (2, "harness.toml:3")
    monkeypatch.setenv("HARNESS_WORKERS", "3")
    assert seen() == (3, "environment HARNESS_WORKERS")
    options["harness.workers"] = 4
    assert seen() == (4, "option --workers")


def test_our_variable_is_stronger_than_the_older_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSTLE_E2E_PARALLEL_TESTS", "1")
    monkeypatch.setenv("HARNESS_E2E_TESTING_MAX_PARALLEL_TESTS", "2")
    assert load_settings(project).e2e_testing.max_parallel_tests == 2


def test_harness_toml_hides_the_older_file(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests/e2e.toml").write_text("[harness]\nworkers = 2\n")
    (project / "harness.toml").write_text("")
    assert load_settings(project).harness.workers is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[harness]\nworkrs = 2", "harness.toml:2: harness.workrs: unknown key; did you mean workers?"),
        ("[harnes]\nworkers = 2", "harness.toml:1: harnes: unknown key; did you mean harness?"),
        ("harness = 3", "harness.toml:1: harness: should be a mapping, not 3"),
        ("[harness]\nworkers = 0", "harness.toml:2: harness.workers: should be greater than or equal to 1"),
        ("[harness]\nworkers = true", "harness.toml:2: harness.workers: should be a number, not true"),
        ("[harness]\nworkers = 'x'", "harness.toml:2: harness.workers: should be a whole number, not 'x'"),
        ("[harness]\nworkers = 2.5", "harness.toml:2: harness.workers: should be a whole number, not 2.5"),
        ("[e2e_testing]\ndefault_timeout_seconds = inf", "should be a finite number"),
        ("[docker]\nimage_pull_policy = 'never'", "should be 'Always', 'IfNotPresent' or 'Never', not 'never'"),
        ("[platforms]\ndefault_targets = [{arch = 'x'}]", "platforms.default_targets[0].os: missing"),
        ("[harness]\nworkers = ", "harness.toml:2: not TOML: Invalid value"),
        ("[harness]\n[harness]", "harness.toml:2: not TOML: Cannot declare"),
        ("a = 1\na = 2", "harness.toml:2: not TOML: Cannot overwrite a value"),
        ("a = " + "[" * 5000, "harness.toml: nested too deep"),
    ],
)
def test_a_fault_names_its_line(project: Path, text: str, expected: str) -> None:
    (project / "harness.toml").write_text(text)
    (found,) = problems_of(lambda: load_settings(project))
    assert expected in found


def test_all_faults_at_once_also_those_of_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "harness.toml").write_text("[harness]\nworkers = 0\n[docker]\nnetwrk = 1\n")
    monkeypatch.setenv("RUSTLE_E2E_MAX_TEST_HOSTS", "many")
    monkeypatch.setenv("RUSTLE_E2E_PRESERVE_CONTAINERS", "perhaps")
    monkeypatch.setenv("RUSTLE_E2E_PARALEL_TESTS", "1")
    monkeypatch.setenv("HARNESS_DOCKER_NETWORK_NAM", "x")
    found = "\n".join(problems_of(lambda: load_settings(project)))
    for expected in (
        "harness.toml:2: harness.workers",
        "harness.toml:4: docker.netwrk",
        "environment RUSTLE_E2E_MAX_TEST_HOSTS: fixtures.max_hosts_for_testing: should be a whole number, not 'many'",
        "environment RUSTLE_E2E_PRESERVE_CONTAINERS: docker.cleanup_containers: should be true or false, not 'perhaps'",
        "RUSTLE_E2E_PARALEL_TESTS: there is no such setting; did you mean RUSTLE_E2E_PARALLEL_TESTS?",
        "HARNESS_DOCKER_NETWORK_NAM: there is no such setting; did you mean HARNESS_DOCKER_NETWORK_NAME?",
    ):
        assert expected in found


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\x00", b"#" * (1024 * 1024 + 1)])
def test_what_is_no_text(project: Path, data: bytes) -> None:
    (project / "harness.toml").write_bytes(data)
    assert problems_of(lambda: load_settings(project))[0].startswith("harness.toml")


def test_what_is_no_file_is_not_taken_for_nothing(project: Path) -> None:
    (project / "harness.toml").mkdir()
    assert problems_of(lambda: load_settings(project)) == ["harness.toml: Is a directory"]


def test_the_settings_of_nothing_are_the_defaults(project: Path) -> None:
    assert load_settings(project).rows() == Settings().rows()
