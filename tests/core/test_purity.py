"""The core decides and does nothing else: no clock, no I/O, no dice, no state swallowed."""

import ast
from pathlib import Path

import pytest

import opsvisor.core

MODULES = sorted(Path(opsvisor.core.__file__).parent.glob("*.py"))
ALLOWED = {
    "collections.abc",
    "dataclasses",
    "enum",
    "functools",  # what is remembered by `cache` is what it would be anyway
    "heapq",
    "re",
    "signal",  # for the names of signals
    "types",
    "typing",
}
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
FORBIDDEN_METHODS = {
    "now",
    "today",
    "time",
    "monotonic",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "random",
    "uniform",
    "kill",
    "killpg",
    "pthread_kill",
    "raise_signal",
    "alarm",
}


def impurities(source: str) -> list[str]:
    """What in this source the core must not do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [f"imports {n.name}" for n in names if not _may_import(n.name)]
            case ast.ImportFrom(module=str(module), level=0):
                found += [] if _may_import(module) else [f"imports {module}"]
            case ast.ImportFrom():
                found.append("imports by a relative path")
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                found.append(f"calls {name}()")
            case ast.Call(func=ast.Attribute(attr=name)) if name in FORBIDDEN_METHODS:
                found.append(f"calls .{name}()")
            case ast.match_case(pattern=ast.MatchAs(pattern=None, name=None), guard=None):
                found.append("case _ swallows what is not thought of yet")
            case ast.AsyncFunctionDef() | ast.Await() | ast.Global():
                found.append(type(node).__name__)
            case _:
                pass
    return found


def _may_import(module: str) -> bool:
    return module in ALLOWED or module.startswith("opsvisor.core.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_core_is_pure(path: Path) -> None:
    """Each module imports and calls only what can't make a decision depend on the world."""
    # Its classes are wanted, no codec: docs/decisions/0049.
    known = {"struct": ["imports msgspec", "imports msgspec.structs"]}
    assert impurities(path.read_text()) == known.get(path.stem, [])


@pytest.mark.parametrize(
    ("source", "impurity"),
    [
        ("import os", "imports os"),
        ("import time as t", "imports time"),
        ("from asyncio import sleep", "imports asyncio"),
        ("from opsvisor.runtime import spawn", "imports opsvisor.runtime"),
        ("from . import spec", "imports by a relative path"),
        ("open('x')", "calls open()"),
        ("print(1)", "calls print()"),
        ("datetime.now()", "calls .now()"),
        ("path.read_text()", "calls .read_text()"),
        ("async def f(): pass", "AsyncFunctionDef"),
        (
            "match x:\n    case 1: pass\n    case _: pass",
            "case _ swallows what is not thought of yet",
        ),
    ],
)
def test_impurity_is_seen(source: str, impurity: str) -> None:
    """The test above can fail."""
    assert impurities(source) == [impurity]
