"""JSON Schemas of what each generation of Grafana imports, derived from the types it published.

They are derived anew when package-lock.json or the script changes, and kept in .cache/ until then.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from drawn import GRAFANA, Dashboard, Panel, panels_of
from jsonschema import Draft7Validator

NODE = GRAFANA / "node"
CACHE = GRAFANA.parent / ".cache" / "grafana"
GENERATIONS = ("10", "11", "12", "13")
# What follows from them. A new npm project, a new cache.
_SOURCES = ("package-lock.json", "schemas.mjs")

# Settings of annotations that belong to Grafana's Prometheus plugin. The types of dashboards don't
# know of them, since every plugin adds what it likes.
PROMETHEUS_ANNOTATION = {
    "expr": str,
    "step": str,
    "tagKeys": str,
    "textFormat": str,
    "titleFormat": str,
    "useValueForTime": bool,
}


class Generation:
    """What one generation of Grafana takes."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.version: str = schemas["version"]
        self._dashboard = Draft7Validator(schemas["dashboard"])
        self._query = Draft7Validator(schemas["query"]) if schemas["query"] else None
        self._panels = {
            (kind, part): Draft7Validator(schema)
            for kind, parts in schemas["panels"].items()
            for part, schema in parts.items()
        }

    def complaints(self, dashboard: Dashboard) -> Iterator[str]:
        """All that it would not take."""
        yield from _complaints(self._dashboard, _without_prometheus(dashboard), "")
        for panel in panels_of(dashboard):
            yield from self._of_panel(panel)
            if self._query is not None:
                for target in panel["targets"]:
                    where = f"{panel['title']!r} {target['refId']}"
                    yield from _complaints(self._query, target, where)

    def _of_panel(self, panel: Panel) -> Iterator[str]:
        given = {
            "Options": panel["options"],
            "FieldConfig": panel["fieldConfig"]["defaults"].get("custom", {}),
        }
        for part, value in given.items():
            where = f"{panel['type']} {panel['title']!r} {part}"
            validator = self._panels.get((panel["type"], part))
            if validator is not None:
                yield from _complaints(validator, value, where)
            elif value:
                yield f"{where}: takes none"

    def knows(self, kind: str, option: str) -> bool:
        """Whether this kind of panel has such an option."""
        schema = self._panels[kind, "Options"].schema
        assert isinstance(schema, dict)
        name = schema["$ref"].rpartition("/")[2]
        while "$ref" in schema["definitions"][name]:
            name = schema["definitions"][name]["$ref"].rpartition("/")[2]
        return option in schema["definitions"][name]["properties"]


def _complaints(validator: Draft7Validator, value: Any, where: str) -> Iterator[str]:
    for error in validator.iter_errors(value):
        for one in error.context or [error]:
            path = "/".join(map(str, one.absolute_path))
            yield f"{where} {path}: {one.message[:300]}"


def _without_prometheus(dashboard: Dashboard) -> Dashboard:
    annotations = [
        {key: value for key, value in one.items() if key not in PROMETHEUS_ANNOTATION}
        for one in dashboard["annotations"]["list"]
    ]
    return {**dashboard, "annotations": {"list": annotations}}


@cache
def generation(number: str) -> Generation:
    """The schemas of one generation, derived if they are not there."""
    directory = CACHE / _key()
    file = directory / f"{number}.json"
    with _alone():
        if not file.exists():
            directory.mkdir(parents=True, exist_ok=True)
            _install()
            unfinished = file.with_suffix(".part")
            _run("node", "schemas.mjs", number, str(unfinished))
            unfinished.rename(file)
    return Generation(json.loads(file.read_text()))


def _key() -> str:
    contents = b"".join((NODE / name).read_bytes() for name in _SOURCES)
    return hashlib.sha256(contents).hexdigest()[:16]


def _install() -> None:
    """Install what package-lock.json names, unless it is there. Nothing of it is run by that."""
    stamp = NODE / "node_modules" / ".opsvisor"
    if stamp.exists() and stamp.read_text() == _key():
        return
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    stamp.write_text(_key())


def _run(*command: str) -> None:
    assert shutil.which(command[0]), (
        f"{command[0]} is not installed\n    hint: apt-get install nodejs npm"
    )
    ran = subprocess.run(
        command, cwd=NODE, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"


@contextmanager
def _alone() -> Iterator[None]:
    """Other workers, and other runs, wait until this one has them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
