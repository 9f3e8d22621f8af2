"""All that a sandbox is made of, worked out by the driver: the supervisor follows it and decides nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` and `dataclasses` cost milliseconds of start
if TYPE_CHECKING:
    from typing import Any


class Recipe:
    """Plain values only: it travels as `marshal` data.

    - `directory`: the sandbox's own folder on the host. It has a folder `mounts`, over which all is mounted that only
      the holder sees, and, for layers on disk, a folder `layers`.
    - `user_map`, `group_map`: (inside, outside, count) triples; empty: no user name space.
      `map_helper`: by newuidmap and newgidmap.
    - `overlays`: (target, source, layer, hidden, bases): at `target` a copy-on-write view of the host's `source`,
      changes in the layer named `layer`, over `bases` (folders of earlier upper layers, the newest first); `hidden` are
      relative paths of folders (empty inside) and files (absent inside). Sorted: a parent comes before what lies in it.
      The first one is "/", or `plain` says what "/" is.
    - `copy_bases`: begin with a copy of `bases` instead: a folder on the host's root cannot be a layer over that root.
    - `plain`: (path, kind, source) of folders, files and links that are made rather than overlaid, where the host's
      root cannot be one overlay; kind is `dir`, `file` or `link`. `plain_base`: a folder that holds them already.
    - `memory`: the size of the tmpfs that holds the layers, as mount option (`50%`, `2g`), or "" for layers on disk.
    - `binds`: (source, target, writable) from the host.
    - `files`: (path, text) written inside at the first start.
    - `run_folders`: (name, mode, uid, gid) below /run.
    - `devices`: names below /dev.
    - `capabilities`: bit mask of what PID 1 keeps, or -1 for everything, out of effect.
      `init`: argument vector of PID 1, empty for our own.
    - `cgroups`: folders on the host that PID 1 joins; `holder_cgroups`: those that the holder joins before it gives up
      its own rights; `cgroup_roots`: what is removed with the sandbox, with all below it.
    - `cgroup_mounts`: (path, type, options) that PID 1 mounts for systemd.
    - `private_network`, `keep`: as they say. `environment`: of `init`.
    """

    def __init__(self, **values: Any) -> None:
        self.directory: str = values["directory"]
        self.hostname: str = values["hostname"]
        self.user_map: list[tuple[int, int, int]] = values["user_map"]
        self.group_map: list[tuple[int, int, int]] = values["group_map"]
        self.map_helper: bool = values["map_helper"]
        self.overlays: list[tuple[str, str, str, list[str], list[str]]] = values["overlays"]
        self.copy_bases: bool = values["copy_bases"]
        self.plain: list[tuple[str, str, str]] = values["plain"]
        self.plain_base: str = values["plain_base"]
        self.memory: str = values["memory"]
        self.binds: list[tuple[str, str, bool]] = values["binds"]
        self.files: list[tuple[str, str]] = values["files"]
        self.run_folders: list[tuple[str, int, int, int]] = values["run_folders"]
        self.devices: list[str] = values["devices"]
        self.capabilities: int = values["capabilities"]
        self.init: list[str] = values["init"]
        self.environment: dict[str, str] = values["environment"]
        self.cgroups: list[str] = values["cgroups"]
        self.holder_cgroups: list[str] = values["holder_cgroups"]
        self.cgroup_roots: list[str] = values["cgroup_roots"]
        self.cgroup_mounts: list[tuple[str, str, str]] = values["cgroup_mounts"]
        self.private_network: bool = values["private_network"]
        self.keep: bool = values["keep"]

    def values(self) -> dict[str, Any]:
        return dict(vars(self))

    @property
    def user_name_space(self) -> bool:
        return bool(self.user_map)

    def layer(self, name: str, part: str) -> str:
        """The path, in the holder's mounts, of a layer's `upper`, `work` or `mask`."""
        return f"{self.directory}/layers/{name}/{part}"

    @property
    def plain_root(self) -> str:
        return f"{self.directory}/layers/plain/upper"
