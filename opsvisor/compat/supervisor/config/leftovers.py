"""What a configuration says that has no effect here: said aloud, instead of passed over."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import Names
from opsvisor.compat.supervisor.config.ini import Ini, Section
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS, RpcInterface
from opsvisor.compat.supervisor.config.own import KIND as OWN
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.config.units import did_you_mean

# The factory of Supervisor's own interface. We serve that one without being asked.
_BUILT_IN = "supervisor.rpcinterface:make_main_rpcinterface"
# What those get who used these packages, by the module of the factory.
_INSTEAD_OF_ANY_INTERFACE = (
    "what runs is told and controlled at /api/v1, what happens at /api/v1/events, how it is at"
    " /metrics"
)
_FROM_EVERY_DAEMON = "Prometheus brings the /metrics of many daemons together"
_INSTEAD_OF_INTERFACES = {
    "supervisor_twiddler": "to add programs, write a file that [include] finds, and ask for"
    " `opsvisorctl update`",
    "supervisor_quick": "`opsvisorctl start` and `stop` treat programs side by side",
    "supervisor_cache": "keep values where they survive a restart, such as Redis",
    "supvisors": _FROM_EVERY_DAEMON,
    "multivisor": _FROM_EVERY_DAEMON,
}
_INSTEAD_OF_PLUGINS = (
    "it takes patterns (web*), starts and stops programs side by side, and has why and events:"
    " see opsvisorctl help"
)
_NAMED = (  # as in [program:web]
    "program",
    "fcgi-program",
    "eventlistener",
    "group",
    "rpcinterface",
    "ctlplugin",
)
_KINDS = (*KNOWN_KEYS, "ctlplugin", "rpcinterface", OWN)
_SERVERS = ("unix_http_server", "inet_http_server")


def warn_of_leftovers(ini: Ini, names: Names, findings: Findings, *, start: Path) -> None:
    """Note sections that have no effect, and names that look like slips of the keyboard.

    Supervisor ignores what it doesn't know. So do we, unless it is close to something known.
    """
    for section in ini.sections.values():
        kind = _kind(section)
        is_named = ":" in section.name
        if kind == OWN:
            continue  # looked at by who reads them
        if kind in _NAMED and not is_named:
            what = f"[{section.name}] has no effect without a name"
            findings.warn(section.where, what, f"write [{kind}:name]")
        elif kind == "ctlplugin":
            what = f"[{section.name}] has no effect: opsvisorctl loads no plugins"
            findings.depart(section.where, what, _INSTEAD_OF_PLUGINS)
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
    for key, entry in section.own.items():
        if key in known:
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
        module = factory.partition(":")[0].partition(".")[0]
        reader.reject(
            RpcInterface.FACTORY,
            f"{factory} cannot be resolved within [{section.name}]: opsvisord loads no plugins",
            f"remove the section; {_INSTEAD_OF_INTERFACES.get(module, _INSTEAD_OF_ANY_INTERFACE)}",
        )
