"""The image that a platform's `image:` names: a folder under docker/, a local image, a pulled one, the catalogue."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cache import cache_dir
from harness.data import data_dir
from harness.drivers import images as catalogue
from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.drivers.docker import labels, pulls
from harness.drivers.docker.options import DockerOptions
from harness.errors import HarnessError, ImageFailed

if TYPE_CHECKING:
    from docker.api.client import APIClient

_BASE = re.compile(r"^ARG[ \t]+BASE=(\S+)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
Tell = catalogue.Tell
Found = dict[str, str]
"""What images have been found to be while one call makes several platforms."""
_DECIDE = {"docker_host", "registry", "pull", "platform", "buildargs", "cache_from"}
OURS = "harness-local/"
"""How the names of all images begin that are made here."""


@dataclass(frozen=True)
class Build:
    """What an image is built from. `name` is that of its folder."""

    name: str
    context: Path
    dockerfile: str
    """Its text."""
    buildargs: Mapping[str, str]
    platform: str | None = None
    cache_from: tuple[str, ...] = ()


def resolve(
    client: APIClient,
    spec: PlatformSpec,
    options: DockerOptions,
    scenario: ScenarioRef,
    tell: Tell | None = None,
    *,
    found: Found | None = None,
) -> str:
    """The id or name of an image that is there now; what stands in `found` is not looked for again. Raises
    ImageFailed, docker's errors."""
    say = tell or _to_stderr
    if options.dockerfile is not None:
        return _from_dockerfile(client, spec, options, scenario, say)
    if spec.image is None:
        raise ImageFailed(f"{spec.name}: a container needs an image", hint="add `image: debian:12` to the platform")
    known: Found = {} if found is None else found
    asked = options.model_dump_json(include=_DECIDE)
    key = f"{client.base_url} {spec.image} {asked}"
    if key not in known:
        known[key] = Finder(client, scenario.project, options, say).find(spec.image)
    image = known[key]
    return image if options.pre_build_image else _prepared(client, spec, options, image, scenario, say)


@dataclass(frozen=True)
class Finder:
    """`project` holds the folder docker/ that is looked into first."""

    client: APIClient
    project: Path
    options: DockerOptions
    say: Tell

    def find(self, name: str, seen: tuple[str, ...] = ()) -> str:
        """Raises ImageFailed."""
        if name in seen:
            raise ImageFailed(
                f"the image {name} is built on itself: {' -> '.join((*seen, name))}",
                hint="`ARG BASE=` in one of their Dockerfiles has to name an image below all of them",
            )
        folder = find_folder(self.project, name)
        if folder is not None:
            return self.build_folder(name, folder, seen)
        wanted = f"{self.options.registry.url.rstrip('/')}/{name}" if self.options.registry and not seen else name
        known = catalogue.canonical(name) in catalogue.CATALOGUE
        # A hub has no image of the catalogue's own spelling, or a stranger's.
        ours = known and ":" not in name
        asks = self.options.pull == "always"
        if not ours and not asks and (there := pulls.local(self.client, wanted)) is not None:
            return there
        if self.options.pull == "never" and not known:
            raise ImageFailed(
                f"the image {wanted} is not there, and `pull: never` keeps it from being fetched",
                hint=f"docker pull {wanted}; or leave out `pull`",
            )
        if known and (there := imported(self.client, name)) is not None:
            return there
        try:
            if not ours and self.options.pull != "never":
                return pulls.pull(self.client, wanted, self.options, self.say)
        except ImageFailed as error:
            silent = isinstance(error, pulls.RegistrySilent)
            there = pulls.local(self.client, wanted)
            if there is not None and silent:
                self.say(f"{wanted} could not be pulled, no registry answers; the local one is used")
                return there
            if not known or (self.options.registry is not None and not silent):
                raise
            self.say(f"{wanted} could not be pulled; it is made from this machine's own package sources")
        return import_catalogue(self.client, name, self.say)

    def build_folder(self, name: str, folder: Path, seen: tuple[str, ...] = ()) -> str:
        text = _read_dockerfile(folder / "Dockerfile")
        arguments = dict(self.options.buildargs)
        base = _BASE.search(text)
        if base is not None and "BASE" not in arguments:
            below = Finder(self.client, self.project, DockerOptions(platform=self.options.platform), self.say)
            arguments["BASE"] = below.find(base[1], (*seen, name))
        plan = Build(name, folder, text, arguments, self.options.platform, tuple(self.options.cache_from))
        return build(self.client, plan, self.say)


