"""Disks that others made, and what a seed says. (What the catalogue's disk does is tested where it boots.)"""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from harness.compile.store import Store
from harness.drivers.disks import DOWNLOADED, disk_image, shelf
from harness.drivers.disks.seed import Seed, user_data, write_seed
from harness.errors import HarnessError, ImageFailed

pytestmark = pytest.mark.skipif(
    subprocess.run(["sh", "-c", "command -v qemu-img"], capture_output=True, check=False).returncode != 0,
    reason="qemu-img is missing",
)


def silent(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_disk(path: Path, form: str = "qcow2", *options: str) -> str:
    """Its sha256."""
    path.parent.mkdir(exist_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", form, *options, str(path), "4M"], check=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"too little")
            return
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []
    handler = type("Handler", (Quiet,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{opened.server_address[1]}", folder, asked
        opened.shutdown()
        thread.join()


def test_a_cloud_image_is_fetched_once(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    url, folder, asked = server
    digest = make_disk(folder / "cloud.qcow2")
    told: list[str] = []
    first = disk_image(f"{url}/cloud.qcow2#sha256={digest}&user=debian", tmp_path, arch="x86_64", tell=told.append)
    assert (first.name, first.format, first.user, first.firmware) == ("cloud.qcow2", "qcow2", "debian", "bios")
    assert first.seed and not first.serial_shell and first.kernel is None
    assert hashlib.sha256(first.path.read_bytes()).hexdigest() == digest
    assert told == [f"fetching {url}/cloud.qcow2"]
    again = disk_image(f"{url}/cloud.qcow2#sha256={digest.upper()}", tmp_path, arch="x86_64", tell=told.append)
    assert (again.path, again.user, asked) == (first.path, "root", ["/cloud.qcow2"])
    assert disk_image(f"{url}/cloud.qcow2#sha256={digest}", tmp_path, arch="aarch64").firmware == "uefi"


def test_a_file_by_url_is_fetched_again_once_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "with space" / "own.qcow2"
    digest = make_disk(path)
    told: list[str] = []
    url = path.as_uri()
    first = disk_image(f"{url}#user=debian", tmp_path, tell=told.append)
    assert (first.name, first.user, told) == ("own.qcow2", "debian", [f"fetching {url}"])
    assert first.path != path and hashlib.sha256(first.path.read_bytes()).hexdigest() == digest
    local = url.replace("file://", "FILE://localhost")
    assert disk_image(local, tmp_path, tell=told.append).path == first.path
    assert len(told) == 1
    known = disk_image(f"{url}#sha256={digest}&user=debian", tmp_path, tell=silent)
    assert known.digest == first.digest, "whoever says what it is gets the same disk"
    os.utime(path)
    assert disk_image(f"{url}#user=debian", tmp_path, tell=told.append).digest == first.digest
    make_disk(path, "qcow2", "-o", "cluster_size=32k")
    assert disk_image(f"{url}#user=debian", tmp_path, tell=told.append).digest != first.digest
    assert len(told) == 3
    with pytest.raises(ImageFailed, match=r"has the sha256 .* and not 0000"):
        disk_image(f"{url}#sha256={'0' * 64}", tmp_path, tell=silent)
    for fragment in ("", f"#sha256={'0' * 64}"):
        with pytest.raises(ImageFailed, match=r"file:///nowhere/x cannot be fetched: .*No such file"):
            disk_image(f"file:///nowhere/x{fragment}", tmp_path, tell=silent)
    with pytest.raises(ImageFailed, match=r"'images' is taken for a machine"):
        disk_image("file://images/own.qcow2", tmp_path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("cloud.qcow2", "has the sha256 .* and not 0000"),
        ("missing", "cannot be fetched: .*404"),
        ("broken", "10 of 1000000 bytes|cannot be fetched"),
    ],
)
def test_what_is_not_as_it_should_be_leaves_nothing(
    server: tuple[str, Path, list[str]], tmp_path: Path, cache: Path, path: str, words: str
) -> None:
    url, folder, _ = server
    make_disk(folder / "cloud.qcow2")
    with pytest.raises(ImageFailed, match=words) as caught:
        disk_image(f"{url}/{path}#sha256={'0' * 64}", tmp_path, tell=silent)
    assert url in caught.value.message
    assert list(Store().entries(DOWNLOADED)) == []
    assert [file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock"] == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed, match=r"http://127\.0\.0\.1:9/x cannot be fetched: .*refused"):
        disk_image(f"http://127.0.0.1:9/x#sha256={'0' * 64}", tmp_path, tell=silent)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed) as caught:
        disk_image("https://example.org/x#shasum=1&user=a b&firmware=efi&seed=maybe", tmp_path)
    for words in ("'shasum' is not known", "sha256 is missing", "user=a b", "firmware=efi", "seed=maybe"):
        assert words in caught.value.message
    with pytest.raises(ImageFailed, match="sha256 is not 64 hexadecimal digits"):
        disk_image("https://example.org/x#sha256=abc", tmp_path)
    with pytest.raises(ImageFailed, match=r"'latest' is not known.*sha256 is missing"):
        disk_image("https://example.org/x#latest", tmp_path)


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_a_disk_of_ones_own(tmp_path: Path, form: str) -> None:
    path = tmp_path / "images" / "own"
    make_disk(path, form)
    found = disk_image("images/own#seed=no&serial=yes", tmp_path)
    assert (found.path, found.format, found.seed, found.serial_shell) == (path, form, False, True)
    assert disk_image(str(path), tmp_path).digest == found.digest
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    assert disk_image(str(path), tmp_path).digest != found.digest


def test_what_is_no_disk(tmp_path: Path) -> None:
    for name, content, words in (
        ("packed.xz", b"\xfd7zXZ\0rest", "packed .xz."),
        ("text", b"no disk at all", "no disk: it has 512 bytes"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageFailed, match=words):
            disk_image(f"./{name}", tmp_path)
    with pytest.raises(ImageFailed, match="missing cannot be read: No such file"):
        disk_image("./missing", tmp_path)
    make_disk(tmp_path / "other", "vmdk")
    with pytest.raises(ImageFailed, match="format vmdk"):
        disk_image("./other", tmp_path)


def test_a_disk_that_leads_to_other_files_is_refused(tmp_path: Path) -> None:
    make_disk(tmp_path / "base")
    make_disk(tmp_path / "overlay", "qcow2", "-b", "/etc/shadow", "-F", "raw", "-u")
    with pytest.raises(ImageFailed, match="leans on another file"):
        disk_image("./overlay", tmp_path)


def test_a_name_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed, match="there is no image 'debian-99'"):
        disk_image("debian-99", tmp_path)
    with pytest.raises(ImageFailed, match="no recipe for a disk of debian-12 for sparc"):
        disk_image("debian:12", tmp_path, arch="sparc")


def test_a_seed_holds_what_it_was_given(tmp_path: Path) -> None:
    pycdlib = pytest.importorskip("pycdlib")
    path = tmp_path / "seed.iso"
    seed = Seed("run-1", "web1", "admin", ("ssh-ed25519 AAAA someone",), ("PRIVATE", "ssh-ed25519 BBBB"))
    write_seed(path, seed)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["seed.iso"]
    image = pycdlib.PyCdlib()
    image.open(str(path))
    try:
        assert image.pvd.volume_identifier.strip() == b"cidata"
        content = io.BytesIO()
        image.get_file_from_iso_fp(content, rr_path="/user-data")
        assert content.getvalue().decode() == user_data(seed)
        content = io.BytesIO()
        image.get_file_from_iso_fp(content, joliet_path="/meta-data")
        assert b'"instance-id": "run-1"' in content.getvalue()
    finally:
        image.close()


def test_a_seed_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pycdlib")
    with pytest.raises((OSError, HarnessError)):
        write_seed(tmp_path / "missing" / "seed.iso", Seed("i", "h", "root"))
    assert [file for file in tmp_path.iterdir() if file.is_file()] == []


def test_the_shelf(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    """What something lies on stays; a download goes only when all shall."""
    url, folder, _ = server
    images = []
    for name in ("one", "two"):
        digest = make_disk(folder / name, "qcow2", "-o", f"cluster_size={'64k' if name == 'one' else '32k'}")
        images.append(disk_image(f"{url}/{name}#sha256={digest}", tmp_path, tell=silent))
    assert {(disk.name, disk.current) for disk in shelf.listed()} == {("one", True), ("two", True)}
    assert shelf.prune(everything=False) == ([], [])
    owner = tmp_path / "guest"
    owner.mkdir()
    shelf.keep(images[0], owner)
    removed, left = shelf.prune(everything=True)
    assert ([disk.name for disk in removed], [disk.name for disk in left]) == (["two"], ["one"])
    assert images[0].path.exists() and not images[1].path.exists()
    owner.rmdir()
    assert [disk.name for disk in shelf.prune(everything=True)[0]] == ["one"]
    assert shelf.listed() == []
