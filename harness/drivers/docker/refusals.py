"""What a daemon's refusal means, in clear words and with the cure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from harness import daemon
from harness.errors import DriverFailed
from harness.models.endpoint import DaemonAddress

_KNOWN: tuple[tuple[str, str, str], ...] = (
    # (what the daemon says, what it means, what to do)
    (
        r"invalid Cap(Add|Drop)|unknown capability",
        "there is no such capability",
        "see capabilities(7); they are written as NET_ADMIN or CAP_NET_ADMIN",
    ),
    (
        r"apply caps|operation not permitted.*(?:caps|capset|bounding)|permission denied.*caps",
        "the daemon's own machine lacks a capability that was asked for (`privileged` and ALL ask for every one)",
        "name only what is needed in `capabilities`, or take the missing one away by `cap_drop: [SYS_RESOURCE]`",
    ),
    (
        r"no space left on device",
        "the daemon's disk is full",
        "docker system df; docker image prune; harness images prune --docker",
    ),
    (
        r"port is already allocated|address already in use",
        "a published port is in use",
        "publish another port, or none: platforms reach each other on the scenario's network without it",
    ),
    (
        r"is already in use by container",
        "its name is taken by a container that is not of this run",
        "docker ps -a tells which; docker rm removes it",
    ),
    (
        r"(?:exec:|executable file).*not found|no such file or directory: unknown",
        "its command is not in the image",
        "give a `command` that the image has, or `override_command: false`",
    ),
    (
        r"predefined address pools",
        "the daemon has no free address range for another network",
        "docker network prune; harness destroy --orphans; or `network_mode: bridge`",
    ),
    (
        r"container-init binary not found",
        "Podman has no init to run as PID 1",
        "install catatonit on the daemon's machine",
    ),
    (
        r"Pool overlaps with other one",
        "another network has the addresses that `docker_networks` asks for",
        "give another `subnet`, or leave it out; docker network ls",
    ),
    (
        r"docker-init",
        "the daemon has no docker-init",
        "install tini (Debian: docker.io brings it) on the daemon's machine",
    ),
    (
        r"Ports are not available|permission denied.*bind",
        "a published port cannot be bound",
        "publish a port above 1023",
    ),
    (r"does not match the specified platform", "the image is of another platform", "give its `platform:`, or pull it"),
)


@contextmanager
def explained(name: str, address: DaemonAddress) -> Iterator[None]:
    """Turns the SDK's errors into ours. `name` is a platform's, or empty."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise failure(name, str(error.explanation or error)) from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise daemon.unreachable(address, error) from error


def failure(name: str, words: str) -> DriverFailed:
    start = f"{name}: " if name else ""
    words = words.strip().removesuffix(": unknown")
    for pattern, meaning, cure in _KNOWN:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return DriverFailed(f"{start}{meaning}: {words}", hint=cure)
    return DriverFailed(f"{start}the daemon refused: {words}")
