"""The parts of the libvirt driver that need no virtual machine."""

from __future__ import annotations

import ipaddress
import os
import platform
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.cache import cache_dir
from harness.drivers.libvirt import acceleration, hypervisor, labels, machine, networks, screen
from harness.drivers.libvirt.domain import Boot, Disk, Domain, Interface, Port, Share
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.options import LibvirtOptions, size_in_bytes
from harness.errors import DriverFailed

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"))


def domain(**more: Any) -> Domain:
    plain = Domain(
        name="d", uuid="u", label="{}", kind="qemu", arch="x86_64", machine="pc", cpu="maximum", memory=512, cpus=2,
        boot=Boot(kernel=Path("/k")), console=Path("/c"), disks=(Disk(path=Path("/d"), target="vda"),),
    )  # fmt: skip
    return replace(plain, **more)


@given(name=TEXT, path=TEXT, cmdline=TEXT)
def test_nothing_that_is_named_becomes_markup(name: str, path: str, cmdline: str) -> None:
    boot = Boot(kernel=Path("/k"), cmdline=cmdline)
    made = domain(
        name=name,
        boot=boot,
        ports=(Port(name, Path("/", path)),),
        shares=(Share(Path("/", path), name, True),),
        interfaces=(Interface(kind="network", mac="m", source=name),),
    )
    read = ElementTree.fromstring(made.xml())
    assert read.findtext("name") == name
    assert (read.findtext("os/cmdline") or "") == cmdline
    assert [port.get("name") for port in read.iterfind("devices/channel/target")] == [name]
    assert [source.get("path") for source in read.iterfind("devices/channel/source")] == [str(Path("/", path))]
    assert [source.get("network") for source in read.iterfind("devices/interface/source")] == [name]


def test_what_slows_an_emulated_processor_down_it_has_not() -> None:
    said = ElementTree.fromstring(domain(cpu_without=("erms", "la57")).xml()).find("cpu")
    assert said is not None and said.get("mode") == "maximum"
    assert [(one.get("policy"), one.get("name")) for one in said] == [("disable", "erms"), ("disable", "la57")]


def label(**more: Any) -> Label:
    told = {
        "id": "harness-x", "uri": "qemu:///system", "cache": str(cache_dir()), "project": "/p", "scenario": "s",
        "platform": "one", "run": "r", "kept": False, "created": 1.0, **more,
    }  # fmt: skip
    return Label.model_validate(told)


def test_a_copy_of_ours_under_another_name_is_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    ours = label()
    xml = domain(name=ours.id, label=ours.model_dump_json()).xml()
    assert labels.parse(xml, ours.id) == ours
    assert labels.parse(xml, "harness-y") is None
    assert labels.parse(domain(label="<not json>").xml(), "d") is None
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "another"))
    assert labels.parse(xml, ours.id) is None, "it is another user's"


