"""What the values of all layers are made of: classes that are cheap to define and to make.

`class X(Struct, frozen=True, kw_only=True)` says what `@dataclass(frozen=True, slots=True,
kw_only=True)` does, to the type checker as well. But its methods are machine code, and not Python
that is generated and compiled at each start: 10 µs and 3 KiB a class instead of 290 µs and 15 KiB,
with 300 of them in the daemon. To make one with five fields takes 0.05 µs instead of 0.6
(docs/decisions/0049).

What is written down at each change of a process is `omit_defaults`: half as long, as most of its
fields are as usual. The default of such a field must never become another one, or what an earlier
version left out would be read as something else.

The only module of the core that knows msgspec, and for this alone: nothing is encoded here.
"""

from msgspec import Struct, field
from msgspec.structs import fields, replace

__all__ = ["Struct", "Value", "Variant", "field", "fields", "replace", "text_without"]


class Value(Struct, frozen=True, gc=False):
    """What is made of values that were there before, so that it is in no circle of references.

    The collector has no need to know of it: 16 bytes less for each, and nothing to look through.
    """


class Variant(Value, frozen=True, tag=True, tag_field="is"):
    """One of several classes of which a value is: where it is written down, it says which."""


def text_without(value: Struct, *secrets: str) -> str:
    """What a `__repr__` may say of a value some of whose fields nobody should read in a trace."""
    told = ", ".join(
        f"{name}={getattr(value, name)!r}"
        for name in value.__struct_fields__
        if name not in secrets
    )
    return f"{type(value).__name__}({told})"
