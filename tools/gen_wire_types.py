"""Write the types of the API's JSON for the page: opsvisor/web/wire.d.ts.

The type checker then sees wherever the page expects something else than the API sends. With
--check: exit 1 if the file is stale.
"""

import inspect
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from opsvisor import wire

PATH = Path(__file__).parent.parent / "opsvisor" / "web" / "wire.d.ts"
_HEAD = (
    "// Written by tools/gen_wire_types.py from opsvisor/wire.py: `make docs` writes it anew.\n"
)
_SIMPLE = {str: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def main() -> None:
    """Write the file, or compare it."""
    text = _declarations()
    if "--check" not in sys.argv[1:]:
        PATH.write_text(text)
    elif not PATH.exists() or PATH.read_text() != text:
        print(f"{PATH.name} is stale: run make docs")
        sys.exit(1)


def _declarations() -> str:
    structs = [
        kind
        for _, kind in inspect.getmembers(wire, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == wire.__name__
    ]
    return _HEAD + "".join(f"\n{_interface(kind)}" for kind in structs)


def _interface(kind: type[msgspec.Struct]) -> str:
    hints = get_type_hints(kind, include_extras=True)
    # What comes with a request may be left out where it has a default; answers have all fields.
    is_request = kind.__struct_config__.forbid_unknown_fields
    lines = []
    for field in msgspec.structs.fields(kind):
        mark = "?" if is_request and not field.required else ""
        lines.append(f"  {field.encode_name}{mark}: {_type(hints[field.name])};\n")
    return f"export interface {kind.__name__} {{\n{''.join(lines)}}}\n"


def _type(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(msgspec.json.encode(value).decode() for value in arguments)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type(argument) for argument in arguments))
    if origin in (list, tuple):
        inner = _type(arguments[0])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if origin is dict:
        return f"Record<string, {_type(arguments[1])}>"
    if inspect.isclass(hint) and issubclass(hint, msgspec.Struct):
        return hint.__name__
    return "unknown"


if __name__ == "__main__":
    main()
