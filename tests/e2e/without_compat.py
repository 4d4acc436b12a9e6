"""The build of opsvisor that knows nothing of Supervisor, made from the package by three rules.

1. opsvisor/compat is left out.
2. A module that imports it when it is imported itself, or for its types, lives for it alone and is
   left out too.
3. A function that imports it when it runs ends there.

Everything else stays as it is. `Cut` says what the rules did, so that a test can see that they
touch the few places that are meant to know of compat, and no others.
"""

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import opsvisor

_COMPAT = "opsvisor.compat"
_END = 'raise ModuleNotFoundError("built without opsvisor.compat")'


@dataclass(frozen=True)
class Cut:
    """What was left out: modules, and functions as `module.function`."""

    modules: frozenset[str]
    functions: frozenset[str]


def build_without_compat(folder: Path) -> Cut:
    """A copy of the package in `folder`, without what the rules leave out."""
    package = Path(opsvisor.__file__).parent
    target = folder / package.name
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("compat", "__pycache__"))
    modules, functions = set(), set()
    for path in sorted(target.rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        if _COMPAT not in text:
            continue
        tree = ast.parse(text)
        ends = dict(_lazy_imports(tree))
        if any(line not in ends for line in _imports(tree)):
            path.unlink()
            modules.add(name)
            continue
        path.write_text(_cut(text, tree, frozenset(ends)), encoding="utf-8")
        functions |= {f"{name}.{function}" for function in ends.values()}
    return Cut(frozenset(modules), frozenset(functions))


def _imports(tree: ast.AST) -> Iterator[int]:
    """The lines of all statements that import compat."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), lineno=line) if module.startswith(_COMPAT):
                yield line
            case ast.Import(names=names, lineno=line):
                if any(alias.name.startswith(_COMPAT) for alias in names):
                    yield line
            case _:
                pass


def _lazy_imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The lines of those that stand in functions, with the name of the function."""
    for function in _functions(tree):
        for line in _imports(function):
            yield line, function.name


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _cut(text: str, tree: ast.AST, lines: frozenset[int]) -> str:
    """The text in which the block around each of these imports ends where the import stood."""
    kept = text.splitlines(keepends=True)
    for block in _blocks(tree):
        for statement in block:
            if statement.lineno in lines:
                end = block[-1].end_lineno
                assert end is not None
                indent = " " * statement.col_offset
                kept[statement.lineno - 1 : end] = [
                    f"{indent}{_END}\n",
                    *[""] * (end - statement.lineno),
                ]
                break
    return "".join(kept)


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block
