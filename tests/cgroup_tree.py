"""Cgroup hierarchies as files of a test: what the kernel would show, in either version.

A machine rarely has both versions with all controllers, and nobody but root may change them. What
reads them takes any folder for /proc, and follows its mountinfo from there.
"""

from pathlib import Path

_UNIFIED = "41 31 0:38 {root} {point} rw,relatime - cgroup2 cgroup2 rw\n"
_LEGACY = "{id} 31 0:{id} {root} {point} rw,relatime - cgroup cgroup rw,{controllers}\n"


class CgroupTree:
    """A `proc` folder, and the hierarchies that its mountinfo names.

    `legacy` are the controllers that version 1 has; `root` is the cgroup seen at the mount points.
    """

    def __init__(self, directory: Path, *legacy: str, root: str = "/") -> None:
        self.proc = directory / "proc"
        self.unified = directory / "uni fied"
        self._legacy = {name: directory / name.replace(",", "_") for name in legacy}
        (self.proc / "self").mkdir(parents=True)
        shown = str(self.unified).replace(" ", r"\040")
        mounts = "23 1 8:1 / / rw - ext4 /dev/root rw\n" + _UNIFIED.format(root=root, point=shown)
        for number, (name, point) in enumerate(self._legacy.items(), start=50):
            mounts += _LEGACY.format(id=number, root=root, point=point, controllers=name)
        (self.proc / "self" / "mountinfo").write_text(mounts)
        self.put("self", "/")

    def put(self, pid: int | str, unified: str, **legacy: str) -> None:
        """Let this process be in these cgroups; where version 1 is not named, in its root."""
        lines = [f"0::{unified}"]
        for number, name in enumerate(self._legacy, start=1):
            lines.append(f"{number}:{name}:{legacy.get(name.partition(',')[0], '/')}")
        (self.proc / str(pid)).mkdir(exist_ok=True)
        (self.proc / str(pid) / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def write(self, cgroup: str, file: str, text: str, *, legacy: str = "") -> Path:
        """Have a file in a cgroup, of the unified hierarchy or of that of a controller."""
        folder = (self._legacy[legacy] if legacy else self.unified) / cgroup.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
        return folder / file
