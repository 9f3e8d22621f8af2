"""The ephemeral folder, as Molecule lays it out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.ansible.ephemeral import config_of, read_instance_config, tree, with_ephemeral, write_ephemeral
from harness.ansible.inventory import Variables, inventory, ssh_arguments
from harness.ansible.job import AnsibleFailed, AnsibleHost
from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.errors import HarnessError
from harness.models.endpoint import DaemonAddress, Docker, Ssh
from harness.models.scenario import AnsibleSettings, Inventory, Provisioner, Scenario, Verifier

PLATFORMS = (PlatformSpec("a", "docker", groups=("web", "front")), PlatformSpec("b", "docker"))
REACHED: dict[str, Variables] = {"a": {"ansible_connection": "harness"}, "b": {"ansible_connection": "harness"}}


def scenario(folder: Path, settings: AnsibleSettings, inventory: Inventory | None = None) -> Scenario:
    return Scenario(
        ref=ScenarioRef(folder, "default", folder),
        driver="docker",
        platforms=PLATFORMS,
        provisioner=Provisioner(
            name="ansible",
            ansible=replace(settings, ephemeral=folder / "ephemeral"),
            inventory=inventory or Inventory(),
        ),
        verifier=Verifier(name="ansible", directory=folder / "tests"),
        sequences={},
    )


def test_groups_children_and_connection_options(tmp_path: Path) -> None:
    settings = AnsibleSettings(
        children={"web": ("front",)}, connection_options={"ansible_user": "root", "ansible_connection": "docker"}
    )
    found = tree(scenario(tmp_path, settings), REACHED)
    wanted = {"ansible_user": "root", "ansible_connection": "harness"}
    assert found["all"]["hosts"] == {"a": wanted, "b": wanted}
    assert found["web"]["hosts"] == {"a": wanted}
    assert found["web"]["children"] == {"front": {}}
    assert found["ungrouped"]["hosts"] == {"b": wanted}
    assert "molecule_yml" in found["all"]["vars"]


def test_variables_are_files_and_what_playbooks_added_stays(tmp_path: Path) -> None:
    variables = Inventory(hosts_vars={"a": {"x": 1, "ansible_host": "elsewhere"}}, group_vars={"web": {"y": [2]}})
    made = scenario(tmp_path, AnsibleSettings(hosts={"all": {"hosts": {"extra": {}}}}), variables)
    folder = tmp_path / "ephemeral" / "inventory"
    write_ephemeral(made, REACHED)
    (folder / "added.yml").write_text("all: {}\n")
    (folder / "host_vars" / "old").write_text("z: 1\n")
    notes = write_ephemeral(made, REACHED)
    assert yaml.safe_load((folder / "host_vars" / "a").read_text()) == {"x": 1}
    assert yaml.safe_load((folder / "group_vars" / "web").read_text()) == {"y": [2]}
    assert yaml.safe_load((folder / "hosts").read_text()) == {"all": {"hosts": {"extra": {}}}}
    assert not (folder / "host_vars" / "old").exists()
    assert (folder / "added.yml").exists()
    assert [note for note in notes if "ansible_host" in note]
    assert "&id" not in (folder / "ansible_inventory.yml").read_text()
    assert (folder / "ansible_inventory.yml").stat().st_mode & 0o777 == 0o600


def test_links_take_the_place_of_variables(tmp_path: Path) -> None:
    (tmp_path / "vars").mkdir()
    made = scenario(tmp_path, AnsibleSettings(links={"group_vars": tmp_path / "vars"}), Inventory({"a": {"x": 1}}))
    write_ephemeral(made, REACHED)
    write_ephemeral(made, REACHED)
    assert (tmp_path / "ephemeral/inventory/group_vars").readlink() == tmp_path / "vars"
    assert not (tmp_path / "ephemeral/inventory/host_vars").exists()


def test_the_scenarios_configuration_lies_over_molecules(tmp_path: Path) -> None:
    made = scenario(tmp_path, AnsibleSettings(config_options={"defaults": {"forks": 3}, "diff": {"always": True}}))
    found = config_of(made)
    assert found["defaults"]["forks"] == 3
    assert found["defaults"]["host_key_checking"] is False
    assert found["diff"] == {"always": True}


def test_a_run_with_platforms_of_its_own_has_a_folder_of_its_own(tmp_path: Path) -> None:
    old = str(tmp_path / "ephemeral")
    environment = {"A": old, "B": f"{old}/inventory/x.yml", "C": f"{old}-other", "D": "text"}
    made = with_ephemeral(scenario(tmp_path, AnsibleSettings(environment=environment)), tmp_path / "run")
    assert made.provisioner.ansible is not None
    new = str(tmp_path / "run" / "ephemeral")
    assert made.provisioner.ansible.environment == {
        "A": new,
        "B": f"{new}/inventory/x.yml",
        "C": f"{old}-other",
        "D": "text",
    }
    assert made.provisioner.ansible.ephemeral == Path(new)


def test_instance_config(tmp_path: Path) -> None:
    path = tmp_path / "instance_config.yml"
    assert read_instance_config(path) == {}
    path.write_text("{}\n")  # as Molecule's destroy.yml leaves it
    assert read_instance_config(path) == {}
    path.write_text("- {instance: a, port: 2222}\n")
    assert read_instance_config(path) == {"a": {"instance": "a", "port": 2222}}
    for wrong in ("- {", "text", "- {instance: a}\n- nonsense\n"):
        path.write_text(wrong)
        with pytest.raises(HarnessError, match="create"):
            read_instance_config(path)


def test_ssh_as_ansible_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Ssh(
        host="10.0.0.1", port=2222, user="me", identities=("/k y",), known_hosts="/h x", proxy_command="nc %h %p"
    )
    found = inventory([AnsibleHost("n", endpoint, groups=["g"], variables={"ansible_user": "other"})])
    variables = found["all"]["hosts"]["n"]
    assert variables["ansible_host"] == "10.0.0.1"
    assert variables["ansible_user"] == "other"
    assert "-i '/k y'" in variables["ansible_ssh_common_args"]
    assert "'ProxyCommand=nc %h %p'" in variables["ansible_ssh_common_args"]
    other = inventory([AnsibleHost("m", endpoint)])["all"]["hosts"]["m"]
    assert other["ansible_control_path"] != variables["ansible_control_path"]
    assert ssh_arguments(Ssh(host="x", use_config=True)) == []
    passing = ssh_arguments(Ssh(host="x", proxy_command="relay", proxy_passes_socket=True))
    assert "ProxyCommand=relay --fdpass" in passing
    assert "ProxyUseFdpass=yes" in passing
    monkeypatch.setenv("HIDDEN", "pa55")
    secret = inventory([AnsibleHost("n", Ssh(host="x", password_env="HIDDEN"))])
    assert secret["all"]["hosts"]["n"]["ansible_password"] == "pa55"
    with pytest.raises(AnsibleFailed, match="no way of its own"):
        inventory([AnsibleHost("c", Docker(container="x", daemon=DaemonAddress(url="unix:///x")))])
