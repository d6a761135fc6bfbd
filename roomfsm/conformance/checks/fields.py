"""Texts that are not messages. Each is answered with what is wrong and where, and the connection continues."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from roomfsm.conformance.checks import steps
from roomfsm.conformance.checks.limits import check_malformed
from roomfsm.conformance.checks.steps import bring
from roomfsm.conformance.outcome import Failed, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Field
from roomfsm.conformance.stage import Room

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_SHORT = 100
"""The length of a type that no server would cut."""
_VALUES: tuple[Any, ...] = ("", 7, 1.5, True, [], {})
_NO_MESSAGES = (
    "",
    "{",
    "[",
    "null",
    "7",
    '"ping"',
    "[]",
    "nonsense",
    '{"type":"ping"}}',
    '{"type":"ping",}',
    "\x00",
)
_GOOD_NAMES = (
    "🦉",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "Zoë",
    "עדה",
    "آدا",
    "李 雷",
    "नमस्ते",
    "O'Brien",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "می\u200cخواهم",
)
_PREPARED_NAMES = (("Zoe\u0308", "Zoë"), ("  two  spaces ", "two spaces"), ("Ａda", "Ada"))
"""Names as they are sent, and as the nickname profile of RFC 8266 converts them."""
_BAD_NAMES = (
    "",
    " ",
    "   ",
    "a\nb",
    "a\tb",
    "\x00",
    "a\u202eb",
    "\u200b",
    "\u200d",
    "\ufeffa",
    "a\u2028b",
    "\u00a0",
    "\u3164",
    "\u115f",
    "\u2800",
    "a\u00adb",
    "a\u034f",
    "a\U000e0041",
    "a" + "\u0301" * 32,
    "\u0301a",
)
_ROOM_NAMES = (
    *("Zürich", "חדר", "غرفة", "会議室", "комната", "٣", "a.b_c-d"),
    *("हिन्दी", "ไทย", "தமிழ்", "বাংলা", "မြန်မာ", "ខ្មែរ", "שָׁלוֹם", "مَرْحَبًا", "می\u200cخواهم"),
)
_SAME_ROOMS = (
    ("Blue", "bLUE"),
    ("Straße", "STRASSE"),
    ("ﬁsh", "FISH"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("Ａ", "a"),
    ("Zürich", "Zu\u0308rich"),
)
_LINES = (
    "🦉\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "é and e\u0301",
    "שלום עולם",
    "\u202eturned\u202c",
    "line\nline\n\ttab",
    " ",
    '"\\/',
)


def checks(plan: Plan) -> Iterator[Check]:
    """A check of each message's fields, of JSON itself, and of names."""
    for message in plan.spec.messages:
        yield Check(f"field/{message}", partial(_fields, message=message))
    yield Check("json/malformed", _malformed)
    yield Check("json/unknown-type", _unknown_type)
    yield Check("json/types", _bad_types)
    yield Check("json/deep", _deep)
    yield Check("json/surrogate", _surrogate)
    yield Check("unicode/display-names", _display_names)
    yield Check("unicode/room-names", _room_names)
    yield Check("unicode/room-names-folded", _folded)
    yield Check("unicode/chat", _chat)


async def _fields(scene: Scene, *, message: str) -> None:
    """Each field is missing or has a wrong type, and a field is unknown."""
    ada = await scene.connect("Ada")
    good = steps.sample(scene, ada, message, "nobody.camera")
    for field in scene.spec.fields(message).values():
        if field.name == "ref":
            continue
        if field.required:
            less = {key: value for key, value in good.items() if key != field.name}
            check_malformed(await ada.ask(message, **less), f"$.{field.name}", message)
        for value in _VALUES:
            if not _is_of(field, value):
                check_malformed(await ada.ask(message, **{**good, field.name: value}), f"$.{field.name}", message)
    check_malformed(await ada.ask(message, **good, surprise=1), "$.surprise", message)


