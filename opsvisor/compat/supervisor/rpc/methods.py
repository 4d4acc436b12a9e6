"""What a method of the interface is: how it is called, and what it says about itself."""

from collections.abc import Awaitable, Callable
from inspect import getdoc
from typing import Any

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.core.struct import Struct


class Param(Struct, frozen=True):
    """A parameter: its XML-RPC type, and what it is."""

    type: str
    name: str
    about: str
    is_optional: bool = False


class Returned(Struct, frozen=True):
    """What a method answers with: its XML-RPC type, and what it is."""

    type: str
    about: str


class Method(Struct, frozen=True, kw_only=True):
    """One method. `call` takes the parameters by position; its docstring is the method's help.

    `at_any_time`: answered once a shutdown has begun, too.
    """

    call: Callable[..., Awaitable[Value]]
    returns: Returned
    takes: tuple[Param, ...] = ()
    at_any_time: bool = False

    def check_count(self, params: tuple[Any, ...]) -> None:
        """INCORRECT_PARAMETERS unless it can be called with this many."""
        needed = sum(not param.is_optional for param in self.takes)
        if not needed <= len(params) <= len(self.takes):
            raise RpcFault(Fault.INCORRECT_PARAMETERS)

    @property
    def signature(self) -> list[str]:
        """The type of the result, and then of every parameter."""
        return [self.returns.type, *(param.type for param in self.takes)]

    @property
    def help(self) -> str:
        """What it does, and a line with a tag for every parameter and the result."""
        lines = [getdoc(self.call) or "", ""]
        lines += [f"@param {p.type} {p.name}  {p.about}" for p in self.takes]
        lines.append(f"@return {self.returns.type} result  {self.returns.about}")
        return "\n".join(lines)


def read_text(given: Any) -> str:
    """A parameter that must be text."""
    if not isinstance(given, str):
        raise RpcFault(Fault.INCORRECT_PARAMETERS)
    return given


def read_number(given: Any) -> int:
    """A parameter that must be a whole number; its text will do, as there."""
    if not isinstance(given, int | float | str):
        raise RpcFault(Fault.INCORRECT_PARAMETERS)
    try:
        return int(given)
    except (ValueError, OverflowError):  # no number, not a number, or infinite
        raise RpcFault(Fault.INCORRECT_PARAMETERS) from None
