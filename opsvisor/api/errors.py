"""What goes wrong at the API, as problem+json (RFC 9457): one table of codes."""

from aiohttp import web

from opsvisor import wire
from opsvisor.config.problems import ConfigError, Problem

TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    417: "Expectation failed",
    421: "Misdirected request",
    422: "Unprocessable configuration",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}

STATUS_OF_CODE = {
    "bad_request": 400,
    "no_http": 400,
    "bad_signal": 400,
    "unauthorized": 401,
    "foreign_origin": 403,
    "forbidden": 403,
    "not_found": 404,
    "no_such_process": 404,
    "no_such_group": 404,
    "no_log": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "no_login": 409,
    "stdin_unavailable": 409,
    "stdin_full": 409,
    "shutting_down": 409,
    "upgrade_refused": 409,
    "too_large": 413,
    "not_json": 415,
    "encoded_body": 415,
    "wrong_host": 421,
    "bad_expectation": 417,
    "bad_config": 422,
    "too_many_attempts": 429,
    "internal": 500,
    "not_ready": 503,
    "upgrading": 503,
    "too_many_connections": 503,
    "too_many_streams": 503,
}

# When a client meets it: for the reference.
MEANINGS = {
    "bad_request": "the body or the query string is not what this operation takes",
    "no_http": "what was sent is not HTTP/1.1 or HTTP/1.0, or its head is too large",
    "bad_signal": "there is no such signal",
    "unauthorized": "no credentials, or wrong ones",
    "foreign_origin": "a web page of another origin asks for a change, or with our cookie",
    "forbidden": "the caller's access does not reach so far",
    "not_found": "nothing is there",
    "no_login": "the server asks nobody who they are, so there is nothing to log in to",
    "no_such_process": "no process has this name, or none that the caller may see",
    "no_such_group": "no group has this name, or none that the caller may see",
    "no_log": "the process, or the daemon, keeps no such log",
    "method_not_allowed": "the path exists, but not with this method; `Allow` has those it has",
    "too_slow": "the request did not come within the time that a client has for it",
    "stdin_unavailable": "the process is not running, or has no pipe as standard input",
    "stdin_full": "the process does not read its standard input; nothing was written",
    "shutting_down": "the daemon is about to end",
    "upgrade_refused": "the installed version can't take over; nothing has changed",
    "too_large": "the body is larger than 1 MiB",
    "not_json": "the request does not say `Content-Type: application/json`",
    "encoded_body": "the body is compressed",
    "wrong_host": "the server was asked for by a name that is not its own",
    "bad_expectation": "an `Expect` that is not `100-continue`",
    "bad_config": "the configuration files can't be used; `problems` has what is wrong with them",
    "too_many_attempts": "too many wrong credentials came from there; `Retry-After` has the wait",
    "internal": "a bug of the daemon",
    "not_ready": "the daemon is starting or ending",
    "upgrading": "another version takes over; what was asked for goes on, and asking again works",
    "too_many_connections": "there is no room for another connection",
    "too_many_streams": "there is no room for another stream",
}

CODE = web.ResponseKey("code", str)  # of the problem that a response tells

# What to do about it, where whoever raised it knows nothing better.
_HINTS = {
    "bad_request": "docs/reference has what this route takes; nothing was done",
    "not_found": "GET / lists the entry points",
    "no_such_process": "GET /api/v1/processes lists them; a member of a group is group:name",
    "no_such_group": "GET /api/v1/groups lists them",
    "no_log": "GET /api/v1/processes/NAME tells what its logs are",
    "stdin_unavailable": "start it first: opsvisorctl start NAME",
    "shutting_down": "wait until it has ended, and start it again",
    "too_large": "send less at a time",
    "not_ready": "ask again in a moment",
}


class ApiError(Exception):
    """A request that can't be answered. `code` is a key of STATUS_OF_CODE.

    `retry_after`: in how many seconds it may be otherwise, 0 for who knows. `is_last`: nothing
    more is answered on this connection.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        hint: str = "",
        problems: tuple[Problem, ...] = (),
        *,
        retry_after: int = 0,
        is_last: bool = False,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.problems = problems
        self.retry_after = retry_after
        self.is_last = is_last


def problem_response(error: ApiError) -> web.Response:
    """The response that tells a client what went wrong and what to do."""
    status = STATUS_OF_CODE[error.code]
    body = wire.Problem(
        type=f"urn:opsvisor:problem:{error.code}",
        title=TITLES[status],
        status=status,
        code=error.code,
        detail=error.detail,
        hint=error.hint or _HINTS.get(error.code, ""),
        problems=[config_problem(problem) for problem in error.problems],
    )
    response = web.Response(
        status=status,
        body=wire.encode(body),
        content_type="application/problem+json",
    )
    response[CODE] = error.code
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def bad_config(error: ConfigError) -> ApiError:
    """The refusal of configuration files that can't be used, with every one of their problems."""
    count = len(error.problems)
    return ApiError(
        "bad_config",
        f"the configuration has {count} problem{'s' if count > 1 else ''}; nothing changed",
        "mend the files and try again",
        problems=error.problems,
    )


def config_problem(problem: Problem) -> wire.ConfigProblem:
    """A configuration problem in the words of the wire."""
    return wire.ConfigProblem(
        file=problem.where.file, line=problem.where.line, what=problem.what, hint=problem.hint
    )