def _is_of(field: Field, value: Any) -> bool:
    """Whether the value has one of the field's types, or the schema does not say."""
    for shape in field.shapes:
        kind = shape.get("type")
        if kind is None and "enum" not in shape and "const" not in shape:
            return True
        types = _TYPES.get(kind, ()) if isinstance(kind, str) else (str,)
        if isinstance(value, types) and (not isinstance(value, bool) or kind == "boolean"):
            return True
    return False


async def _malformed(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    for text in _NO_MESSAGES:
        await ada.send_text(text)
        steps.check_code(await ada.next("error with code malformed"), "malformed")
    await Room(scene).join(ada)


async def _unknown_type(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    for kind in ("dance", "JOIN", "welcome", "x" * 5000, ""):
        reply = await ada.ask(kind)
        steps.check_code(reply, "unknown_message")
        # The server need not name it, and may cut a long one.
        if len(kind) < _SHORT and reply.get("message") not in (None, kind):
            raise Failed(f"error with code unknown_message and no message or {kind!r}", shown(reply))


async def _bad_types(scene: Scene) -> None:
    """A type that is not a text is malformed, and so is a missing type."""
    ada = await scene.connect("Ada")
    kinds: tuple[Any, ...] = (7, None, [], {}, True)
    for kind in kinds:
        await ada.send_message({"type": kind})
        steps.check_code(await ada.next("error with code malformed"), "malformed")
    await ada.send_message({"ref": 7})
    reply = await ada.next("error with code malformed")
    check_malformed(reply, "$.type")
    if reply.get("ref") != 7:
        raise Failed("an error with ref 7", shown(reply))


async def _deep(scene: Scene) -> None:
    """Very deep nesting breaks nothing."""
    ada = await scene.connect("Ada")
    depth = min(50_000, scene.plan.limit("messageBytes") // 2)
    await ada.send_text('{"type":"ping","zzz":' + "[" * depth)
    steps.check_code(await ada.next("error with code malformed"), "malformed")


async def _surrogate(scene: Scene) -> None:
    """Half a character, which JSON can contain, is refused or passed on as a replacement.

    It never causes an internal error.
    """
    place = await bring(scene, "waiting")
    await place.ada.send_text('{"type":"chat","ref":77,"text":"\\ud83e"}')
    reply = await place.ada.next("chat, or error with code malformed")
    if (reply["type"], reply.get("ref")) != ("chat", 77):
        steps.check_code(reply, "malformed")
    await place.bob.flush()


async def _display_names(scene: Scene) -> None:
    """Names may have any script, emoji and combining characters, but no invisible characters and none that change
    the direction of the text.
    """
    place = await bring(scene, "waiting")
    for name in _GOOD_NAMES:
        await place.room.rename(place.ada, name)
    for sent, told in _PREPARED_NAMES:
        await place.room.rename(place.ada, sent, told)
    for bad in _BAD_NAMES:
        check_malformed(await place.ada.ask("rename", name=bad), "$.name")
    await place.room.chat(place.ada)


async def _room_names(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    unique = scene.room_name()
    for good in _ROOM_NAMES:
        room = Room(scene, f"{good}-{unique}")
        await room.join(ada)
        await room.leave(ada)
    for bad in (
        ".",
        "..",
        "a b",
        "a/b",
        "🦉",
        "a\n",
        "a?",
        "a#b",
        "a%20b",
        "a:b",
        "a\u202eb",
        " a",
        "a\u200cb",
        "\u0301a",
    ):
        check_malformed(await ada.ask("join", room=bad), "$.room")


async def _folded(scene: Scene) -> None:
    """Names are compared by a compatibility caseless match. The room keeps the name with which it was opened."""
    unique = scene.room_name()
    for first, second in _SAME_ROOMS:
        room = Room(scene, f"{first}-{unique}")
        ada = await room.enter("Ada")
        bob = await scene.connect("Bob")
        ref = await bob.send("join", room=f"{second}-{unique}", name="Bob")
        await room.admitted(bob, ref, "join")
        await room.chat(bob)
        await ada.bye()
        await room.left(ada, "left")
        await bob.bye()


async def _chat(scene: Scene) -> None:
    """Lines of chat are passed on unchanged."""
    place = await bring(scene, "waiting")
    for text in _LINES:
        await place.room.chat(place.ada, text)
