"""A configuration file, whatever its format, becomes a `Loaded`. The one entry point."""

import glob
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opsvisor.config import toml
from opsvisor.config.conflicts import find_collisions
from opsvisor.config.decode import decode, include_patterns
from opsvisor.config.document import Document, merge
from opsvisor.config.findings import Findings
from opsvisor.config.origins import Origins
from opsvisor.config.problems import Allowance, ConfigError, Place, Problem, system_says
from opsvisor.config.resolve import EventKinds, resolve
from opsvisor.config.resolve_daemon import resolve_daemon
from opsvisor.config.search import absolute
from opsvisor.config.settings import Loaded
from opsvisor.core.struct import Struct, field, replace

# Reads the file at a path, in a given environment. What was read of it by now, because it may be a
# pipe, comes as well. Raises ConfigError.
Frontend = Callable[[Path, Mapping[str, str], bytes | None], Loaded]

_NATIVE = ".toml"
_SUPERVISOR = ".conf"
_SUPERVISOR_SECTION = re.compile(r"^\[(?:supervisord\]|program:)", re.MULTILINE)


class Additions(Struct, frozen=True, kw_only=True):
    """What whoever reads a file of ours knows besides it.

    `event_kinds` names what event listeners can be told; without it any kind is taken.
    `daemon_options` are values for options of [daemon] that the command line sets instead.
    `runtime` is the runtime directory of whoever has started the daemon, if that is not who asks.
    """

    event_kinds: EventKinds | None = None
    daemon_options: Mapping[str, Any] = field(default_factory=dict)
    runtime: Path | None = None


_NOTHING_MORE = Additions()


def load(path: Path, frontends: Mapping[str, Frontend], environ: Mapping[str, str]) -> Loaded:
    """Read the configuration at `path`. Raises ConfigError with everything that is wrong.

    `frontends` are the formats besides our own, by suffix. Where the suffix says nothing the
    content does: a section of Supervisor's makes it a ".conf". Each file is read once.
    """
    known: Mapping[str, Frontend] = {_NATIVE: _native_alone, **frontends}
    suffix, raw = path.suffix, None
    if suffix not in known:
        raw = _read_bytes(path, Allowance())
        text = raw.decode("utf-8-sig", "replace")
        suffix = _SUPERVISOR if _SUPERVISOR_SECTION.search(text) else _NATIVE
    if suffix not in known:
        what = "looks like a configuration of Supervisor, which can't be read here"
        raise ConfigError([Problem(Place(str(path)), what)])
    return known[suffix](path, environ, raw)


def _native_alone(path: Path, environ: Mapping[str, str], raw: bytes | None) -> Loaded:
    return native(path, environ, raw=raw)


def native(
    path: Path,
    environ: Mapping[str, str],
    additions: Additions = _NOTHING_MORE,
    *,
    raw: bytes | None = None,
) -> Loaded:
    """Read opsvisor.toml and the files it includes; of itself `raw` if that was read by now.

    Raises ConfigError.
    """
    allowance = Allowance()
    text = _read(path, allowance, raw)
    return _loaded(text, path, environ, additions, allowance)


def native_text(
    text: str,
    path: Path,
    environ: Mapping[str, str],
    additions: Additions = _NOTHING_MORE,
) -> Loaded:
    """As `native`, for a text that is to stand in a file at `path`. Raises ConfigError."""
    return _loaded(text, path, environ, additions, Allowance())


def _loaded(
    text: str,
    path: Path,
    environ: Mapping[str, str],
    additions: Additions,
    allowance: Allowance,
) -> Loaded:
    findings = Findings()
    main = toml.parse(text, str(path))
    documents = _included(main, findings, allowance)
    included = [document for document in documents.values() if document]
    document, problems = merge(main, included)
    findings.problems.extend(problems)
    decoded, problems = decode(document)
    findings.problems.extend(problems)
    if additions.daemon_options:
        options = replace(decoded.daemon.options, **additions.daemon_options)
        decoded = replace(decoded, daemon=replace(decoded.daemon, options=options))
    origins = Origins()
    plan = resolve(decoded, environ, findings, event_kinds=additions.event_kinds, origins=origins)
    settings = resolve_daemon(decoded, environ, findings, additions.runtime)
    find_collisions(decoded, plan, settings, document.files, findings)
    ordered = findings.in_order(tuple(map(str, (path, *documents))))
    if ordered.problems:
        raise ConfigError(ordered.problems, ordered.warnings)
    return Loaded(
        plan=plan,
        settings=settings,
        files=document.files,
        warnings=tuple(ordered.warnings),
        origins=origins,
    )


def _included(
    main: Document, findings: Findings, allowance: Allowance
) -> dict[Path, Document | None]:
    """The files that `main` includes, each once; None stands for what can't be parsed."""
    path = Path(main.files[0])
    documents: dict[Path, Document | None] = {}
    for pattern in include_patterns(main):
        # Escaped, since a directory may be called "[old]"; an absolute pattern replaces it.
        found = sorted(map(Path, glob.glob(str(Path(glob.escape(str(path.parent)), pattern)))))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not found:
            what = f"include = '{pattern}' matches no file"
            hint = f"it is relative to {absolute(path.parent)}"
            findings.warnings.append(Problem(main.place(("include",)), what, hint))
        for file in found:
            if file != path and file not in documents:
                documents[file] = _parsed(file, findings, allowance)
            if allowance.is_exceeded:
                return documents
    return documents


def _parsed(file: Path, findings: Findings, allowance: Allowance) -> Document | None:
    try:
        return toml.parse(_read(file, allowance), str(file))
    except ConfigError as error:
        findings.problems.extend(error.problems)
        return None


def _read(path: Path, allowance: Allowance, raw: bytes | None = None) -> str:
    """The text of a file, or of what was read of it."""
    raw = _read_bytes(path, allowance, raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8: byte {error.object[error.start]:#04x}"
        raise ConfigError([Problem(Place(str(path), line), what, "save it as UTF-8")]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_bytes(path: Path, allowance: Allowance, raw: bytes | None = None) -> bytes:
    try:
        return allowance.read(path, raw)
    except OSError as error:
        what = f"can't be read: {system_says(error)}"
        raise ConfigError([Problem(Place(str(path)), what)]) from error
