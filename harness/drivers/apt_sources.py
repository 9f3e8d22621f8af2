"""This machine's own package sources for a Debian suite, as mmdebstrap takes them (sources.list(5), deb822 style)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_ETC = Path("/etc/apt")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)$")

Stanza = dict[str, str]


def for_suite(suite: str, etc: Path = _ETC) -> str:
    """Stanzas of this machine that offer `suite`, its updates and its security updates; empty where it has none."""
    stanzas = []
    for stanza in read(etc):
        suites = [name for name in stanza.get("Suites", "").split() if _belongs(name, suite)]
        if suites and "deb" in stanza.get("Types", "").split() and stanza.get("Enabled", "yes") != "no":
            stanzas.append({**stanza, "Types": "deb", "Suites": " ".join(suites)})
    if not any(suite in stanza["Suites"].split() for stanza in stanzas):
        return ""
    return "\n".join(_written(stanza) for stanza in stanzas)


def _belongs(name: str, suite: str) -> bool:
    return name in (suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates")


def read(etc: Path = _ETC) -> list[Stanza]:
    """Every source, in either style."""
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    stanzas = [stanza for file in files for stanza in _one_line_style(_text(file))]
    for file in sorted((etc / "sources.list.d").glob("*.sources")):
        stanzas += _deb822_style(_text(file))
    return stanzas


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _one_line_style(text: str) -> list[Stanza]:
    stanzas = []
    for line in text.splitlines():
        found = _ONE_LINE.match(line.partition("#")[0].strip())
        if found:
            stanza = {"Types": "deb", "URIs": found["uri"], "Suites": found["suite"], "Components": found["components"]}
            for option in (found["options"] or "").split():
                name, _, value = option.partition("=")
                if name.lower() in ("signed-by", "trusted"):
                    stanza[name.title()] = value
            stanzas.append(stanza)
    return stanzas


def _deb822_style(text: str) -> list[Stanza]:
    stanzas = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        stanza: Stanza = {}
        name = ""
        for line in block.splitlines():
            if line[:1] in (" ", "\t") and name:
                stanza[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = {"uris": "URIs"}.get(name.strip().lower(), name.strip().title())
                stanza[name] = value.strip()
        if stanza:
            stanzas.append(stanza)
    return stanzas


def _written(stanza: Stanza) -> str:
    return "".join(f"{name}: {value}\n" for name, value in stanza.items())


def proxy_options() -> list[str]:
    """mmdebstrap reads none of this machine's apt configuration: hand its proxies on."""
    try:
        done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [f"--aptopt={line}" for line in lines if re.match(r'^Acquire::\w+::Proxy(::\S+)? ".+";$', line)]
