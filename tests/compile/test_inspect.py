"""What binaries are, by real ones: this host's shell, a static ELF made here, and pip's launchers for Windows."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from harness.compile.inspect import Header, check_binary, inspect, read_header
from harness.errors import CompileFailed, InvalidInput

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads this machine's ELF binaries")
HERE = "x86_64-unknown-linux-gnu"


def launcher(name: str) -> Path:
    """One of the launchers for Windows that pip carries."""
    found = importlib.util.find_spec("pip._vendor.distlib") or importlib.util.find_spec("setuptools")
    for folder in found.submodule_search_locations or () if found else ():
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    pytest.skip(f"pip does not carry {name} here")


@pytest.fixture
def static(tmp_path: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    binary = tmp_path / "static"
    made = subprocess.run(["cc", "-static", "-o", binary, tmp_path / "main.c"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no static C library")
    return binary


@LINUX
def test_a_dynamic_elf() -> None:
    shell = Path("/bin/sh").resolve()
    header = read_header(shell)
    assert header is not None
    assert (header.format, header.interpreter) == ("elf", True)
    facts = inspect(shell)
    assert (facts.format, facts.os, facts.arch, facts.static) == ("elf", "linux", header.archs[0], False)
    assert facts.interpreter is not None and "ld" in facts.interpreter
    assert facts.libraries
    assert facts.size == shell.stat().st_size
    with pytest.raises(CompileFailed, match="dynamically linked") as caught:
        check_binary(shell, f"{facts.arch}-unknown-linux-gnu")
    assert "crt-static" in str(caught.value.hint)


@LINUX
def test_a_static_elf(static: Path) -> None:
    facts = inspect(static)
    assert facts.static and facts.interpreter is None and facts.libraries == ()
    assert not facts.stripped
    check_binary(static, f"{facts.arch}-unknown-linux-gnu")
    wrong = "aarch64" if facts.arch == "x86_64" else "x86_64"
    with pytest.raises(CompileFailed, match=f"is for linux {facts.arch}, but linux {wrong} is needed"):
        check_binary(static, f"{wrong}-unknown-linux-musl")


@LINUX
def test_an_object_file_is_no_executable(static: Path) -> None:
    made = static.with_suffix(".o")
    subprocess.run(["cc", "-c", "-o", made, static.parent / "main.c"], check=True)
    assert read_header(made) is None


@pytest.mark.parametrize(("name", "arch"), [("t64.exe", "x86_64"), ("t64-arm.exe", "aarch64"), ("t32.exe", "i686")])
def test_a_windows_executable(name: str, arch: str) -> None:
    path = launcher(name)
    bits = 32 if arch == "i686" else 64
    assert read_header(path) == Header("pe", (arch,), bits)
    facts = inspect(path)
    assert (facts.format, facts.os, facts.arch, facts.bits) == ("pe", "windows", arch, bits)
    assert any("kernel32" in library.lower() for library in facts.libraries)
    with pytest.raises(CompileFailed, match=f"is for windows {arch}, but linux x86_64 is needed"):
        check_binary(path, HERE)


def test_mach_o_headers(tmp_path: Path) -> None:
    thin = tmp_path / "thin"
    thin.write_bytes(struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 2, 0, 0, 0, 0))
    assert read_header(thin) == Header("mach-o", ("aarch64",))
    check_binary(thin, "aarch64-apple-darwin")
    fat = tmp_path / "fat"
    slices = struct.pack(">IIIII", 0x01000007, 3, 0, 0, 0) + struct.pack(">IIIII", 0x0100000C, 0, 0, 0, 0)
    fat.write_bytes(struct.pack(">II", 0xCAFEBABE, 2) + slices)
    assert read_header(fat) == Header("mach-o", ("x86_64", "aarch64"))


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01", b"MZ", b"MZ" + bytes(100), b"\xca\xfe\xba\xbe\0\0\0\x37"],
)
def test_what_is_no_executable(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_header(path) is None
    with pytest.raises(CompileFailed, match="not an executable"):
        check_binary(path, HERE)
    with pytest.raises(InvalidInput):
        inspect(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CompileFailed, match="cannot be read"):
        check_binary(tmp_path / "none", HERE)
    with pytest.raises(InvalidInput):
        inspect(tmp_path / "none")
