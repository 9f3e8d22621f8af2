"""Images that are there, and those that a registry has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from harness.drivers.docker.options import DockerOptions
from harness.errors import ImageFailed

if TYPE_CHECKING:
    from docker.api.client import APIClient

_UNREACHABLE = ("no such host", "timeout", "connection refused", "dial tcp", "network is unreachable", "EOF")


class RegistrySilent(ImageFailed):
    """The registry did not answer; one that says no is another thing."""


def local(client: APIClient, name: str) -> str | None:
    from docker.errors import APIError, NotFound

    try:
        return str(client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]
    except NotFound:
        return None
    except APIError as error:
        if error.status_code == 400:
            raise ImageFailed(f"{name!r} is no name of an image: {error.explanation}") from error
        raise


def pull(client: APIClient, name: str, options: DockerOptions, say: Callable[[str], None]) -> str:
    """The id of the image, fetched now; its digest is told. Raises ImageFailed, RegistrySilent."""
    from docker.errors import APIError

    repository, tag = _split(name)
    credentials = options.registry.credentials if options.registry else None
    login = None  # then the SDK looks where `docker login` wrote
    if credentials is not None:
        login = {"username": credentials.username, "password": credentials.password.get_secret_value()}
    say(f"pulling {name}")
    try:
        events = client.pull(
            repository, tag=tag, stream=True, decode=True, auth_config=login, platform=options.platform
        )
        for line in _progress(events):
            say(f"  {line}")
    except APIError as error:
        raise _failure(name, str(error.explanation or error)) from error
    except _Refused as error:
        raise _failure(name, str(error)) from error
    found = local(client, name)
    if found is None:
        raise ImageFailed(f"{name} has been pulled and is not there")
    return found


def digest_of(client: APIClient, image: str) -> str | None:
    """As a registry gave it; None for an image that never came from one."""
    digests = client.inspect_image(image).get("RepoDigests") or []  # type: ignore[no-untyped-call]
    # Podman gives one to images that it built or loaded itself, too.
    return next((str(digest) for digest in digests if not digest.startswith("localhost/")), None)


def _split(name: str) -> tuple[str, str]:
    """Repository and tag; a digest counts as a tag."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, "latest")


class _Refused(Exception):
    """In the middle of a pull."""


def _progress(events: Any) -> Iterator[str]:
    """A line when a layer is done, and the digest."""
    for event in events:
        if "error" in event:
            raise _Refused(str(event["error"]))
        status = str(event.get("status", ""))
        if status in ("Pull complete", "Download complete", "Already exists") or status.startswith("Digest"):
            yield f"{event.get('id', '')} {status}".strip()


def _failure(name: str, words: str) -> ImageFailed:
    what = f"{name} cannot be pulled: {words}"
    if any(sign in words for sign in _UNREACHABLE):
        hint = "no registry can be reached; `image: debian-12` is made from this machine's own package sources"
        return RegistrySilent(what, hint=hint)
    if "denied" in words or "unauthorized" in words or "no basic auth" in words:
        hint = "are `registry: {url, credentials: {username, password}}` right? Or docker login"
        return ImageFailed(what, hint=hint)
    if "HTTP response to HTTPS client" in words:
        hint = "the registry has no TLS: name it in the daemon's `insecure-registries`"
        return ImageFailed(what, hint=hint)
    return ImageFailed(
        what, hint="is its name right? A folder docker/NAME with a Dockerfile is built instead of pulled"
    )
