"""Logs: ranges, tails, following, clearing; of processes and of the daemon itself."""

from codecs import getincrementaldecoder

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    STREAMS,
    Position,
    check_names,
    find_process,
    json_response,
    known_to,
    my_turn,
    query_of,
    read_body,
    read_last_event_id,
)
from opsvisor.api.errors import ApiError
from opsvisor.api.processes import action_result
from opsvisor.api.queries import FollowQuery, LogQuery
from opsvisor.control.actions import ActionOutcome, Result
from opsvisor.control.log_past import Wanted, past_of
from opsvisor.control.logs import (
    LONGEST_ANSWER,
    Followed,
    LogPiece,
    NoLogError,
    follow,
    read_lines,
    read_range,
)
from opsvisor.control.names import NoSuchGroup, NoSuchProcess, Target, resolve
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.stream import Stream

_LONG_PIECE = 16 * 1024  # bytes that take so long to write as JSON that others go first
_SPLIT_MAX = 3  # bytes of a character that lacks its last one (RFC 3629, 3)
_Utf8 = getincrementaldecoder("utf-8")
_DAEMON = "opsvisord"


async def read_process_log(request: web.Request) -> web.Response:
    """Part of a process's log."""
    capture, spec = find_capture(request)
    return await _answer(request, capture, spec)


async def follow_process_log(request: web.Request) -> web.StreamResponse:
    """A process's log as it grows (server-sent events)."""
    capture, _ = find_capture(request)
    return await _stream(request, capture)


async def read_daemon_log(request: web.Request) -> web.Response:
    """Part of the daemon's own log."""
    log = request.app[CONTROL].daemon_log
    return await _answer(request, log.capture, LogSpec(path=log.path))


async def follow_daemon_log(request: web.Request) -> web.StreamResponse:
    """The daemon's own log as it grows (server-sent events)."""
    return await _stream(request, request.app[CONTROL].daemon_log.capture)


async def clear_daemon_log(request: web.Request) -> web.Response:
    """Empty the daemon's own log."""
    request.app[CONTROL].daemon_log.capture.clear()
    return json_response(wire.ActionResponse(results=[]))


async def clear_logs(request: web.Request) -> web.Response:
    """Empty the logs of processes, running or not."""
    control = request.app[CONTROL]
    body = await read_body(request, wire.ClearRequest)
    check_names(body.names)
    outcomes = []
    for item in resolve(body.names, known_to(request)):
        match item:
            case Target():
                for capture in control.engine.streams(item.id).captures.values():
                    capture.clear()
                outcomes.append(ActionOutcome(str(item.id), item.id, Result.OK, "cleared"))
            case NoSuchProcess():
                outcomes.append(
                    ActionOutcome(item.name, None, Result.NO_SUCH_PROCESS, "no such process")
                )
            case NoSuchGroup():
                outcomes.append(
                    ActionOutcome(item.name, None, Result.NO_SUCH_GROUP, "no such group")
                )
    return json_response(wire.ActionResponse(results=[action_result(o) for o in outcomes]))


def find_capture(request: web.Request) -> tuple[StreamCapture, LogSpec]:
    """The stream that the path names, and where it is written to."""
    control = request.app[CONTROL]
    process_id = find_process(request)
    try:
        stream = Stream(request.match_info["stream"])
    except ValueError:
        raise ApiError("not_found", "a stream is stdout or stderr") from None
    capture = control.engine.streams(process_id).capture(stream)
    if capture is None:
        raise ApiError(
            "no_log",
            f"{process_id} has no log of its {stream.value}",
            "standard error goes where standard output goes; ask for stdout",
        )
    spec = control.engine.view(process_id).spec
    log = spec.stdout if stream is Stream.STDOUT else spec.stderr
    assert log is not None  # as there is a capture
    return capture, log


