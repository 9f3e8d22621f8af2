"""What a binary is: read from its own headers, never guessed from its name.

`read_header` looks at a few hundred bytes and is for the way to every platform; `inspect` has lief read all of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.compile.targets import known_target
from harness.errors import CompileFailed, InvalidInput, Problem

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


@dataclass(frozen=True)
class Header:
    """`archs` as in target triples (several in a universal Mach-O); `interpreter`: an ELF names a dynamic loader."""

    format: Format
    archs: tuple[str, ...]
    bits: int = 64
    interpreter: bool = False


@dataclass(frozen=True)
class BinaryFacts:
    """`arch` has a slash between those of a universal Mach-O; `size` in bytes; `libraries` are those the loader needs;
    `stripped`: it has no symbol table."""

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
    except (struct.error, IndexError):
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
    """All that can be told of an executable. Raises InvalidInput when it is none."""
    import lief

    unknown = Problem("", "is not an executable that can be recognised (ELF, PE or Mach-O)")
    try:
        header = read_header(path)
        size = path.stat().st_size
        # What our own reading refuses never gets to lief, whose bindings raise SystemError on some garbage.
        if header is None:
            raise InvalidInput(str(path), [unknown])
        with lief.logging.level_scope(lief.logging.LEVEL.OFF):
            binary = lief.parse(path)
    except OSError as error:
        raise InvalidInput(str(path), [Problem("", f"cannot be read: {error.strerror or error}")]) from error
    if isinstance(binary, lief.ELF.Binary):
        interpreter = binary.interpreter if binary.has_interpreter else None
        libraries = tuple(str(library) for library in binary.libraries)
        stripped = not binary.has_section(".symtab")
    elif isinstance(binary, lief.PE.Binary):
        interpreter = None
        libraries = tuple(str(library) for library in binary.libraries)
        stripped = binary.header.numberof_symbols == 0
    elif isinstance(binary, lief.MachO.Binary):
        interpreter = None
        libraries = tuple(library.name for library in binary.libraries)
        stripped = not binary.has_symbol_command
    else:
        raise InvalidInput(str(path), [unknown])
    return BinaryFacts(
        format=header.format,
        os=OS_OF[header.format],
        arch="/".join(header.archs),
        bits=header.bits,
        static=interpreter is None and not libraries,
        interpreter=interpreter,
        libraries=libraries,
        size=size,
        stripped=stripped,
    )


def _elf(start: bytes) -> Header | None:
    wide = start[4] == 2
    order = "<" if start[5] == 1 else ">"
    kind, machine = struct.unpack_from(f"{order}HH", start, 16)
    if kind not in ELF_EXECUTABLES:
        return None
    (offset,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", start, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", start, 54 if wide else 42)
    kinds = [struct.unpack_from(f"{order}I", start, offset + index * size)[0] for index in range(count)]
    arch = ELF_MACHINES.get(machine, f"machine-{machine}")
    return Header("elf", (arch,), 64 if wide else 32, PT_INTERP in kinds)


def _pe(start: bytes) -> Header | None:
    (offset,) = struct.unpack_from("<I", start, 0x3C)
    if start[offset : offset + 4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", start, offset + 4)
    arch = PE_MACHINES.get(machine, f"machine-{machine:#x}")
    return Header("pe", (arch,), 32 if arch == "i686" else 64)


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
