"""This machine's package sources, in either style."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drivers import apt_sources

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates sid
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm-security
Components: main

Types: deb
URIs: https://vendor.example/apt
Suites: stable
Components: main
"""
ONE_LINE = """\
deb http://one.example/debian bookworm main # trailing
deb-src http://one.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://one.example/security bookworm-security main contrib
# deb http://off.example/debian bookworm main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_deb822(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    text = apt_sources.for_suite("bookworm", etc)
    assert "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n" in text
    assert " -----END PGP PUBLIC KEY BLOCK-----" in text
    assert "off.example" not in text
    assert "vendor.example" not in text


def test_one_line(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    text = apt_sources.for_suite("bookworm", etc)
    assert text.count("URIs: ") == 2
    assert "Suites: bookworm-security\nComponents: main contrib\nSigned-By: /k.gpg\n" in text
    assert "off.example" not in text


def test_a_machine_without_that_suite(etc: Path) -> None:
    """Ubuntu, say: mmdebstrap is left to its own mirrors."""
    (etc / "sources.list").write_text("deb http://mirror.example/ubuntu noble main\n")
    assert apt_sources.for_suite("bookworm", etc) == ""