def test_a_socket_has_a_path_that_unix_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / ("deep" * 30)))
    paths = machine.sockets(label(id="harness-0123456789-20261123-102030-abcdef-" + "n" * 60))
    assert len(set(paths)) == len(paths)
    assert max(len(str(path)) for path in paths) < 108


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ({"memory": 1024}, "memory", 1024),
        ({"memory": "2g"}, "memory", 2048),
        ({"memory_size": "1"}, "memory", 1024),
        ({"memory_size": 0.5}, "memory", 512),
        ({"vcpu": 2}, "cpus", 2),
        ({"cpu": "2"}, "cpus", 2),
        ({"libvirt_uri": "qemu:///system"}, "uri", "qemu:///system"),
    ],
)
def test_keys_mean_what_they_meant_elsewhere(given: dict[str, Any], key: str, value: object) -> None:
    assert getattr(LibvirtOptions.model_validate(given), key) == value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memory": 1}, "greater than or equal to 64"),
        ({"memory": "lots"}, "valid integer"),
        ({"cpus": 0}, "greater than or equal to 1"),
        ({"cpus": 10**9}, "less than or equal to 255"),
        ({"cpu": 1, "cpus": 1}, "`cpu` and `cpus` are the same"),
        ({"uri": "http://x"}, "qemu:///session"),
        ({"network": "privat"}, "String should match"),
        ({"disks": [{"size": "big"}]}, "is not a size such as"),
        ({"shares": [":/x"]}, "is not SOURCE"),
        ({"network": "none", "connection": "ssh"}, "`network: none` has none"),
        ({"acceleration": "hyper"}, "'auto', 'kvm' or 'tcg'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LibvirtOptions.model_validate(given)


def test_sizes_are_powers_of_1024() -> None:
    assert [size_in_bytes(text) for text in ("7", "512m", "2G", "10GiB", "1t")] == [
        *(7, 512 << 20, 2 << 30, 10 << 30, 1 << 40)
    ]


def test_a_picture_of_older_libvirts_becomes_a_png() -> None:
    pixels = bytes(range(18))
    made = screen.png(b"P6\n# by QEMU\n3 2\n255\n" + pixels)
    assert made.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, made[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, body, crc = rest[4:8], rest[8 : 8 + length], rest[8 + length : 12 + length]
        assert crc == struct.pack(">I", zlib.crc32(kind + body))
        chunks[kind] = body
        rest = rest[12 + length :]
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (3, 2, 8, 2)
    assert zlib.decompress(chunks[b"IDAT"]) == b"\0" + pixels[:9] + b"\0" + pixels[9:]
    with pytest.raises(DriverFailed, match="not known"):
        screen.png(b"GIF89a")


def test_a_console_is_told_without_what_a_terminal_needs(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert "said nothing" in screen.tail(log)
    log.write_bytes(b"\x1b[0;32m  OK  \x1b[0m one\r\r\n\x1b]0;title\x07two\0\r\n" + b"\xff last\r\n")
    assert screen.text(log).splitlines() == ["  OK   one", "two", "� last"]
    assert screen.tail(log).splitlines()[-1].strip() == "� last"


def test_places_on_a_network_are_each_ones_own() -> None:
    members = {f"n{number}": machine.mac_address(f"n{number}") for number in range(40)}
    subnet = ipaddress.IPv4Network("10.200.3.0/24")
    first = networks._assign(subnet, members, ())
    more = networks._assign(subnet, {**members, "late": "52:54:00:00:00:01"}, first)
    assert [place.name for place in more] == ["late"]
    addresses = [ipaddress.ip_address(place.address) for place in [*first, *more]]
    assert len(set(addresses)) == 41
    assert all(address in subnet for address in addresses)
    assert str(subnet[1]) not in map(str, addresses), "that is this host's"


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("internal error: cannot set up guest memory 'pc.ram': Cannot allocate memory", "not so much memory"),
        ("operation failed: domain 'x' already exists with uuid 1", "not of the harness"),
        ("Could not open '/d': No space left on device", "the disk is full"),
        ("Could not open '/home/u/disk.qcow2': Permission denied", "may not read or write"),
        ("authentication unavailable: no polkit agent available", "may not use the system's libvirtd"),
        ("something never seen", "libvirt refused: something never seen"),
    ],
)
def test_a_refusal_is_told_in_clear_words(words: str, meaning: str) -> None:
    error = hypervisor.failure("one", words)
    assert error.message.startswith("one: ")
    assert meaning in error.message
    assert words in error.message


def test_a_kernel_that_does_not_boot_is_no_proof(tmp_path: Path) -> None:
    said = tmp_path / "qemu"
    said.write_text("#!/bin/sh\necho 'failed to set MSR 0x10a' >&2; exit 134\n")
    said.chmod(0o755)
    assert "failed to set MSR" in (acceleration.try_out(str(said), "x86_64", Path("/k")) or "")
    proof = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    said.write_text(f"#!/bin/sh\necho '{proof}'\n")
    assert acceleration.try_out(str(said), "x86_64", Path("/k")) is None


def test_a_verdict_is_remembered_for_one_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    tries: list[Path] = []

    def try_out(emulator: str, arch: str, kernel: Path) -> str | None:
        tries.append(kernel)
        return "it hung"

    monkeypatch.setattr(acceleration, "try_out", try_out)
    here = platform.machine()
    for _ in range(2):
        choice = acceleration.choose("auto", here, "/usr/bin/qemu", Path("/k"))
        assert (choice.kind, choice.why) == ("qemu", "it hung")
    assert tries == [Path("/k")]
    acceleration.choose("auto", here, "/usr/bin/other", Path("/k"))
    assert len(tries) == 2
    assert acceleration.choose("kvm", here, "/usr/bin/qemu", Path("/k")).kind == "kvm"
    assert acceleration.choose("tcg", here, "/usr/bin/qemu", Path("/k")).emulated
    assert acceleration.choose("auto", "riscv64", "/usr/bin/qemu", None).emulated
