"""HTTP requests to the programs of the stack."""

import http.client
import urllib.parse
from collections.abc import Sequence

from tools.stack.errors import StackError
from tools.stack.waiting import PATIENCE

Parameters = Sequence[tuple[str, str]]


def ask(address: str, path: str, parameters: Parameters = (), *, method: str = "GET") -> bytes:
    """The body of the answer. Raises StackError, with that body, unless it is a success."""
    query = urllib.parse.urlencode(parameters)
    # Queries may be longer than a URL: Prometheus takes them as a form, too.
    form = query if method == "POST" else None
    target = f"{path}?{query}" if query and form is None else path
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request(method, target, form, kind)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        said = body.decode(errors="replace").strip()
        raise StackError(f"{method} http://{address}{path}: {response.status} {said}")
    return body
