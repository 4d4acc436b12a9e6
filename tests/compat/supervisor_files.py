"""Configurations for tests: written to a folder, then read by opsvisor."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.settings import Loaded
from opsvisor.core.spec import ProcessSpec


def write(folder: Path, text: str, name: str = "supervisord.conf") -> Path:
    """A file of this text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """What a main file of this text means, with an empty environment unless one is given."""
    return load(write(folder, text), environ or {})


def specs(loaded: Loaded) -> dict[str, ProcessSpec]:
    """Every process by `group:name`."""
    return {f"{i.group}:{i.name}": spec for i, spec in loaded.plan.specs().items()}


def only_spec(folder: Path, program: str, environ: Mapping[str, str] | None = None) -> ProcessSpec:
    """The one process of a [program:a] with these lines and the command /bin/cat."""
    text = f"[supervisord]\n[program:a]\ncommand = /bin/cat\n{program}\n"
    (spec,) = specs(load_text(folder, text, environ)).values()
    return spec


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    """Everything that is wrong with a main file of this text."""
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text)
    return caught.value.problems


def brief(found: tuple[Problem, ...], folder: Path) -> list[str]:
    """Problems as `line: what`, the folder of the test left out."""
    return [f"{p.where.line}: {p.what}".replace(f"{folder}/", "") for p in found]
