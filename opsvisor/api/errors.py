"""What goes wrong at the API, as problem+json (RFC 9457): one table of codes."""

from aiohttp import web

from opsvisor import wire
from opsvisor.config.problems import ConfigError, Problem

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Unprocessable configuration",
    500: "Internal error",
    503: "Not ready",
}

STATUS_OF_CODE = {
    "bad_request": 400,
    "bad_signal": 400,
    "unauthorized": 401,
    "foreign_origin": 403,
    "forbidden": 403,
    "not_found": 404,
    "no_such_process": 404,
    "no_such_group": 404,
    "no_log": 404,
    "method_not_allowed": 405,
    "stdin_unavailable": 409,
    "stdin_full": 409,
    "shutting_down": 409,
    "too_large": 413,
    "not_json": 415,
    "wrong_host": 421,
    "bad_config": 422,
    "internal": 500,
    "not_ready": 503,
}


class ApiError(Exception):
    """A request that can't be answered. `code` is a key of STATUS_OF_CODE."""

    def __init__(
        self, code: str, detail: str, hint: str = "", problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.problems = problems


def problem_response(error: ApiError) -> web.Response:
    """The response that tells a client what went wrong and what to do."""
    status = STATUS_OF_CODE[error.code]
    body = wire.Problem(
        type=f"urn:opsvisor:problem:{error.code}",
        title=_TITLES[status],
        status=status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        problems=[config_problem(problem) for problem in error.problems],
    )
    return web.Response(
        status=status,
        body=wire.encode(body),
        content_type="application/problem+json",
    )


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