def find_folder(project: Path, name: str) -> Path | None:
    """A folder with a Dockerfile: the project's own, then ours."""
    if not _NAME.fullmatch(name):
        return None
    places = [project / "docker"]
    with suppress(HarnessError):
        places.append(data_dir("docker"))
    return next((place / name for place in places if (place / name / "Dockerfile").is_file()), None)


def folders(project: Path) -> dict[str, Path]:
    """All names that a folder stands for."""
    found: dict[str, Path] = {}
    for place in (project / "docker", data_dir("docker")):
        for path in sorted(place.glob("*/Dockerfile")):
            found.setdefault(path.parent.name, path.parent)
    return found


def imported(client: APIClient, name: str) -> str | None:
    image = catalogue.find(name)
    return _there(client, base_reference(image)) if image is not None else None


def base_reference(image: catalogue.Image) -> str:
    """Not the name of the folder docker/NAME, which is built on it."""
    return f"harness-local/{image.name}-base:{image.digest[:12]}"


def _there(client: APIClient, reference: str) -> str | None:
    """A name of ours stands for its content; the daemon's id of an import changes with every import."""
    return reference if pulls.local(client, reference) is not None else None


def import_catalogue(client: APIClient, name: str, tell: Tell) -> str:
    """The catalogue's root file system as an image named `harness-local/NAME:DIGEST`, once for each daemon."""
    image = catalogue.ensure(name, tell=tell)
    reference = base_reference(image)
    with _locked(reference):
        if _there(client, reference) is not None:
            return reference
        tell(f"importing {reference}")
        repository, _, tag = reference.rpartition(":")
        changes = [f'LABEL "{labels.IMAGE}"="{image.name}-base"', 'CMD ["bash"]']
        with image.tar.open("rb") as file:
            # Without a length: the SDK asks for chunks, and requests would add the length of a file.
            chunks = iter(lambda: file.read(1 << 20), b"")
            said = str(client.import_image_from_stream(chunks, repository=repository, tag=tag, changes=changes))
        made = re.findall(r"\b[0-9a-f]{64}\b", said)
        if made and _there(client, reference) is None:  # Podman's own idea of `tag` is `latest`
            client.tag(made[-1], repository, tag)
    if _there(client, reference) is None:
        raise ImageFailed(f"{reference} could not be imported", hint="is there space? docker system df")
    return reference


def build(client: APIClient, plan: Build, tell: Tell) -> str:
    """The image, built unless it is there; of several processes one builds and the others wait."""
    archive = _archive(plan)
    digest = _digest(plan, archive)
    reference = f"harness-local/{plan.name}:{digest}"
    if _there(client, reference) is not None:
        return reference
    with _locked(reference):
        if _there(client, reference) is None:
            tell(f"building {reference}")
            _run_build(client, plan, archive, reference, tell)
    if _there(client, reference) is None:
        raise ImageFailed(f"{reference} has been built and is not there")
    return reference


def _run_build(client: APIClient, plan: Build, archive: bytes, reference: str, tell: Tell) -> None:
    last: list[str] = []
    events = client.build(
        fileobj=io.BytesIO(archive),
        custom_context=True,
        encoding="gzip",
        tag=reference,
        rm=True,
        forcerm=True,
        decode=True,
        buildargs=dict(plan.buildargs),
        platform=plan.platform,
        cache_from=list(plan.cache_from) or None,
        labels={labels.IMAGE: plan.name},
    )
    for event in events:
        if "error" in event:
            words = "\n".join(line for line in [*last, str(event["error"]).strip()] if line)
            raise ImageFailed(f"building {plan.name}: {words}", hint=f"see {plan.context / 'Dockerfile'}")
        line = str(event.get("stream", "")).strip()
        if line:
            last = [*last[-9:], line]
            if line.startswith("Step "):
                tell(f"  {line.splitlines()[0][:100]}")


