"""The machine of a person's sound: whether it reaches the others, and who decides that it does again.

A moderator mutes somebody in one of two ways. Usually the person turns the microphone on again when that is right.
If the moderator holds the sound, only a moderator can end that. In both cases the media server passes on no sound
of the person, whatever the person's client does; the pictures go on.
"""

from __future__ import annotations

from roomfsm.lifecycle.table import STAYS, Row, State, Table

MICROPHONE_ON = "microphone_on"

SOUND: Table[None] = Table(
    "sound",
    "Whether the others hear a person.",
    states=(
        State("audible", "the media server passes the person's sound on", owns=("sound",)),
        State("muted", "a moderator has muted the person, who may turn the microphone on again"),
        State("held", "a moderator has muted the person, until a moderator ends it"),
    ),
    rows=(
        Row(("muted",), ("audible", "muted", "held"), "muted"),
        Row(("held",), ("audible", "muted", "held"), "held"),
        Row(("unmuted",), ("audible", "muted", "held"), "audible"),
        Row((MICROPHONE_ON,), ("audible",), STAYS),
        Row((MICROPHONE_ON,), ("muted",), "audible"),
    ),
    causes={
        "muted": "a moderator mutes the person",
        "held": "a moderator mutes the person, and holds that",
        "unmuted": "a moderator lets the person be heard",
        MICROPHONE_ON: "the person turns the microphone on",
    },
)
