"""Write the opsvisor.toml that asks for what a file of Supervisor's asks for. Asks no daemon."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from opsvisor.config.problems import ConfigError, system_says
from opsvisor.config.search import absolute
from opsvisor.core.struct import Struct
from opsvisor.ctl import failures, new_file
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.wire import ConfigProblem

if TYPE_CHECKING:
    from opsvisor.compat.supervisor.migrate.findings import Finding
    from opsvisor.compat.supervisor.migrate.migration import Migration

_NAME = "opsvisor.toml"  # where the text is meant to stand if nobody says where


class MigrationFinding(msgspec.Struct):
    """One thing to know: where it stands in Supervisor's files, and what to do about it."""

    file: str
    line: int
    section: str
    what: str
    hint: str


class MigrationReport(msgspec.Struct):
    """What came of a migration. `text` is "" if it was written to `output`."""

    complete: bool
    output: str
    files: list[str]
    differences: list[MigrationFinding]
    notes: list[MigrationFinding]
    text: str


class _Wishes(Struct, frozen=True, kw_only=True):
    source: Path
    output: Path | None
    directory: Path | None
    force: bool


def migrate(session: Session, words: list[str]) -> int:
    """Print or write the file, and report what it can't say."""
    # Here, because no other command has a use for Supervisor's files and their readers.
    from opsvisor.compat.supervisor.migrate.migration import migrate as run  # noqa: PLC0415

    wishes = _read(words)
    output = session.output
    if wishes.output is not None and not wishes.force and os.path.lexists(wishes.output):
        return _fail(session, f"{wishes.output} is there already", "say --force to replace it")
    target = wishes.output or wishes.source.parent / _NAME
    try:
        done = run(wishes.source, os.environ, start=wishes.directory, target=target)
    except ConfigError as error:
        return _refuse(session, error)
    if wishes.output is None:
        output.write(done.text)
    else:
        try:
            new_file.write(
                wishes.output,
                done.text,
                like=done.files,
                is_private=done.has_values,
                replaces=wishes.force,
            )
        except OSError as error:
            what = f"{wishes.output} can't be written: {system_says(error)}"
            return _fail(session, what)
    for difference in done.differences:
        output.remark(f"difference: {difference}")
    for note in done.notes:
        output.remark(f"note: {note}")
    output.remark(_summary(wishes, done))
    output.show(_report(wishes, done))
    return Exit.NOT_ALL_SAID if done.differences else Exit.OK


def _read(words: Sequence[str]) -> _Wishes:
    files: list[str] = []
    values: dict[str, str] = {}
    force = False
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        name = {"-o": "--output", "-f": "--force"}.get(name, name)
        if name in ("--output", "--directory"):
            given = value if equals else next(left, "")
            if not given:
                raise BadArguments(f"{name} needs a value", status=Exit.BAD_ARGUMENTS)
            values[name] = given
        elif name == "--force" and not equals:
            force = True
        elif word.startswith("-"):
            raise BadArguments(f"migrate has no option {word}", status=Exit.BAD_ARGUMENTS)
        else:
            files.append(word)
    if len(files) != 1:
        raise BadArguments("migrate takes one file of Supervisor's", status=Exit.BAD_ARGUMENTS)
    output, directory = values.get("--output"), values.get("--directory")
    return _Wishes(
        source=absolute(Path(files[0])),
        output=Path(output) if output else None,
        directory=Path(directory) if directory else None,
        force=force,
    )


def _summary(wishes: _Wishes, done: "Migration") -> str:
    where = f"{wishes.output} is written" if wishes.output else "that is all"
    if not done.differences:
        return f"{where}: nothing is lost"
    count = len(done.differences)
    return f"{where}: {count} difference{'s' if count > 1 else ''} to look at"


def _report(wishes: _Wishes, done: "Migration") -> MigrationReport:
    return MigrationReport(
        complete=not done.differences,
        output=str(absolute(wishes.output)) if wishes.output else "",
        files=list(done.files),
        differences=[_finding(finding) for finding in done.differences],
        notes=[_finding(finding) for finding in done.notes],
        text="" if wishes.output else done.text,
    )


def _finding(finding: "Finding") -> MigrationFinding:
    return MigrationFinding(
        file=finding.where.file,
        line=finding.where.line,
        section=finding.section,
        what=finding.what,
        hint=finding.hint,
    )


def _refuse(session: Session, error: ConfigError) -> int:
    """Supervisor's file can't be read: say all that is wrong with it, as opsvisord would."""
    problems = [
        ConfigProblem(file=p.where.file, line=p.where.line, what=p.what, hint=p.hint)
        for p in error.problems
    ]
    failures.remark_problems(session.output, problems)
    count = len(problems)
    what = f"{count} problem{'s' if count > 1 else ''} in the configuration, nothing is written"
    session.output.remark(f"Error: {what}")
    trouble = failures.problem("bad_config", "Bad configuration", what)
    session.output.show({"error": msgspec.structs.replace(trouble, problems=problems)})
    return Exit.BAD_ARGUMENTS


def _fail(session: Session, what: str, hint: str = "") -> int:
    session.output.remark(f"Error: {what}")
    if hint:
        session.output.hint(hint)
    session.output.show({"error": failures.problem("not_written", "Not written", what, hint)})
    return Exit.FAILED
