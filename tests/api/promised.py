"""Whether answers are as the contract promises: each of them, of whatever a test asks for."""

import json

from aiohttp import web

from opsvisor.api.context import DECLARED
from opsvisor.api.openapi import PROBLEM_JSON, problem_codes
from opsvisor.api.route import Route


class Promises:
    """Looks at each answer as it begins, and remembers what the contract does not tell."""

    def __init__(self, app: web.Application) -> None:
        self.broken: list[str] = []
        app.on_response_prepare.append(self._look)

    async def _look(self, request: web.Request, response: web.StreamResponse) -> None:
        route = request.app[DECLARED].get(request.match_info.route)
        # The contract names no HEAD: it is GET without the body, and streams refuse it.
        if route is not None and route.in_contract and request.method != "HEAD":
            what = f"{route.method} {route.path}"
            self.broken += [f"{what}: {fault}" for fault in _faults(route, response)]


def _faults(route: Route, response: web.StreamResponse) -> list[str]:
    media = response.content_type
    if media == PROBLEM_JSON:
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        code = json.loads(response.body)["code"]
        return [] if code in problem_codes(route) else [f"{code} is not among its problems"]
    faults = []
    if response.status != route.status:
        faults.append(f"it answers {response.status}, not {route.status}")
    if media not in route.media_types:
        faults.append(f"it answers {media}, not {', '.join(route.media_types)}")
    return faults
