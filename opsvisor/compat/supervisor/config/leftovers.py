"""What a configuration says that has no effect here: said aloud, instead of passed over."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import Names
from opsvisor.compat.supervisor.config.ini import Ini, Section
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS, RpcInterface
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.config.units import did_you_mean

# The factory of Supervisor's own interface. We serve that one without being asked.
_BUILT_IN = "supervisor.rpcinterface:make_main_rpcinterface"
_NOT_SUPPORTED = ("ctlplugin",)
_NAMED = (
    "program",
    "fcgi-program",
    "eventlistener",
    "group",
    "rpcinterface",
    *_NOT_SUPPORTED,
)  # as in [program:web]
_KINDS = (*KNOWN_KEYS, *_NOT_SUPPORTED, "rpcinterface")
_SERVERS = ("unix_http_server", "inet_http_server")


def warn_of_leftovers(ini: Ini, names: Names, findings: Findings, *, start: Path) -> None:
    """Note sections that aren't supported yet, and names that look like slips of the keyboard.

    Supervisor ignores what it doesn't know. So do we, unless it is close to something known.
    """
    for section in ini.sections.values():
        kind = _kind(section)
        is_named = ":" in section.name
        if kind in _NAMED and not is_named:
            what = f"[{section.name}] has no effect without a name"
            findings.warn(section.where, what, f"write [{kind}:name]")
        elif kind in _NOT_SUPPORTED:
            findings.warn(section.where, _not_supported(section))
        elif kind == "rpcinterface":
            _check_rpc_interface(SectionReader(section, names, findings, start=start))
        elif kind in (*_NAMED, *_SERVERS) or (kind in KNOWN_KEYS and not is_named):
            _warn_of_unknown_keys(section, KNOWN_KEYS[kind], findings)
        elif meant := _surely_meant(kind, _KINDS):
            findings.warn(section.where, f"[{section.name}] is unknown and has no effect", meant)


def _kind(section: Section) -> str:
    for kind in _SERVERS:
        if section.name.startswith(kind):
            return kind
    return section.kind


def _warn_of_unknown_keys(section: Section, known: frozenset[str], findings: Findings) -> None:
    for key, entry in section.entries.items():
        if key in known or entry.inherited:
            continue
        if meant := _surely_meant(key, sorted(known)):
            what = f"[{section.name}] has no option '{key}', it has no effect"
            findings.warn(entry.where, what, meant)


def _surely_meant(typed: str, known: Sequence[str]) -> str:
    """As `did_you_mean`, but surer: a private note gets no warning for looking like an option."""
    near = difflib.get_close_matches(typed, known, n=1, cutoff=0.7)
    return did_you_mean(typed, near)


def _check_rpc_interface(reader: SectionReader) -> None:
    section = reader.section
    factory = reader.get(RpcInterface.FACTORY)
    if factory is None:
        what = f"section [{section.name}] does not specify a supervisor.rpcinterface_factory"
        reader.reject(RpcInterface.FACTORY, what)
    elif factory != _BUILT_IN:
        reader.warn(RpcInterface.FACTORY, _not_supported(section))


def _not_supported(section: Section) -> str:
    return f"[{section.name}] is not supported yet and is left out"
