"""Every row of the tables of streams and views: media flow, stop, and end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from roomfsm.conformance.checks import steps
from roomfsm.conformance.checks.steps import Place
from roomfsm.conformance.outcome import NeverReachable
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Row
from roomfsm.conformance.stage import Leg, Stream


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of both machines."""
    for row in plan.spec.rows:
        if row.machine in ("stream", "view"):
            yield Check(f"row/{row.key}", partial(_row, row=row), steps.path_of_row(plan.spec, row), media=True)


async def _row(scene: Scene, *, row: Row) -> None:
    reason = steps.why_unseen(row)
    if reason is not None:
        raise NeverReachable(reason)
    await steps.bystander(scene)
    if row.trigger == "answered":
        await _answered(scene)
        return
    if row.trigger == "flowing" and row.source == row.dest:
        await _more_flows(scene)
        return
    place, leg = await steps.leg_in(scene, row.machine, row.source)
    stream = leg if isinstance(leg, Stream) else place.stream
    await _bring_about(scene, row, place, stream, None if stream is leg else leg)
    await place.room.chat(place.bob)


async def _answered(scene: Scene) -> None:
    """The publisher or viewer causes the row and sees its result."""
    place = await steps.bring(scene, "broadcasting")
    await place.room.view(place.ada, place.stream)
    await place.room.chat(place.bob)


async def _bring_about(scene: Scene, row: Row, place: Place, stream: Stream, view: Leg | None) -> None:
    room = place.room
    match row.trigger:
        case "connected":
            await room.connect(view or stream)
        case "candidate":
            await room.pass_candidate(view or stream)
        case "view":
            await room.view(place.ada, stream)
            if stream.state == "live":
                await steps.show(place, stream, stream.views[0])
        case "flowing" if view is not None:
            await steps.flow(place, stream, view)
        case "flowing":
            await steps.flow(place, stream, None)
        case "silent":
            await steps.fall_silent(place, stream, view)
        case "end" if view is not None:
            await room.unview(stream, view)
        case "end":
            await room.unpublish(stream)
        case _:
            raise NeverReachable(f"nothing that the kit can do from outside is {row.trigger}")


async def _more_flows(scene: Scene) -> None:
    """If audio already flows and then video flows as well, nothing is reported."""
    place = await steps.bring(scene, "broadcasting")
    stream = place.stream
    await steps.flow(place, stream, None, "audio")
    view = await place.room.view(place.ada, stream)
    await steps.show(place, stream, view)
    view.peer.received_rtp()
    stream.peer.play("audio", "video")

    async def video() -> None:
        while (await view.peer.receive_rtp()).payload_type != view.peer.payload_types["vp8"]:
            pass

    await scene.until("video at the viewer", video)
    await place.room.chat(place.bob)
