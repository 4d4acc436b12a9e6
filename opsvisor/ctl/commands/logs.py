"""Read, follow and empty logs."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from msgspec.structs import replace

from opsvisor.client import ApiError, LogGap, LogPiece, Stream, StreamName
from opsvisor.ctl import exit_codes, failures, names, render
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.wire import ActionResult, LogText

_LAST_BYTES = 1600
_FOLLOW_BYTES = 1024  # what supervisord sends before it follows
_TAIL_WORDS = (1, 3)  # [modifier] name [stream]
_READING_FAILED = {
    "no_such_process": "no such process name",
    "no_such_group": "no such process name",
    "no_log": "no log file",
}


class _Wanted(NamedTuple):
    """What to print of a log. `last_bytes` None follows it."""

    name: str
    stream: StreamName
    last_bytes: int | None


def tail(session: Session, words: list[str]) -> int:
    """Print the end of a process's log, or follow it."""
    wanted = _parse_tail(words)
    if wanted.last_bytes is None:
        return _follow_process(session, wanted)
    read = partial(session.client.log, wanted.name, wanted.stream)
    try:
        text = _whole(read) if wanted.last_bytes == 0 else read(last_bytes=wanted.last_bytes)
    except ApiError as error:
        return _unreadable(session, wanted.name, error)
    return _print_log(session, text)


def maintail(session: Session, words: list[str]) -> int:
    """Print the end of opsvisord's own log, or follow it."""
    if len(words) > 1:
        raise BadArguments("too many arguments")
    last_bytes = _modifier(words[0]) if words else _LAST_BYTES
    if last_bytes is None:
        return follow(session, session.client.follow_daemon_log(_FOLLOW_BYTES))
    read = session.client.daemon_log
    try:
        text = _whole(read) if last_bytes == 0 else read(last_bytes=last_bytes)
    except ApiError as error:
        return _unreadable(session, "supervisord", error)
    return _print_log(session, text)


def clear(session: Session, words: list[str]) -> int:
    """Empty both logs of each process."""
    if not words:
        raise BadArguments("clear requires a process name")
    response = session.client.clear_logs(names.all_or(words))
    exit_status = int(Exit.OK)
    for result in response.results:
        session.output.say(_cleared_line(session, result))
        exit_status = exit_codes.of_action("clear", result) or exit_status
    session.output.show(response)
    return exit_status


def follow(session: Session, stream: Stream[LogPiece | LogGap]) -> int:
    """Print a log as it grows, until Ctrl-C: the usual way to leave, hence no failure."""
    session.output.say("==> Press Ctrl-C to exit <==")
    with stream:
        try:
            for piece in stream:
                print_piece(session, piece)
        except KeyboardInterrupt:
            session.output.say("")
    return Exit.OK


def print_piece(session: Session, piece: LogPiece | LogGap) -> None:
    """Print what was added to a log, and say what was lost beside it."""
    session.output.show_line(piece)
    match piece:
        case LogPiece(text=text):
            session.output.write(text)
        case LogGap(lost_bytes=lost):
            session.output.remark(f"==> {lost} bytes were written faster than they were read <==")


def _cleared_line(session: Session, result: ActionResult) -> str:
    return render.action_line("clear", result, session.output.format)


def _parse_tail(words: list[str]) -> _Wanted:
    fewest, most = _TAIL_WORDS
    if len(words) < fewest:
        raise BadArguments("too few arguments")
    if len(words) > most:
        raise BadArguments("too many arguments")
    last_bytes: int | None = _LAST_BYTES
    if words[0].startswith("-"):
        last_bytes = _modifier(words[0])
        words = words[1:]
    if not words:
        raise BadArguments("tail requires process name", with_help=False)
    stream = words[-1].lower() if len(words) > 1 else "stdout"
    if stream not in {"stdout", "stderr"}:
        # Three words without a modifier end here too, as they do in supervisorctl.
        raise BadArguments(f"bad channel {words[-1]!r}", with_help=False)
    return _Wanted(words[0], cast("StreamName", stream), last_bytes)


def _modifier(word: str) -> int | None:
    """Bytes for `-100`, None for `-f`."""
    if word == "-f":
        return None
    try:
        if not word.startswith("-"):
            raise ValueError  # noqa: TRY301 - one refusal for both ways to be wrong
        return int(word[1:])
    except ValueError:
        raise BadArguments(f"bad argument {word}", with_help=False) from None


def _follow_process(session: Session, wanted: _Wanted) -> int:
    try:
        stream = session.client.follow_log(wanted.name, wanted.stream, last_bytes=_FOLLOW_BYTES)
    except ApiError as error:
        if error.problem.code not in _READING_FAILED:
            raise
        # supervisorctl's words and its status: it reads another page and looks no further.
        where = f"{session.client.url}/logtail/{wanted.name}/{wanted.stream}"
        session.output.say("==> Press Ctrl-C to exit <==")
        session.output.remark(f"{where} Cannot read, status code {error.problem.status}")
        session.output.show({"error": error.problem})
        return Exit.OK
    return follow(session, stream)


def _whole(read: Callable[..., LogText]) -> LogText:
    """All of a log: in supervisorctl, `-0` asks for that. One answer holds a part of it."""
    pieces = [read(offset=0)]
    while pieces[-1].text and pieces[-1].offset < pieces[-1].size:
        pieces.append(read(offset=pieces[-1].offset))
    return replace(pieces[-1], text="".join(piece.text for piece in pieces))


def _print_log(session: Session, text: LogText) -> int:
    session.output.write(f"{text.text}\n")
    session.output.show(text)
    return Exit.OK


def _unreadable(session: Session, name: str, error: ApiError) -> int:
    if error.problem.code in {"unauthorized", "shutting_down"}:
        raise error
    why = _READING_FAILED.get(error.problem.code, "unknown error reading log")
    session.output.say(f"{name}: ERROR ({why})")
    session.output.show({"error": error.problem})
    if error.problem.code not in _READING_FAILED:
        session.output.remark(f"error: {error.problem.detail or error.problem.title}")
        failures.explain(session.output, error.problem)
    return Exit.FAILED
