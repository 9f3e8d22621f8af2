"""What a binary is: read from its own headers, never guessed from its name.

`read_header` looks at a few hundred bytes and is for the way to every platform; `inspect` has lief read all of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.compile.targets import known_target
from harness.errors import CompileFailed, InvalidInput, Problem

if TYPE_CHECKING:
    import lief

Format = Literal["elf", "pe", "mach-o"]

ELF_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "powerpc64", 22: "s390x"}
"""e_machine, elf(5)."""
PE_MACHINES = {0x14C: "i686", 0x8664: "x86_64", 0xAA64: "aarch64"}
"""https://learn.microsoft.com/windows/win32/debug/pe-format#machine-types"""
MACHO_CPUS = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
"""mach/machine.h"""
OS_OF = {"elf": "linux", "pe": "windows", "mach-o": "macos"}
ELF_EXECUTABLES = (2, 3)
"""ET_EXEC and ET_DYN: position independent executables are the latter."""
PT_INTERP = 3


@dataclass(frozen=True, slots=True)
class Header:
    """`archs` as in target triples (several in a universal Mach-O); `interpreter`: an ELF names a dynamic loader."""

    format: Format
    archs: tuple[str, ...]
    interpreter: bool = False


@dataclass(frozen=True, slots=True)
class BinaryFacts:
    """`size` in bytes; `libraries` are those the loader needs; `stripped`: it has no symbol table."""

    format: Format
    os: str
    arch: str
    bits: int
    static: bool
    interpreter: str | None
    libraries: tuple[str, ...]
    size: int
    stripped: bool


def read_header(path: Path) -> Header | None:
    """The header of an executable; None when the file is none that is known. Raises OSError."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    try:
        if start[:4] == b"\x7fELF":
            return _elf(start)
        if start[:2] == b"MZ":
            return _pe(start)
        return _macho(start)
    except struct.error:
        return None


def check_binary(path: Path, triple: str) -> None:
    """Raises CompileFailed when the file is not a self-contained executable for the target."""
    target = known_target(triple)
    try:
        header = read_header(path)
    except OSError as error:
        raise CompileFailed(f"the binary {path} cannot be read: {error.strerror or error}") from error
    if header is None:
        raise CompileFailed(f"{path} is not an executable that can be recognised (ELF, PE or Mach-O)")
    if (header.format, target.arch in header.archs) != (target.binary_format, True):
        raise CompileFailed(
            f"{path} is for {OS_OF[header.format]} {'/'.join(header.archs)}, but {target.os} {target.arch} is needed",
            hint=f"the compiler must be told to compile for {triple}",
        )
    if target.static and header.interpreter:
        raise CompileFailed(
            f"{path} is dynamically linked: it would need its libraries on every platform",
            hint="link it statically; for Rust: RUSTFLAGS='-C target-feature=+crt-static'",
        )


def inspect(path: Path) -> BinaryFacts:
    """All that lief can tell of an executable. Raises InvalidInput when it is none."""
    import lief

    try:
        size = path.stat().st_size
        with lief.logging.level_scope(lief.logging.LEVEL.OFF):
            binary = lief.parse(path)
    except OSError as error:
        raise InvalidInput(str(path), [Problem("", f"cannot be read: {error.strerror or error}")]) from error
    if isinstance(binary, lief.ELF.Binary):
        return _elf_facts(binary, size)
    if isinstance(binary, lief.PE.Binary):
        return _pe_facts(binary, size)
    if isinstance(binary, lief.MachO.Binary):
        return _macho_facts(binary, size)
    raise InvalidInput(str(path), [Problem("", "is not an executable that can be recognised (ELF, PE or Mach-O)")])


def _elf(start: bytes) -> Header | None:
    wide = start[4] == 2
    order = "<" if start[5] == 1 else ">"
    kind, machine = struct.unpack_from(f"{order}HH", start, 16)
    if kind not in ELF_EXECUTABLES:
        return None
    (offset,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", start, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", start, 54 if wide else 42)
    kinds = [struct.unpack_from(f"{order}I", start, offset + index * size)[0] for index in range(count)]
    return Header("elf", (ELF_MACHINES.get(machine, f"machine-{machine}"),), PT_INTERP in kinds)


def _pe(start: bytes) -> Header | None:
    (offset,) = struct.unpack_from("<I", start, 0x3C)
    if start[offset : offset + 4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", start, offset + 4)
    return Header("pe", (PE_MACHINES.get(machine, f"machine-{machine:#x}"),))


def _macho(start: bytes) -> Header | None:
    if start[:4] == b"\xcf\xfa\xed\xfe":
        cpus: tuple[int, ...] = struct.unpack_from("<I", start, 4)
    elif start[:4] == b"\xca\xfe\xba\xbe":
        (count,) = struct.unpack_from(">I", start, 4)
        # A Java class file begins with the same four bytes, then its version: 45 or more.
        if not 0 < count < 40:
            return None
        cpus = tuple(struct.unpack_from(">I", start, 8 + 20 * index)[0] for index in range(count))
    else:
        return None
    return Header("mach-o", tuple(MACHO_CPUS.get(cpu, f"cpu-{cpu:#x}") for cpu in cpus))


def _elf_facts(binary: lief.ELF.Binary, size: int) -> BinaryFacts:
    machine = binary.header.machine_type.value
    wide = binary.header.identity_class == type(binary.header).CLASS.ELF64
    libraries = tuple(str(library) for library in binary.libraries)
    interpreter = binary.interpreter if binary.has_interpreter else None
    return BinaryFacts(
        format="elf",
        os="linux",
        arch=ELF_MACHINES.get(machine, f"machine-{machine}"),
        bits=64 if wide else 32,
        static=interpreter is None and not libraries,
        interpreter=interpreter,
        libraries=libraries,
        size=size,
        stripped=not binary.has_section(".symtab"),
    )


def _pe_facts(binary: lief.PE.Binary, size: int) -> BinaryFacts:
    machine = binary.header.machine.value
    return BinaryFacts(
        format="pe",
        os="windows",
        arch=PE_MACHINES.get(machine, f"machine-{machine:#x}"),
        bits=64 if machine in (0x8664, 0xAA64) else 32,
        static=not binary.libraries,
        interpreter=None,
        libraries=tuple(str(library) for library in binary.libraries),
        size=size,
        stripped=binary.header.numberof_symbols == 0,
    )


def _macho_facts(binary: lief.MachO.Binary, size: int) -> BinaryFacts:
    cpu = binary.header.cpu_type.value
    libraries = tuple(library.name for library in binary.libraries)
    return BinaryFacts(
        format="mach-o",
        os="macos",
        arch=MACHO_CPUS.get(cpu, f"cpu-{cpu:#x}"),
        bits=64 if binary.header.is_64bit else 32,
        static=not libraries,
        interpreter=None,
        libraries=libraries,
        size=size,
        stripped=not binary.has_symbol_command,
    )
