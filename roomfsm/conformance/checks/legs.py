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

_SOUNDS = 30
"""So many packets of sound in a row, without one of the picture, show that the picture is not sent. In that time a
peer of the kit sends several frames."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of both machines."""
    for row in plan.spec.rows:
        if row.machine in ("stream", "view"):
            yield Check(f"row/{row.key}", partial(_row, row=row), steps.path_of_row(plan.spec, row), media=True)
    if "adjust" in plan.spec.messages:
        yield Check("view/picture-paused", _picture_paused, media=True)


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
        case "connected" if view is not None and view.paused:
            await room.connect(view)
            await steps.is_told(stream, view, "paused")
        case "connected":
            await room.connect(view or stream)
        case "candidate":
            await room.pass_candidate(view or stream)
        case "restart":
            await room.restart(view or stream)
        case "view":
            await room.view(place.ada, stream)
            if stream.state == "live":
                await steps.show(place, stream, stream.views[0])
        case "picture_off" | "picture_on" if view is not None:
            await steps.adjust(place, stream, view, "none" if row.trigger == "picture_off" else "large")
        case "flowing" if view is not None:
            await steps.flow(place, stream, view)
        case "flowing":
            await steps.flow(place, stream, None)
        case "silent" if view is not None and view.paused:
            await steps.flow(place, stream, None)
            await steps.fall_silent(place, stream, None)
        case "silent":
            await steps.fall_silent(place, stream, view)
        case "end" if view is not None:
            await room.unview(stream, view)
        case "end":
            await room.unpublish(stream)
        case _:
            raise NeverReachable(f"nothing that the kit can do from outside is {row.trigger}")


async def _picture_paused(scene: Scene) -> None:
    """A viewer who does not want the picture gets only the sound, until the picture is wanted again."""
    place = await steps.bring(scene, "broadcasting")
    stream = place.stream
    await steps.flow(place, stream, None)
    view = await place.room.view(place.ada, stream)
    await steps.show(place, stream, view)
    picture = view.peer.payload_types["vp8"]
    await steps.adjust(place, stream, view, "none")

    async def only_sound() -> None:
        sounds = 0
        while sounds < _SOUNDS:
            sounds = 0 if (await view.peer.receive_rtp()).payload_type == picture else sounds + 1

    async def both() -> None:
        while (await view.peer.receive_rtp()).payload_type != picture:
            pass

    await scene.until("the sound without the picture", only_sound)
    await steps.adjust(place, stream, view, "large")
    view.peer.received_rtp()
    await scene.until("the picture again", both)


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
