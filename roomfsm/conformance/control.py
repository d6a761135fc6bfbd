"""The control API, which closes a room by HTTP, as an administrator does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

import h11
import trio

from roomfsm.conformance.outcome import CannotRun, NotReachable
from roomfsm.conformance.raw import Target

_TIMEOUT = 5.0
_REFUSED = (401, 403)
REASON = "conformance"


@dataclass(frozen=True, slots=True)
class Control:
    """The address at which rooms are closed.

    `path` contains `{room}`, and `token` is sent as `Authorization: Bearer`.
    """

    target: Target
    method: str
    path: str
    token: str | None

    async def close(self, room: str) -> None:
        """Close a room. Raises `NotReachable` if that is not possible, and `CannotRun` if the token is refused."""
        status = None
        with trio.move_on_after(_TIMEOUT):
            try:
                status = await self._ask(self.path.replace("{room}", quote(room, safe="")))
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
                status = None
        if status is None:
            raise NotReachable("needs the control API, which cannot be reached (see --control)")
        if status in _REFUSED and self.token is not None:
            raise CannotRun(f"the control API refused the token (HTTP {status})")
        if status >= 300:
            raise NotReachable(f"needs the control API, which answered {status} (see --control, --control-token)")

    async def _ask(self, path: str) -> int:
        body = json.dumps({"reason": REASON}).encode()
        headers = [
            ("host", self.target.authority),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        if self.token is not None:
            headers.append(("authorization", f"Bearer {self.token}"))
        http = h11.Connection(h11.CLIENT)
        base = "" if self.target.path == "/" else self.target.path.rstrip("/")
        request = h11.Request(method=self.method, target=base + path, headers=headers)
        async with await self.target.connect() as stream:
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                await stream.send_all(http.send(event) or b"")
            while True:
                came = http.next_event()
                if came is h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some(65536)))
                elif isinstance(came, h11.Response):
                    return came.status_code
                elif not isinstance(came, h11.InformationalResponse):
                    raise h11.RemoteProtocolError("no response")
