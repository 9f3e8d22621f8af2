"""What is known about an instance once it can be reached."""

from __future__ import annotations

from harness.models.serde import Model


class Facts(Model):
    """`os`: linux, macos, windows. `arch`: as in a target triple (x86_64, aarch64). `libc`: gnu, musl, none.
    `init`: systemd, openrc, sysvinit, launchd, windows, none. `package_managers`: those on PATH. `user`: whose name
    commands run under; root where `uid` is 0, whatever that is called."""

    os: str
    arch: str
    libc: str = "none"
    init: str = "none"
    distribution: str = ""
    version: str = ""
    hostname: str = ""
    uid: int = 0
    user: str = "root"
    package_managers: tuple[str, ...] = ()
