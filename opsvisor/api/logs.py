"""Logs: ranges, tails, following, clearing; of processes and of the daemon itself."""

from codecs import getincrementaldecoder

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    STREAMS,
    find_process,
    json_response,
    read_body,
    read_last_event_id,
    read_number,
)
from opsvisor.api.errors import ApiError
from opsvisor.api.processes import action_result
from opsvisor.control.actions import ActionOutcome, Result
from opsvisor.control.logs import (
    Followed,
    LogPiece,
    NoLogError,
    follow,
    read_lines,
    read_range,
)
from opsvisor.control.names import NoSuchGroup, NoSuchProcess, Target, resolve
from opsvisor.core.spec import ProcessSpec
from opsvisor.runtime.logs.capture import Stream, StreamCapture

_DEFAULT_TAIL = 1600  # bytes, what supervisorctl tail shows
_SPLIT_MAX = 3  # bytes of a character that lacks its last one (RFC 3629, 3)
_Utf8 = getincrementaldecoder("utf-8")
_DAEMON = "opsvisord"


async def read_process_log(request: web.Request) -> web.Response:
    """Part of a process's log."""
    capture, path = _find_capture(request)
    return await _answer(request, capture, path)


async def follow_process_log(request: web.Request) -> web.StreamResponse:
    """A process's log as it grows (server-sent events)."""
    capture, _ = _find_capture(request)
    return await _stream(request, capture)


async def read_daemon_log(request: web.Request) -> web.Response:
    """Part of the daemon's own log."""
    log = request.app[CONTROL].daemon_log
    return await _answer(request, log.capture, log.path)


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
    outcomes = []
    for item in resolve(body.names, control.engine.ids()):
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


def _find_capture(request: web.Request) -> tuple[StreamCapture, str | None]:
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
    return capture, _path_of(control.engine.view(process_id).spec, stream)


def _path_of(spec: ProcessSpec, stream: Stream) -> str | None:
    if stream is Stream.STDOUT:
        return spec.stdout.path
    return spec.stderr.path if spec.stderr else None


async def _answer(request: web.Request, capture: StreamCapture, path: str | None) -> web.Response:
    lines = read_number(request, "lines")
    tail = read_number(request, "bytes")
    offset = read_number(request, "offset")
    length = read_number(request, "length", 0) or 0
    if length < 0 or (lines is not None and lines < 0) or (tail is not None and tail < 0):
        raise ApiError("bad_request", "lines, bytes and length can't be negative")
    try:
        if lines is not None:
            piece = await read_lines(capture, path, lines=lines)
        elif offset is not None:
            piece = await _read_whole(capture, path, offset=offset, length=length)
        else:
            wanted = _DEFAULT_TAIL if tail is None else tail
            piece = await read_range(capture, path, offset=-wanted, length=0)
            piece = piece if wanted else LogPiece(text=b"", end=piece.size, size=piece.size)
    except NoLogError as error:
        raise ApiError("no_log", str(error)) from error
    text, cut = _whole_characters(piece.text)
    return json_response(
        wire.LogText(
            name=request.match_info.get("name", _DAEMON),
            stream=request.match_info.get("stream", "log"),
            text=text,
            offset=piece.end - cut,
            size=piece.size,
        )
    )


async def _read_whole(
    capture: StreamCapture, path: str | None, *, offset: int, length: int
) -> LogPiece:
    """A range; where it is too short for its first character, as much longer as that needs."""
    piece = await read_range(capture, path, offset=offset, length=length)
    for _ in range(_SPLIT_MAX):
        text, cut = _whole_characters(piece.text)
        if text or not cut or piece.end == piece.size:
            break
        begin = piece.end - len(piece.text)
        piece = await read_range(capture, path, offset=begin, length=len(piece.text) + 1)
    return piece


def _whole_characters(text: bytes) -> tuple[str, int]:
    """The text up to its last whole character, and how many bytes of a begun one were cut off."""
    decoder = _Utf8("replace")
    return decoder.decode(text), len(decoder.getstate()[0])


async def _stream(request: web.Request, capture: StreamCapture) -> web.StreamResponse:
    """Events `log` {text, offset} and `gap` {lost_bytes}; ids are offsets to resume from.

    A character that comes in two pieces is sent with the second: offsets lie between characters.
    """
    back = read_number(request, "bytes", 0) or 0
    if back < 0:
        raise ApiError("bad_request", "bytes can't be negative")
    resume = read_last_event_id(request)
    if resume is None:
        start = max(capture.ring.start, capture.ring.end - back)
    else:
        # Offsets begin anew with the daemon: one from before it must not be waited for.
        start = min(resume, capture.ring.end)
    with request.app[STREAMS].one("log"):
        async with sse_response(request) as response:
            unfinished = b""
            async for piece in follow(capture, start=start):
                if piece.lost:
                    await _send_rest(response, unfinished, end=_begin(piece) - piece.lost)
                    await response.send(f'{{"lost_bytes":{piece.lost}}}', event="gap")
                    unfinished = b""
                pending = unfinished + piece.text
                text, cut = _whole_characters(pending)
                unfinished = pending[len(pending) - cut :]
                if text:
                    await _send_text(response, text, end=piece.end - cut)
            await _send_rest(response, unfinished, end=capture.ring.end)
    return response


def _begin(piece: Followed) -> int:
    return piece.end - len(piece.text)


async def _send_rest(response: EventSourceResponse, unfinished: bytes, *, end: int) -> None:
    """What never became a whole character."""
    if unfinished:
        await _send_text(response, unfinished.decode("utf-8", "replace"), end=end)


async def _send_text(response: EventSourceResponse, text: str, *, end: int) -> None:
    data = wire.encode({"text": text, "offset": end}).decode()
    await response.send(data, id=str(end), event="log")
