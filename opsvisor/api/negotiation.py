"""In which form a client wants its answer: headers with lists and weights (RFC 9110, 12)."""

from aiohttp import web


def list_in(request: web.Request, name: str) -> str:
    """A header that holds a list, which may be spread over several lines (RFC 9110, 5.3)."""
    return ",".join(request.headers.getall(name, ()))


def wants_html(accept: str) -> bool:
    """Whether a client names HTML as what it takes: browsers do, and hardly anybody else."""
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind == "text/html":
            return "q=0" not in parameters
    return False


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client wants gzip (RFC 9110, 12.5.3): not at q=0, nor where it likes plain better.

    `*` stands for what is not named.
    """
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        # 8.4.1.3: x-gzip is another name for it.
        weights[coding.strip().removeprefix("x-")] = _weight(parameter)
    wanted = weights.get("gzip", weights.get("*", 0.0))
    return wanted > 0 and wanted >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    name, _, number = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        return float(number) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0  # what can't be understood is not taken for a wish