async def _answer(request: web.Request, capture: StreamCapture, spec: LogSpec) -> web.Response:
    query = query_of(request, LogQuery)
    at, remark, path = 0.0, "", spec.path
    try:
        if query.since is not None:
            piece, at, remark = await _read_since(capture, spec, query)
        elif query.lines is not None:
            piece = await read_lines(capture, path, lines=query.lines)
        elif query.offset is not None:
            piece = await _read_whole(capture, path, offset=query.offset, length=query.length)
        else:
            piece = await read_range(capture, path, offset=-query.bytes, length=0)
            piece = piece if query.bytes else LogPiece(text=b"", end=piece.size, size=piece.size)
    except NoLogError as error:
        raise ApiError("no_log", str(error)) from error
    text, cut = whole_characters(piece.text)
    return json_response(
        wire.LogText(
            name=request.match_info.get("name", _DAEMON),
            stream=request.match_info.get("stream", "log"),
            text=text,
            offset=piece.end - cut,
            size=piece.size,
            at=at,
            remark=remark,
        )
    )


async def _read_since(
    capture: StreamCapture, spec: LogSpec, query: LogQuery
) -> tuple[LogPiece, float, str]:
    """What was written since then, the newest of it if it is too much; from when; what lacks."""
    past = await past_of(capture, spec, Wanted(lines=query.lines, since=query.since))
    said = await past.newest(LONGEST_ANSWER)
    end = past.end_in_file
    remark = past.remark
    if past.end - past.begin > LONGEST_ANSWER:
        remark = f"it is longer than {LONGEST_ANSWER} bytes: the beginning was left out"
    return LogPiece(text=said.text, end=end, size=end), said.at, remark


async def _read_whole(
    capture: StreamCapture, path: str | None, *, offset: int, length: int
) -> LogPiece:
    """A range; where it is too short for its first character, as much longer as that needs."""
    piece = await read_range(capture, path, offset=offset, length=length)
    for _ in range(_SPLIT_MAX):
        text, cut = whole_characters(piece.text)
        if text or not cut or piece.end == piece.size:
            break
        begin = piece.end - len(piece.text)
        piece = await read_range(capture, path, offset=begin, length=len(piece.text) + 1)
    return piece


def whole_characters(text: bytes) -> tuple[str, int]:
    """The text up to its last whole character, and how many bytes of a begun one were cut off."""
    decoder = _Utf8("replace")
    return decoder.decode(text), len(decoder.getstate()[0])


async def _stream(request: web.Request, capture: StreamCapture) -> web.StreamResponse:
    """Events `log` {text, offset} and `gap` {lost_bytes}; ids are offsets to resume from.

    A character that comes in two pieces is sent with the second: offsets lie between characters.
    """
    query = query_of(request, FollowQuery)
    resume = read_last_event_id(request)
    if resume is None and query.since is not None:
        start = max(capture.ring.start, capture.marks.before(query.since))
    elif resume is None:
        start = max(capture.ring.start, capture.ring.end - query.bytes)
    else:
        # Offsets begin anew with the daemon: one from before it must not be waited for.
        start = min(resume, capture.ring.end)
    streams = request.app[STREAMS]
    position = Position(start)
    with streams.one("log"):
        async with (
            sse_response(request) as response,
            streams.until_upgraded(response, position),
        ):
            await _send_pieces(request, response, capture, position)
    return response


async def _send_pieces(
    request: web.Request,
    response: EventSourceResponse,
    capture: StreamCapture,
    position: Position,
) -> None:
    unfinished = b""
    async for piece in follow(capture, start=position.at):
        if len(piece.text) > _LONG_PIECE:
            await my_turn(request)
        if piece.lost:
            await _send_rest(response, unfinished, position, end=_begin(piece) - piece.lost)
            position.at = _begin(piece)
            await response.send(f'{{"lost_bytes":{piece.lost}}}', event="gap")
            unfinished = b""
        pending = unfinished + piece.text
        text, cut = whole_characters(pending)
        unfinished = pending[len(pending) - cut :]
        if text:
            await _send_text(response, text, position, end=piece.end - cut)
    await _send_rest(response, unfinished, position, end=capture.ring.end)


def _begin(piece: Followed) -> int:
    return piece.end - len(piece.text)


async def _send_rest(
    response: EventSourceResponse, unfinished: bytes, position: Position, *, end: int
) -> None:
    """What never became a whole character."""
    if unfinished:
        await _send_text(response, unfinished.decode("utf-8", "replace"), position, end=end)


async def _send_text(
    response: EventSourceResponse, text: str, position: Position, *, end: int
) -> None:
    position.at = end  # before it is taken, as with events
    data = wire.encode({"text": text, "offset": end}).decode()
    await response.send(data, id=str(end), event="log")
