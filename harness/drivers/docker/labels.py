"""The names and labels that everything of ours carries in the daemon, known before it is made."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cache import cache_dir
from harness.drivers.base import InstanceRecord, RunId, ScenarioRef

PREFIX = "harness-e2e."
RUN = PREFIX + "run"
NETWORK = PREFIX + "network"
SNAPSHOT = PREFIX + "snapshot"
IMAGE = PREFIX + "image"
DIGEST = PREFIX + "digest"
"""Of the image as its registry gave it."""
CACHE = PREFIX + "cache"
"""Whose it is: the user's cache folder, as with the native driver. Others may use the same daemon."""
_STATUS = {"exited": "stopped", "paused": "frozen", "dead": "stopped"}
LEFTOVER_NETWORK = "(network)"
"""Stands for the platform of a network that no container needs any more."""


def scenario_digest(scenario: ScenarioRef) -> str:
    return hashlib.sha256(f"{scenario.project}\0{scenario.name}".encode()).hexdigest()[:10]


def network_name(scenario: ScenarioRef, run: RunId) -> str:
    return f"harness-{scenario_digest(scenario)}-{run}"


def container_name(scenario: ScenarioRef, run: RunId, platform: str) -> str:
    return f"{network_name(scenario, run)}-{platform}"


def make(scenario: ScenarioRef, run: RunId, *, name: str, platform: str, kept: bool, network: str) -> dict[str, str]:
    return {
        PREFIX + "name": name,
        CACHE: str(cache_dir()),
        PREFIX + "project": str(scenario.project),
        PREFIX + "scenario": scenario.name,
        PREFIX + "platform": platform,
        RUN: str(run),
        PREFIX + "kept": "true" if kept else "false",
        PREFIX + "created": f"{time.time():.3f}",
        NETWORK: network,
    }


def record(labels: Mapping[str, str], name: str, status: str, daemon: str, *, kind: str) -> InstanceRecord | None:
    """None for what is not this user's. A stranger's container takes over the labels of the image that it was made
    from, and then its name is not the one that they tell."""
    if labels.get(PREFIX + "name") != name or RUN not in labels or labels.get(CACHE) != str(cache_dir()):
        return None
    try:
        created = float(labels.get(PREFIX + "created", "0"))
    except ValueError:
        created = 0.0
    return InstanceRecord(
        driver="docker",
        id=name,
        platform=labels.get(PREFIX + "platform", ""),
        scenario=labels.get(PREFIX + "scenario", ""),
        project=Path(labels.get(PREFIX + "project", "/")),
        run=RunId(labels[RUN]),
        kept=labels.get(PREFIX + "kept") == "true",
        status=_STATUS.get(status, status),
        created=created,
        detail={
            "daemon": daemon,
            "kind": kind,
            "network": labels.get(NETWORK, ""),
            **({"digest": labels[DIGEST]} if DIGEST in labels else {}),
        },
    )


def of_container(listed: Mapping[str, Any], daemon: str) -> InstanceRecord | None:
    """From a row of the daemon's list."""
    names = listed.get("Names") or [""]
    return record(listed.get("Labels") or {}, names[0].lstrip("/"), str(listed["State"]), daemon, kind="container")
