"""What one message costs at the gate: decoding, the legality table, the room's table, journal, encoding, framing.

`uv run python -m tests.bench.gate [--count 20000]`. In this process, no I/O; the reference is measured in this
same run: `json.loads` of the same message and `json.dumps` of the same reply.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import trio

from roomfsm.lifecycle.legality import judge
from roomfsm.lifecycle.room import ROOM, RoomFacts
from roomfsm.protocol.client import message_type
from roomfsm.protocol.codec import Outgoing, decode_client, error_of
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.server import ChatLine, ChatSaid, ParticipantChanged, ParticipantInfo, Pong, ServerMessage
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.settings import RoomSettings
from roomfsm.signaling.frames import text_frame
from tests.bench.processes import pin

_ROUNDS = 7
"""The median of these is printed."""

_SPEAKER = "p0123456789abcdef"
_TEXT = "x" * 90
_CANDIDATE = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.4 rport 46154"
_LEGAL = RoomFacts(people=10, streams=1, presenters=1, max_people=500, stream_exists=True, viewing=True)

# Each with the state of its room, and the reply; a candidate has none, so the smallest there is stands for it.
CASES: dict[str, tuple[dict[str, object], str, ServerMessage]] = {
    "chat": (
        {"type": "chat", "text": _TEXT},
        "waiting",
        ChatSaid(line=ChatLine(seq=100, participant=_SPEAKER, name="Ada", text=_TEXT, at=1_800_000_000_000)),
    ),
    "rename": (
        {"type": "rename", "name": "Countess", "ref": 7},
        "waiting",
        ParticipantChanged(participant=ParticipantInfo(id=_SPEAKER, name="Countess"), ref=7),
    ),
    "candidate": (
        {"type": "candidate", "stream": f"{_SPEAKER}.camera", "candidate": _CANDIDATE, "sdpMid": "0"},
        "broadcasting",
        Pong(),
    ),
    # Refused: the reply names the state, and all that is legal in it.
    "candidate, illegal": (
        {"type": "candidate", "stream": f"{_SPEAKER}.camera", "candidate": _CANDIDATE, "sdpMid": "0", "ref": 7},
        "waiting",
        Pong(),
    ),
}


def _gate(message: dict[str, object], state: str, reply: ServerMessage) -> Callable[[], Outgoing]:
    """The way of one message through the program, without its tasks and sockets."""
    text, model, journal = json.dumps(message), ROOM.new(), Journal("blue", RoomSettings(journal_refusals=1e9))
    model.state = state

    def gate() -> Outgoing:
        asked = decode_client(text)
        try:
            judge(message_type(asked), "joined", model.state)
            step = ROOM.fire(model, message_type(asked), _LEGAL)
            journal.took(ROOM.name, None, step, who=_SPEAKER, message=journal.readable(asked), facts=_LEGAL)
            outgoing = Outgoing(reply)
        except Refusal as refusal:
            journal.refused("session", _SPEAKER, message_type(asked), "joined", refusal, who=_SPEAKER)
            outgoing = Outgoing(error_of(refusal, asked.ref, message_type(asked)))
        outgoing.wire = text_frame(outgoing.payload)
        return outgoing

    return gate


def _reference(message: dict[str, object], answer: bytes) -> Callable[[], str]:
    text, reply = json.dumps(message), json.loads(answer)

    def reference() -> str:
        json.loads(text)
        return json.dumps(reply)

    return reference


def _microseconds(work: Callable[[], object], count: int) -> float:
    """CPU a call."""
    rounds: list[float] = []
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(count):
            work()
        rounds.append((time.process_time() - begin) / count * 1e6)
    return statistics.median(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    count: int = parser.parse_args().count
    pin(0)
    trio.run(_print, count)


async def _print(count: int) -> None:
    """In a trio program, because the journal looks at its clock. Nothing here waits."""
    print("message              µs  x reference (json.loads + json.dumps)")
    for name, (message, state, reply) in CASES.items():
        gate = _gate(message, state, reply)
        ours = _microseconds(gate, count)
        bare = _microseconds(_reference(message, gate().payload), count)
        print(f"{name:18} {ours:5.2f} {ours / bare:8.2f}")


if __name__ == "__main__":
    main()
