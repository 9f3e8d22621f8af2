"""molecule.yml as Molecule has it: everything that is said of Ansible, its defaults, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drivers.delegated import variables_of
from harness.drivers.docker.options import DockerOptions
from harness.drivers.libvirt.options import LibvirtOptions
from harness.drivers.vagrant.options import VagrantOptions
from harness.models.scenario import AnsibleSettings, Scenario
from harness.scenario import Overrides, load_scenario, load_settings
from tests.scenario.conftest import Load, problems_of

FULL = """\
dependency:
  name: shell
  command: ./get.sh
  options: {force: true}
  env: {TOKEN: 1}
driver:
  name: docker
  options:
    managed: true
    login_cmd_template: ssh {instance}
    ansible_connection_options: {ansible_connection: local}
  ssh_connection_options: [-o ControlMaster=no]
  safe_files: [keys/*]
prerun: false
role_name_check: 2
platforms:
  - name: web-1
    image: "${DISTRO:-debian}:12"
    groups: [web, all]
    children: [front]
    command: ""
    privileged: false
    memory: 536870912
    etc_hosts: "{'db': '10.0.0.2'}"
    volumes: [/sys/fs/cgroup:/sys/fs/cgroup:ro]
    tmpfs: [/run]
    pull: true
    force: true
    docker_host: unix://run/docker.sock
    mounts: [{type: bind, source: /a, target: /b, read_only: true}, {type: tmpfs, target: /c}]
  - {name: db_1, image: x, pre_build_image: true, command: /sbin/init, cgroupns_mode: host}
provisioner:
  name: ansible
  playbooks:
    converge: ../shared/site.yml
    side_effect: null
    docker: {prepare: raw.yml}
    vagrant: {prepare: none.yml}
  config_options: {defaults: {callbacks_enabled: timer}}
  connection_options: {ansible_user: root}
  options: {vv: true, skip-tags: slow}
  ansible_args: [--diff, --forks, 3]
  env: {A: 1, B: true}
  inventory:
    hosts: {all: {vars: {x: 1}}}
    host_vars: {web-1: {port: 80}, localhost: }
    group_vars: {web: {tls: false}}
  log: false
verifier: {name: testinfra, options: {v: 1}, env: {C: c}, directory: checks}
"""


@pytest.fixture
def files(project: Path) -> Path:
    """Playbooks beside the scenario `web`."""
    folder = project / "molecule" / "web"
    (folder / "checks").mkdir(parents=True)
    (project / "molecule/shared").mkdir()
    for name in ("../shared/site.yml", "raw.yml", "verify.yml", "side_effect.yml"):
        (folder / name).write_text("[]\n")
    return folder


def settings_of(scenario: Scenario) -> AnsibleSettings:
    assert scenario.provisioner.ansible is not None
    return scenario.provisioner.ansible


def test_every_key_arrives(load: Load, files: Path) -> None:
    scenario = load(FULL)
    settings = settings_of(scenario)
    assert {step: path.resolve() for step, path in settings.playbooks.items()} == {
        "converge": files.parent / "shared/site.yml",
        "prepare": files / "raw.yml",
        "verify": files / "verify.yml",
    }
    assert settings.config_options == {"defaults": {"callbacks_enabled": "timer"}}
    assert settings.connection_options == {"ansible_user": "root"}
    assert settings.options == {"vv": True, "skip-tags": "slow"}
    assert settings.ansible_args == ("--diff", "--forks", "3")
    assert settings.hosts == {"all": {"vars": {"x": 1}}}
    assert scenario.provisioner.inventory.hosts_vars == {"web-1": {"port": 80}, "localhost": {}}
    assert scenario.provisioner.inventory.group_vars == {"web": {"tls": False}}
    assert scenario.provisioner.env == {"A": "1", "B": "True"}
    assert settings.children == {"web": ("front",), "all": ("front",)}
    assert (settings.prerun, settings.role_name_check, settings.log) == (False, 2, False)
    assert (settings.driver, settings.managed, settings.login_cmd_template) == ("docker", True, "ssh {instance}")
    assert settings.driver_connection_options == {"ansible_connection": "local"}
    assert settings.ssh_connection_options == ("-o ControlMaster=no",)
    assert settings.safe_files == ("keys/*",)
    dependency = settings.dependency
    assert (dependency.name, dependency.command, dependency.env) == ("shell", "./get.sh", {"TOKEN": "1"})
    assert (scenario.verifier.name, scenario.verifier.directory) == ("testinfra", files / "checks")
    assert scenario.timeout_seconds > 3600


def test_platforms_of_docker_mean_what_they_mean_there(load: Load, files: Path) -> None:
    web, db = load(FULL).platforms
    assert (web.driver, web.image, web.groups) == ("docker", "debian:12", ("web", "front"))
    assert isinstance(web.options, DockerOptions)
    assert isinstance(db.options, DockerOptions)
    assert not web.options.pre_build_image
    assert (web.options.command, web.options.override_command) == (None, False)
    assert (web.options.memory, web.options.etc_hosts) == ("536870912b", {"db": "10.0.0.2"})
    assert web.options.docker_host == "unix:///run/docker.sock"
    assert [mount.target for mount in web.options.mounts] == ["/b", "/c"]
    assert (web.options.pull, web.options.command_handling) == ("always", "compatibility")
    assert (db.options.pre_build_image, db.options.command) == (True, "/sbin/init")


VAGRANT = """
driver:
  name: vagrant
  provider: {name: libvirt}
  provision: yes
  parallel: false
  default_box: "generic/debian12"
platforms:
  - name: a
    box: fedora/32-cloud-base
    box_version: 32.20200422.0
    box_url:
    memory: 1024
    groups: [web]
    interfaces: [{auto_config: true, network_name: private_network, type: dhcp}]
    instance_raw_config_args: ['vm.synced_folder ".", "/vagrant", type: "rsync"']
    provider_raw_config_args: ["cpuset = '1-4,^3,6'"]
    config_options: {ssh.keep_alive: yes, synced_folder: true}
  - name: b
"""


def test_platforms_of_vagrant_mean_what_they_mean_there(load: Load, files: Path) -> None:
    a, b = load(VAGRANT).platforms
    assert isinstance(a.options, VagrantOptions)
    assert isinstance(b.options, VagrantOptions)
    assert (a.driver, a.options.box, a.options.box_version) == ("vagrant", "fedora/32-cloud-base", "32.20200422.0")
    assert (a.options.provider, a.options.provision, a.options.parallel) == ("libvirt", True, False)
    assert (a.options.memory, a.options.cpus, a.options.shares_a_folder) == (1024, 2, True)
    assert (b.options.box, b.options.default_box, b.options.memory) == (None, "generic/debian12", 512)
    [alone] = load("driver: {name: vagrant}\nplatforms: [{name: a}]\n").platforms
    assert isinstance(alone.options, VagrantOptions)
    assert (alone.options.default_box, alone.options.provider) == ("generic/alpine316", None)


LIBVIRT = """
driver: {name: libvirt}
platforms:
  - name: a
    image_url: "https://example.org/cloud.qcow2"
    memory_size: "2"
    vcpu: 2
    cpu_model: qemu64
    disk_size: "10G"
    libvirt_host: server.home.lan
    libvirt_user: james
    bridge_name: bridge0
    timezone: Europe/Berlin
  - {name: b, image: debian-12, network_name: lab}
"""


def test_platforms_of_molecule_libvirt_mean_what_they_mean_there(load: Load, files: Path) -> None:
    a, b = load(LIBVIRT).platforms
    assert isinstance(a.options, LibvirtOptions)
    assert isinstance(b.options, LibvirtOptions)
    assert (a.driver, a.image, b.image) == ("libvirt", "https://example.org/cloud.qcow2", "debian-12")
    assert (a.options.memory, a.options.cpus, a.options.cpu_model) == (2048, 2, "qemu64")
    assert (a.options.uri, a.options.disk_size) == ("qemu+ssh://james@server.home.lan/system", "10G")
    assert (a.options.network, b.options.network) == ("bridge:bridge0", "network:lab")


def test_what_is_not_said_has_molecules_defaults(load: Load, project: Path) -> None:
    scenario = load("platforms: [{name: a}]\n")
    settings = settings_of(scenario)
    assert (scenario.driver, scenario.verifier.name, settings.driver) == ("default", "ansible", "default")
    assert settings.dependency == type(settings.dependency)()
    assert (settings.prerun, settings.role_name_check, settings.managed, settings.log) == (True, 1, True, True)
    assert settings.playbooks == {}
    assert not scenario.warnings


def test_a_file_may_say_nothing_at_all_beside_its_sections(load: Load) -> None:
    scenario = load("dependency:\ndriver:\n  name: docker\nplatforms:\nprovisioner:\nverifier:\n")
    assert (scenario.driver, scenario.platforms) == ("docker", ())


def test_molecules_variables_and_document(load: Load, files: Path, project: Path) -> None:
    scenario = load(FULL)
    settings = settings_of(scenario)
    ephemeral = project / ".harness/ephemeral/web"
    assert settings.ephemeral == ephemeral
    assert settings.environment["MOLECULE_FILE"] == str(ephemeral / "molecule.yml")
    assert settings.environment["MOLECULE_INVENTORY_FILE"] == str(ephemeral / "inventory/ansible_inventory.yml")
    assert settings.environment["MOLECULE_SCENARIO_DIRECTORY"] == str(files)
    assert settings.environment["MOLECULE_DRIVER_NAME"] == "docker"
    assert settings.environment["MOLECULE_VERIFIER_NAME"] == "testinfra"
    document = settings.document
    assert document["prerun"] is False
    assert document["scenario"]["name"] == "web"  # type: ignore[index,call-overload]
    assert document["platforms"][0]["command"] == ""  # type: ignore[index,call-overload]
    # Old and new names for the same, so that create.yml of either age finds it.
    assert document["provisioner"]["env"] == document["ansible"]["env"] == {"A": 1, "B": True}  # type: ignore[index,call-overload]
    assert document["provisioner"]["playbooks"]["cleanup"] == "cleanup.yml"  # type: ignore[index,call-overload]
    assert document["driver"]["provider"] == {"name": None}  # type: ignore[index,call-overload]


def test_the_newer_section_says_the_same(load: Load, files: Path) -> None:
    settings = settings_of(
        scenario := load(
            "platforms: [{name: a}]\n"
            "ansible:\n  cfg: {defaults: {forks: 2}}\n  env: {A: b}\n  playbooks: {converge: raw.yml}\n"
            "  executor: {backend: ansible-playbook, args: {ansible_playbook: [-i, hosts.yml]}}\n"
        )
    )
    assert settings.config_options == {"defaults": {"forks": 2}}
    assert scenario.provisioner.env == {"A": "b"}
    assert settings.playbooks["converge"] == files / "raw.yml"
    assert settings.ansible_args == ("-i", "hosts.yml")
    assert settings.document["provisioner"]["config_options"] == {"defaults": {"forks": 2}}  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("provisoner: {name: binary}\nplatforms: [{name: a, inti: x}]", "did you mean provisioner?"),
        ("ansible: {executor: {backend: ansible-navigator}}", "ansible-navigator is not supported"),
        ("driver: {name: ec2}\nplatforms: [{name: a, box: x}]", "Molecule's driver ec2 is not supported"),
        (
            "driver: {name: vagrant}\nplatforms: [{name: a, instance_raw_config_args: ['vm.box = `id`']}]",
            "platforms[0].instance_raw_config_args[0]: ",
        ),
        ("driver: {name: molecule-proxmox}", "Molecule's driver molecule-proxmox is not supported"),
        ("driver: {name: dokcer}", "there is no driver named 'dokcer'; did you mean docker?"),
        (
            "driver: {name: docker}\nplatforms: [{name: a, kill_signal: HUP}]",
            "platforms[0].kill_signal: a container is",
        ),
        (
            "driver: {name: docker}\nplatforms: [{name: a, mounts: [{type: npipe, target: /a}]}]",
            "platforms[0].mounts[0].type: should be",
        ),
        (
            "driver: {name: podman}\nplatforms: [{name: a, image: x, rootless: true}]",
            "platforms[0].rootless: is not supported",
        ),
        ("driver: {name: docker}\nplatforms: [{name: a, privileged: maybe}]", "should be true or false, not 'maybe'"),
        (
            "driver: {name: docker}\nplatforms: [{name: a, image: x}, {name: a, image: x}]",
            "platforms[0] has this name, too",
        ),
        ("verifier: {name: goss}", "should be 'testinfra' or 'ansible', not 'goss'"),
        ("verifier: {direktory: x}", "verifier.direktory: unknown key; did you mean directory?"),
        ("dependency: {name: gilt}", "should be 'galaxy' or 'shell', not 'gilt'"),
        ("dependency: {name: shell}", "`name: shell` needs a `command`"),
        ("role_name_check: 3", "should be 0, 1 or 2, not 3"),
        ("provisioner: {inventory: {links: {host_vars: nowhere}}}", "there is no molecule/web/nowhere"),
        ("provisioner: {ansible_args: --diff}", "should be a list, not '--diff'"),
        ("provisioner: {config_options: {defaults: 3}}", "should be a mapping, not 3"),
        ("scenario: {test_sequence: [side_effect a.yml, converge b.yml]}", "the step converge takes no arguments"),
        (
            "driver: {name: docker}\nplatforms: [{name: a, image: x, snapshot: [1]}]",
            "platforms[0].snapshot: a list is neither true",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(load: Load, text: str, words: str) -> None:
    found = problems_of(lambda: load(text))
    assert len(found) == 1, found
    assert words in found[0]
    assert found[0].startswith("molecule/web/molecule.yml:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("provisioner: {playboks: {}}", "provisioner.playboks: no key that Molecule reads; did you mean playbooks?"),
        ("provisioner: {playbooks: {convrege: x.yml}}", "no step of a playbook; did you mean converge?"),
        ("provisioner: {playbooks: {prepare: x.yml}}", "there is no file molecule/web/x.yml"),
        ("provisioner: {inventory: {hostvars: {}}}", "did you mean host_vars?"),
        ("driver: {name: docker}\nplatforms: [{name: a, image: x, priviledged: true}]", "did you mean privileged?"),
        ("ansible: {env: {A: b}}\nprovisioner: {env: {A: c}}", "ansible.env: provisioner.env takes its place"),
        (
            "driver: {name: vagrant, provider: {name: libvirt, options: {cpus: 1}}}\nplatforms: [{name: a, box: x}]",
            "driver.provider.options: no key of this driver",
        ),
        (
            "driver: {name: vagrant}\nplatforms: [{name: a, boxx: x}]",
            "platforms[0].boxx: no key of this driver; did you",
        ),
        ("shared_state: true\ndriver: {name: docker}", "shared_state: with the driver docker each scenario makes"),
        ("provisioner: {lint: {name: ansible-lint}}", "provisioner.lint: no key that Molecule reads"),
        ("lint: {name: yamllint}", "Molecule has dropped it"),
        ("verifier: {name: testinfra, lint: {name: flake8}}", "verifier.lint: Molecule has dropped it"),
        ("verifier: {directory: nowhere}", "there is no folder molecule/web/nowhere"),
        ("verifier: {additional_files_or_dirs: ['../x*']}", "nothing matches '../x*'"),
    ],
)
def test_what_molecule_passes_over_in_silence_gets_a_word(load: Load, text: str, words: str) -> None:
    warnings = [str(warning) for warning in load(text).warnings]
    assert len(warnings) == 1, warnings
    assert words in warnings[0]


def test_lint_as_molecule_takes_it_gets_none(load: Load) -> None:
    assert not load("lint: |\n  set -e\n  yamllint .\nplatforms: [{name: a}]\n").warnings


def test_another_driver_by_option_takes_what_it_knows(load: Load) -> None:
    scenario = load(
        "driver: {name: docker}\nplatforms: [{name: a, image: debian-12, privileged: true, pre_build_image: true}]\n",
        Overrides(driver="native"),
    )
    assert (scenario.driver, scenario.platforms[0].driver) == ("native", "native")


def test_drivers_may_mix(load: Load) -> None:
    scenario = load("driver: {name: docker}\nplatforms: [{name: a, image: x}, {name: b, driver: native}]\n")
    assert [platform.driver for platform in scenario.platforms] == ["docker", "native"]


@pytest.mark.parametrize(
    ("driver", "connection"),
    [("docker", "community.docker.docker"), ("podman", "containers.podman.podman")],
)
def test_a_create_of_its_own_takes_the_place_of_the_drivers(
    load: Load, files: Path, driver: str, connection: str
) -> None:
    for name in ("create.yml", "destroy.yml"):
        (files / name).write_text("[]\n")
    scenario = load(f"driver: {{name: {driver}}}\nplatforms: [{{name: a, image: x, whatever: 1}}]\n")
    assert (scenario.driver, scenario.platforms[0].driver, scenario.warnings) == ("default", "default", ())
    assert variables_of(scenario.platforms[0]) == {"ansible_connection": connection}
    assert settings_of(scenario).environment["MOLECULE_DRIVER_NAME"] == driver


def test_a_create_of_its_own_needs_a_destroy(load: Load, files: Path) -> None:
    (files / "create.yml").write_text("[]\n")
    text = "driver: {name: docker}\nplatforms: [{name: a, image: x}]\n"
    assert "create.yml makes containers, and there is no destroy.yml" in problems_of(lambda: load(text))[0]
    native = load(text, Overrides(driver="native"))
    assert native.driver == "native"
    assert "create.yml is not run: the driver native" in str(native.warnings[0])


def test_the_environment_is_what_python_makes_of_it(load: Load) -> None:
    scenario = load("provisioner: {env: {A: true, B: 1, C: $UNSET_HERE, D: '$UNSET_HERE'}}\n")
    assert scenario.provisioner.env == {"A": "True", "B": "1", "C": "None", "D": ""}


def test_podman_is_docker_at_podmans_socket(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "unix:///run/x.sock")
    scenario = load("driver: {name: podman}\nplatforms: [{name: a, image: x, network: host}]\n")
    options = scenario.platforms[0].options
    assert isinstance(options, DockerOptions)
    assert (scenario.driver, options.docker_host, options.network_mode) == ("docker", "unix:///run/x.sock", "host")
    assert settings_of(scenario).environment["MOLECULE_DRIVER_NAME"] == "podman"


def test_podmans_network_is_made_with_its_addresses(load: Load) -> None:
    scenario = load(
        "driver: {name: podman}\nplatforms:\n"
        "  - {name: a, image: x, network: n, subnet: 10.9.8.0/24, ip: 10.9.8.7}\n  - {name: b, image: x, network: n}\n"
    )
    first, second = (platform.options for platform in scenario.platforms)
    assert isinstance(first, DockerOptions) and isinstance(second, DockerOptions)
    assert [(one.name, one.ipv4_address) for one in first.networks + second.networks] == [
        ("n", "10.9.8.7"),
        ("n", None),
    ]
    assert [(one.name, one.ipam_config[0].subnet) for one in first.docker_networks] == [("n", "10.9.8.0/24")]
    assert not second.docker_networks and not scenario.warnings


def test_a_delegated_platform_may_have_a_long_name(load: Load) -> None:
    name = "molecule--a-role-with-a-name--a-scenario-with-a-longer-one.example.org"
    assert load(f"platforms: [{{name: {name}}}]\n").platforms[0].name == name
    assert problems_of(lambda: load(f"driver: {{name: docker}}\nplatforms: [{{name: {name}, image: x}}]\n"))


def test_playbook_yml_is_what_converge_yml_was(load: Load, project: Path) -> None:
    folder = project / "molecule/web"
    folder.mkdir(parents=True)
    (folder / "playbook.yml").write_text("[]\n")
    scenario = load("platforms: [{name: a}]\n")
    assert settings_of(scenario).playbooks == {"converge": folder / "playbook.yml"}
    assert "rename it" in str(scenario.warnings[0])


def test_links_take_the_place_of_what_is_written(load: Load, project: Path) -> None:
    (project / "molecule/web/vars").mkdir(parents=True)
    scenario = load("provisioner: {inventory: {links: {group_vars: vars/}, host_vars: {a: {b: 1}}}}\n")
    assert settings_of(scenario).links == {"group_vars": project / "molecule/web/vars"}
    assert "`links` takes the place" in str(scenario.warnings[0])


def test_a_base_config_lies_under_it(load: Load, project: Path) -> None:
    base = project / ".config/molecule/config.yml"
    base.parent.mkdir(parents=True)
    base.write_text("driver: {name: docker}\nprovisioner: {env: {A: base, B: base}}\n")
    scenario = load("platforms: [{name: a, image: x}]\nprovisioner: {env: {A: own}}\n")
    assert (scenario.driver, scenario.provisioner.env) == ("docker", {"A": "own", "B": "base"})


def test_a_collections_scenarios_share_a_base_config(project: Path) -> None:
    root = project / "extensions/molecule"
    (root / "vlans/merged").mkdir(parents=True)
    (root / "config.yml").write_text("platforms: [{name: a}]\nansible: {env: {FROM: $MOLECULE_SCENARIO_NAME}}\n")
    (root / "vlans/merged/molecule.yml").write_text("---\n")
    scenario = load_scenario(project, "vlans/merged", settings=load_settings(project))
    assert [platform.name for platform in scenario.platforms] == ["a"]
    assert scenario.provisioner.env == {"FROM": "vlans/merged"}
    settings = settings_of(scenario)
    assert settings.ephemeral == project / ".harness/ephemeral/vlans--merged"
    assert settings.environment["MOLECULE_SCENARIO_DIRECTORY"] == str(root / "vlans/merged")


def test_the_older_key_wins_in_the_document_too(load: Load) -> None:
    settings = settings_of(
        load("ansible: {cfg: {defaults: {a: 1}}}\nprovisioner: {config_options: {defaults: {b: 2}}}\n")
    )
    assert settings.config_options == settings.document["ansible"]["cfg"] == {"defaults": {"b": 2}}  # type: ignore[index,call-overload]


def test_a_platform_may_ask_for_a_snapshot(load: Load) -> None:
    text = "driver: {name: docker}\nplatforms: [{name: a, image: x, snapshot: true}, {name: b, image: x}]\n"
    assert [platform.snapshot for platform in load(text).platforms] == [True, None]
