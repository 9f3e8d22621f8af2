"""That it is a machine, and no view of its host: plain testinfra."""


def test_it_is_a_virtual_machine(host):
    assert host.check_output("systemd-detect-virt --vm") in ("qemu", "kvm")


def test_its_kernel_has_booted_its_own_disk(host):
    assert host.check_output("findmnt --noheadings --output SOURCE /") == "/dev/vda"


def test_it_is_called_as_its_platform(host):
    assert host.check_output("hostname") == "services"