def _archive(plan: Build) -> bytes:
    """The context, the same bytes whenever the files are the same."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        paths = sorted(
            path for path in plan.context.rglob("*") if path.name != "Dockerfile" or path.parent != plan.context
        )
        for path in paths:
            member = archive.gettarinfo(str(path), arcname=path.relative_to(plan.context).as_posix())
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            if member.isreg():
                with path.open("rb") as file:
                    archive.addfile(member, file)
            else:
                archive.addfile(member)
        text = plan.dockerfile.encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    import gzip

    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def _digest(plan: Build, archive: bytes) -> str:
    hashed = hashlib.sha256(archive)
    for name, value in sorted(plan.buildargs.items()):
        hashed.update(f"{name}={value}\0".encode())
    hashed.update(str(plan.platform).encode())
    return hashed.hexdigest()[:12]


def _from_dockerfile(
    client: APIClient, spec: PlatformSpec, options: DockerOptions, scenario: ScenarioRef, tell: Tell
) -> str:
    path = (scenario.directory / str(options.dockerfile)).resolve()
    text = _read_dockerfile(path)
    if path.suffix == ".j2":
        text = _rendered(text, spec, options, path)
    if spec.image is not None:
        text = _based(text, spec.image, Finder(client, scenario.project, options, tell))
    name = re.sub(r"[^a-z0-9]+", "-", f"{scenario.name}-{spec.name}".lower()).strip("-") or "image"
    return build(
        client, Build(name, path.parent, text, options.buildargs, options.platform, tuple(options.cache_from)), tell
    )


def _rendered(text: str, spec: PlatformSpec, options: DockerOptions, path: Path) -> str:
    from jinja2 import Environment, StrictUndefined, TemplateError

    # Only what is said: Molecule's own template asks what `is defined`.
    item = {"name": spec.name, "groups": list(spec.groups), **options.model_dump(exclude_unset=True)}
    if spec.image is not None:
        item["image"] = spec.image
    try:
        return Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(text).render(item=item)
    except TemplateError as error:
        raise ImageFailed(f"{path}: {error}") from error


def _based(text: str, image: str, finder: Finder) -> str:
    """The Dockerfile with `FROM image` on the image that the name stands for here: a builder would ask a registry."""
    line = re.compile(rf"^(FROM[ \t]+(?:--platform=\S+[ \t]+)?)(?:\S+/)?{re.escape(image)}(?=[ \t]|$)", re.M | re.I)
    if not line.search(text):
        return text
    found = finder.find(image)
    return line.sub(lambda match: match[1] + found, text)


_PREPARED = """FROM {image}
RUN if command -v python3 >/dev/null && command -v sudo >/dev/null && command -v bash >/dev/null; then :; \\
    elif command -v apt-get >/dev/null; then apt-get update \\
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
            bash ca-certificates iproute2 python3 python3-apt sudo && rm -rf /var/lib/apt/lists/*; \\
    elif command -v dnf >/dev/null; then dnf install -y bash iproute python3 sudo && dnf clean all; \\
    elif command -v zypper >/dev/null; then zypper -n install bash iproute2 python3 sudo && zypper clean -a; \\
    elif command -v apk >/dev/null; then apk add --no-cache bash ca-certificates python3 sudo; \\
    else echo 'no package manager that is known' >&2; exit 1; fi
"""


def _prepared(
    client: APIClient, spec: PlatformSpec, options: DockerOptions, image: str, scenario: ScenarioRef, tell: Tell
) -> str:
    """`pre_build_image: false`: what Ansible and testinfra want, on the image that is named."""
    own = scenario.directory / "Dockerfile.j2"
    if own.is_file():
        return _from_dockerfile(client, spec, options.model_copy(update={"dockerfile": own.name}), scenario, tell)
    empty = cache_dir() / "docker" / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", str(spec.image).lower()).strip("-")
    return build(
        client,
        Build(f"{name}-prepared", empty, _PREPARED.format(image=image), options.buildargs, options.platform),
        tell,
    )


def _read_dockerfile(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageFailed(f"{path} cannot be read: {error}") from error


@contextmanager
def _locked(reference: str) -> Iterator[None]:
    from filelock import FileLock

    folder = cache_dir() / "docker" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder / (re.sub(r"[^A-Za-z0-9.-]", "_", reference) + ".lock"))):
        yield


def _to_stderr(line: str) -> None:
    print(f"harness: {line}", file=sys.stderr, flush=True)
