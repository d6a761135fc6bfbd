"""The address `/metrics`, and who may read it: at the server's own port only those who know the token.

A port of its own (`--metrics-bind`) is for the operator's network. It serves nothing else, and asks for the token
only if there is one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from quart import Blueprint, Response, abort, request

from roomfsm.web.access import bearer_of, same_secret

type WritePage = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Makes the page in the format that an `Accept` header prefers. Returns it with its content type."""

METRICS_PATH = "/metrics"


@dataclass(slots=True)
class MetricsAccess:
    """Who may read the metrics. The token can be changed while the server runs."""

    token: str | None


def create_metrics(write: WritePage, access: MetricsAccess, *, is_open: bool) -> Blueprint:
    """Create `/metrics`. `is_open` says that without a token everybody may read it; otherwise nobody may."""
    metrics = Blueprint("metrics", __name__)

    @metrics.get(METRICS_PATH)
    async def page() -> Response:
        if access.token is None and not is_open:
            abort(404)
        if access.token is not None and not same_secret(bearer_of(request), access.token):
            return Response(
                "The metrics are open only to programs that send the header Authorization: Bearer … with the "
                "token of --metrics-token.\n",
                401,
                content_type="text/plain; charset=utf-8",
                headers={"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"},
            )
        body, content_type = await write(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})

    return metrics
