"""docs/molecule.md names every key that the models know, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.drivers.docker.options import DockerOptions
from harness.scenario import molecule_file as molecule
from harness.scenario.file import PlatformSection, ScenarioSection
from harness.scenario.molecule_platforms import PODMANS_NETWORK, REFUSED

PAGE = Path(__file__).parents[2] / "docs" / "molecule.md"
STATUS = ("yes", "differs", "refused", "warned", "ignored", "ours")


def names(model: type[BaseModel], prefix: str = "") -> set[str]:
    return {f"{prefix}{field.alias or name}" for name, field in model.model_fields.items()}


OURS = names(DockerOptions) | names(PlatformSection) | names(molecule.MoleculePlatform) | {*REFUSED, *PODMANS_NETWORK}
PLATFORM = {
    "name",
    "image",
    "groups",
    "children",
    "pre_build_image",
    "dockerfile",
    "buildargs",
    "cache_from",
    "pull",
    "platform",
    "registry",
    "command",
    "command_handling",
    "override_command",
    "tty",
    "hostname",
    "user",
    "env",
    "labels",
    "privileged",
    "capabilities",
    "security_opts",
    "devices",
    "sysctls",
    "ulimits",
    "cgroupns_mode",
    "cgroup_parent",
    "pid_mode",
    "runtime",
    "memory",
    "memory_swap",
    "shm_size",
    "volumes",
    "mounts",
    "keep_volumes",
    "tmpfs",
    "exposed_ports",
    "published_ports",
    "dns_servers",
    "etc_hosts",
    "network_mode",
    "networks",
    "docker_networks",
    "links",
    "purge_networks",
    "restart_policy",
    "restart_retries",
    "stop_signal",
    "kill_signal",
    "docker_host",
    "cacert_path",
    "cert_path",
    "key_path",
    "tls_verify",
    "force",
    "force_kill",
    "networks_cli_compatible",
    "container_default_behavior",
} | {*REFUSED, *PODMANS_NETWORK}
"""Those of molecule_plugins/docker/playbooks/create.yml, and what is refused of podman's."""

KEYS = {
    "Top level": names(molecule.AnsibleFile),
    "dependency": names(molecule.DependencySection),
    "driver": (names(molecule.MoleculeDriver) - {"options"}) | names(molecule.DriverOptions, "options."),
    "platforms": PLATFORM,
    "provisioner": (names(molecule.AnsibleProvisioner) - {"inventory"})
    | names(molecule.MoleculeInventory, "inventory."),
    "ansible": (names(molecule.AnsibleSection) - {"executor"})
    | {"executor.backend"}
    | names(molecule.ExecutorArguments, "executor.args."),
    "verifier": names(molecule.MoleculeVerifier),
    "scenario": names(ScenarioSection),
}


def rows(section: str) -> dict[str, str]:
    """Key to what is said of it."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n### {section}\n")[2]
    assert text, f"the page has no section {section}"
    body = re.split(r"\n##", text)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (\w+) \|", body, re.MULTILINE))


@pytest.mark.parametrize("section", KEYS)
def test_every_key_and_no_other(section: str) -> None:
    assert set(rows(section)) == KEYS[section]
    assert set(rows(section).values()) <= set(STATUS)


def test_what_is_honoured_is_known() -> None:
    assert set(rows("platforms")) <= OURS


def test_what_is_refused_is_said_to_be() -> None:
    said = rows("platforms")
    assert {key for key in REFUSED if said[key] != "refused"} == set()
