"""Finds the pipelines that an earlier run of this room server left at a media server by their tags, and releases
them.
"""

from __future__ import annotations

from collections.abc import Container

from roomfsm.kurento.errors import ConnectionLost, KurentoError, ObjectGone
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import Visit, open_visit
from roomfsm.log import get_logger

_log = get_logger(__name__)


async def sweep(url: str, settings: KurentoSettings, owner: Owner, held: Container[str] = ()) -> int:
    """Release the pipelines at `url` that an earlier run of `owner` left, and return how many there were.

    Those that are `held` stay, because this run has adopted them.

    Raises `ConnectionLost`, also if the media server refuses a request.
    """
    async with open_visit(url, settings) as visit:
        try:
            return await _release_left(visit, url, owner, held)
        except KurentoError as error:
            raise ConnectionLost(f"cannot sweep: {error}") from error


async def _release_left(visit: Visit, url: str, owner: Owner, held: Container[str]) -> int:
    released = 0
    for pipeline in await visit.pipelines():
        try:
            tags = await visit.tags(pipeline)
        except ObjectGone:
            continue  # it was released after it had been listed
        if owner.left(tags) and pipeline not in held:
            await visit.call("release", {"object": pipeline})
            released += 1
    if released:
        _log.warning("kurento left behind released", url=url, owner=owner.name, pipelines=released)
    return released
