"""From platforms to Vagrantfiles; Vagrant itself judges them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.vagrant import planning, projects
from harness.drivers.vagrant.command import CommandFailed, Vagrant
from harness.drivers.vagrant.driver import VagrantDriver
from harness.drivers.vagrant.options import VagrantOptions
from harness.drivers.vagrant.projects import Project
from harness.errors import DriverFailed

pytestmark = pytest.mark.vagrant

EVERYTHING: dict[str, Any] = {
    "box": "debian/bookworm64",
    "box_version": 12.2,
    "box_url": "https://example.com/box.json",
    "box_download_checksum": "0" * 64,
    "box_download_checksum_type": "sha256",
    "provider": {"name": "libvirt"},
    "memory": 768,
    "cpus": 1,
    "hostname": "foo.bar.com",
    "interfaces": [
        {"network_name": "private_network", "ip": "192.168.56.4", "auto_config": True},
        {"network_name": "forwarded_port", "guest": 80, "host": 8080},
    ],
    "config_options": {"ssh.keep_alive": True, "ssh.username": "'vagrant'", "vm.boot_timeout": 900},
    "provider_options": {"driver": '"qemu"', "video_type": "vga", "title": "#{exit 3} it's"},
    "provider_raw_config_args": ["cpuset = '0'", "storage :file, size: '1G'"],
    "instance_raw_config_args": ["vm.provision :shell, inline: 'uname'"],
    "provider_override_args": ["vm.synced_folder './', '/x', disabled: true, type: 'nfs'"],
}


@pytest.fixture(autouse=True)
def vagrant_is_there() -> None:
    problems = VagrantDriver().diagnose()
    if problems:
        pytest.skip("; ".join(map(str, problems)))


@pytest.fixture
def ref(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScenarioRef:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    return ScenarioRef(tmp_path, "s", tmp_path)


def spec(name: str, **options: Any) -> PlatformSpec:
    return PlatformSpec(name, "vagrant", options=VagrantOptions.model_validate(options))


def planned(ref: ScenarioRef, *specs: PlatformSpec) -> list[Project]:
    """Announced, and nothing made."""
    made = []
    for plan in planning.plans(specs, ref, RunId("run"), tell=print):
        project = plan.project(projects.free_name(ref, RunId("run")), kept=True)
        projects.announce(project, plan.text(project.name))
        made.append(project)
    return made


def validate(project: Project) -> None:
    Vagrant(project)._run_vagrant_command(["validate"])


def test_vagrant_takes_every_key_and_ruby_runs_none(ref: ScenarioRef) -> None:
    [project] = planned(ref, spec("vm1", **EVERYTHING), spec("vm-2.x", box="b", provider="libvirt", hostname=False))
    text = project.vagrantfile.read_text()
    for words in (
        'machine.vm.box_version = "12.2"',
        'machine.vm.hostname = "foo.bar.com"',
        'machine.vm.network("private_network", ip: "192.168.56.4", auto_config: true)',
        'machine.ssh.username = "vagrant"',
        'provider.driver = "qemu"',
        "provider.memory = 768",
        'provider.cpu_model = "qemu64"',
        'machine.vm.synced_folder ".", "/vagrant", disabled: true',
    ):
        assert words in text
    validate(project)
    assert project.vagrantfile.stat().st_mode & 0o077 == 0 or project.folder.stat().st_mode & 0o077 == 0


def test_vagrants_own_words_and_status(ref: ScenarioRef) -> None:
    [project] = planned(ref, spec("vm1", box="b", provider="libvirt", provider_options={"nosuch": 1}))
    with pytest.raises(CommandFailed, match=r"ended with status 1: [\s\S]*nosuch") as caught:
        validate(project)
    assert (caught.value.status, caught.value.kind) == (1, "Vagrant::Errors::ConfigInvalid")
    assert caught.value.hint


def test_what_is_there_decides_on_molecules_defaults() -> None:
    assert VagrantOptions().memory == 512
    assert VagrantOptions().cpus == 2
    assert VagrantOptions.model_validate({"provider": {"name": "parallels"}}).provider == "parallels"
    for wrong in (
        {"memory": "much"},
        {"interfaces": [{"network_name": "office"}]},
        {"interfaces": [{"ip": "10.0.0.1"}]},
        {"interfaces": [{"network_name": "private_network", "a-b": 1}]},
        {"provider": "lib virt"},
        {"config_options": {"vm.instance_eval": "x"}},
        {"instance_raw_config_args": ["vm.box = ENV['X']"]},
        {"box_download_checksum": "a"},
        {"vagrantfile": "V", "memory": 512},
        {"machine": "m"},
        {"hostnam": "x"},
    ):
        with pytest.raises(ValidationError):
            VagrantOptions.model_validate(wrong)


def test_all_that_is_wrong_is_told_at_once(ref: ScenarioRef) -> None:
    wrong = [
        spec("nothing"),
        spec("gone", vagrantfile="nowhere/Vagrantfile"),
        PlatformSpec("both", "vagrant", image="debian-12", options=VagrantOptions(box="b")),
        PlatformSpec("unknown", "vagrant", image="plan9", options=VagrantOptions()),
        PlatformSpec("windows", "vagrant", os="windows", options=VagrantOptions(box="b")),
        spec("other", box="b", provider="parallels"),
    ]
    with pytest.raises(DriverFailed) as caught:
        planning.plans(wrong, ref, RunId("run"), tell=print)
    for one in wrong:
        assert f"{one.name}: " in caught.value.message
    assert projects.everything() == []


def test_a_vagrantfile_of_the_users_own(ref: ScenarioRef, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    own = tmp_path / "mine" / "Vagrantfile"
    own.write_text(
        'Vagrant.configure("2") do |config|\n'
        "  %w[web db].each { |n| config.vm.define(n) { |m| m.vm.box = File.basename(__dir__) } }\nend\n"
    )
    options = {"vagrantfile": "mine", "provider": "libvirt"}
    [project] = planned(ref, spec("web", **options), spec("second", machine="db", **options))
    assert [(one.platform, one.machine) for one in project.machines] == [("web", "web"), ("second", "db")]
    assert project.root == str(tmp_path / "mine")
    validate(project)
    states = {row.name: row.state for row in Vagrant(project).status()}
    assert states == {"web": "not_created", "db": "not_created"}
    assert not (tmp_path / "mine" / ".vagrant").exists(), "its own state is not touched"
    text = project.vagrantfile.read_text()
    assert f'provider.default_prefix = "{project.name}_"' in text


def test_a_plan_is_listed_and_reaped_without_vagrant_having_made_anything(ref: ScenarioRef) -> None:
    [project] = planned(ref, spec("vm1", box="b", provider="libvirt"), spec("vm2", box="b", provider="libvirt"))
    driver = VagrantDriver()
    records = driver.instances()
    assert [(one.platform, one.status, one.kept) for one in records] == [
        ("vm1", "planned", True),
        ("vm2", "planned", True),
    ]
    driver.reap(records[0])
    assert [one.platform for one in driver.instances()] == ["vm2"]
    driver.reap(records[1])
    driver.reap(records[1])
    assert driver.instances() == []
    assert not project.folder.exists()


def test_a_command_that_outlived_its_run_is_ended(ref: ScenarioRef, tmp_path: Path) -> None:
    from harness.drivers.vagrant import command

    (tmp_path / "Slow").write_text('sleep 600 if ENV["SLOW"]\n')
    [project] = planned(ref, spec("vm1", vagrantfile="Slow", provider="libvirt"))
    environment = {**command.environment(project), "SLOW": "1"}
    with subprocess.Popen(["vagrant", "status"], env=environment, cwd=tmp_path, start_new_session=True) as process:
        try:
            [record] = VagrantDriver().instances()
            VagrantDriver().reap(record)
            process.wait(20)
        finally:
            process.kill()
    assert VagrantDriver().instances() == []


def test_what_is_called_off_ends_at_once(ref: ScenarioRef, tmp_path: Path) -> None:
    import threading

    (tmp_path / "Slow").write_text("sleep 600\n")
    [project] = planned(ref, spec("vm1", vagrantfile="Slow", provider="libvirt"))
    client = Vagrant(project)
    timer = threading.Timer(2.0, client.stop)
    timer.start()
    with pytest.raises(CommandFailed, match="called off"):
        client._run_vagrant_command(["status"])
    timer.join()


def test_without_vagrant_it_is_said_so(ref: ScenarioRef, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no vagrant here" in [problem.message for problem in VagrantDriver().diagnose()]
    with pytest.raises(DriverFailed, match="no vagrant"):
        planning.plans([spec("vm1", box="b")], ref, RunId("run"), tell=print)


def test_the_adding_of_a_box_is_told(ref: ScenarioRef, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"provider": "libvirt"}')
    subprocess.run(["tar", "-cf", "tiny.box", "metadata.json"], cwd=tmp_path, check=True)
    [project] = planned(ref, spec("vm1", box="tiny", provider="libvirt"))
    told: list[str] = []
    client = Vagrant(project, told.append)
    client.box_add("tiny", str(tmp_path / "tiny.box"))
    assert any("Adding box 'tiny'" in line for line in told)
    assert any("Successfully added" in line for line in told)
    assert [(box.name, box.provider) for box in client.box_list()] == [("tiny", "libvirt")]
    assert "box add" in project.log.read_text()
