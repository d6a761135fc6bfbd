"""Given what a client may send, the decoder reads it or says which field is at fault."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.protocol import fields, names
from roomfsm.protocol.client import CLIENT_MESSAGES, Chat, Join, SendFile, message_type
from roomfsm.protocol.codec import Outgoing, decode_client, decode_server, encode, error_of
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Malformed, Refusal, UnknownMessage
from roomfsm.protocol.server import SERVER_MESSAGES, Error, Joined, Pong, RoomState

JOINED = Joined(room="Blue", key="blue", you="p1", state="waiting", participants=(), streams=(), chat=())


def wire(**members: Any) -> str:
    return json.dumps(members)


@pytest.mark.parametrize("name", ["Ada", "Björn Ö.", "علی\u200cرضا", "👩\u200d🚀", "x" * fields.MAX_DISPLAY_NAME])
def test_a_display_name_is_accepted_or_refused_as_prepared(name: str) -> None:
    assert decode_client(wire(type="rename", name=name)) is not None


def test_a_message_is_read_with_its_ref() -> None:
    assert decode_client(wire(type="join", room="blue", name="Ada", ref=7)) == Join(room="blue", name="Ada", ref=7)


@pytest.mark.parametrize("ref", [0, 2**53 - 1, "x", "y" * fields.MAX_REF])
def test_a_ref_is_a_number_or_a_short_text(ref: int | str) -> None:
    assert decode_client(wire(type="ping", ref=ref)).ref == ref


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{", "$"),
        ("", "$"),
        ("[]", "$"),
        ("null", "$"),
        ("[" * 100_000, "$"),
        ('{"type":"chat","text":"\\ud800"}', "$"),
        (wire(room="blue"), "$.type"),
        (wire(type=5), "$.type"),
        (wire(type="join"), "$.room"),
        (wire(type="join", room="blue", color="red"), "$.color"),
        (wire(type="join", room=5), "$.room"),
        (wire(type="join", room="blue", name=""), "$.name"),
        (wire(type="join", room="blue", name="   "), "$.name"),
        (wire(type="join", room="blue", name="a\nb"), "$.name"),
        (wire(type="rename", name="x" * 10_000), "$.name"),
        (wire(type="rename", name="\u200b"), "$.name"),
        (wire(type="rename", name="\u200d"), "$.name"),
        (wire(type="rename", name="Ada\u202egnp.exe"), "$.name"),
        (wire(type="chat", text=""), "$.text"),
        (wire(type="chat", text="\0"), "$.text"),
        (wire(type="chat", text="bell\x07"), "$.text"),
        (wire(type="chat", text="\x1f" * fields.MAX_CHAT_TEXT), "$.text"),
        (wire(type="chat", text="line\r\n"), "$.text"),
        (wire(type="chat", text="\x7f"), "$.text"),
        (wire(type="chat", text="\x85\x9f"), "$.text"),
        (wire(type="chat", text="x" * (fields.MAX_CHAT_TEXT + 1)), "$.text"),
        (wire(type="chat", text="x", to=""), "$.to"),
        (wire(type="chat", text="x", replyTo=0), "$.replyTo"),
        (wire(type="deleteLine", line=2**53), "$.line"),
        (wire(type="publish", source="microphone", sdp="v=0"), "$.source"),
        (wire(type="publish", source="camera", sdp="x" * (fields.MAX_SDP + 1)), "$.sdp"),
        (wire(type="candidate", stream="p.camera", candidate="x" * (fields.MAX_CANDIDATE + 1)), "$.candidate"),
        (wire(type="candidate", stream="p.camera", candidate="", sdpMLineIndex=-1), "$.sdpMLineIndex"),
        (wire(type="ping", ref=-1), "$.ref"),
        (wire(type="ping", ref=2**53), "$.ref"),
        (wire(type="ping", ref=1.5), "$.ref"),
        (wire(type="ping", ref=True), "$.ref"),
        (wire(type="ping", ref="z" * (fields.MAX_REF + 1)), "$.ref"),
    ],
)
def test_an_error_names_the_path_of_the_wrong_field(text: str, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        decode_client(text)
    assert refused.value.path == path


def test_an_unknown_type_is_no_malformed_message_and_keeps_its_ref() -> None:
    with pytest.raises(UnknownMessage) as refused:
        decode_client(wire(type="dance", ref=9))
    assert refused.value.ref == 9


def test_an_unknown_type_and_its_ref_are_repeated_up_to_a_length() -> None:
    for length in (1, 64, 65, 1000):
        with pytest.raises(UnknownMessage) as refused:
            decode_client(wire(type="d" * length, ref=9))
        told = "d" * min(length, 64)
        assert error_of(refused.value, None) == Error(
            code=ErrorCode.UNKNOWN_MESSAGE, detail=f"no message of type '{told}'", message=told, ref=9
        )


def test_the_error_for_a_malformed_message_has_its_path_type_and_ref() -> None:
    with pytest.raises(Malformed) as refused:
        decode_client(wire(type="rename", name=5, ref="r"))
    assert error_of(refused.value, None) == Error(
        code=ErrorCode.MALFORMED,
        detail="Expected `str`, got `int`",
        path="$.name",
        message="rename",
        ref="r",
    )


@pytest.mark.parametrize(("said", "told"), [(None, None), ("d" * 64, "d" * 64), ("d" * 65, "d" * 64)])
def test_a_type_that_comes_after_the_fault_is_repeated_up_to_a_length(said: str | None, told: str | None) -> None:
    with pytest.raises(Malformed) as refused:
        decode_client(f'{{"type": "rename", "name": 5, "ref": 4, "type": {json.dumps(said)}}}')
    assert (refused.value.path, refused.value.message, refused.value.ref) == ("$.name", told, 4)


def test_the_ref_of_a_malformed_message_is_repeated_if_it_can_be_read() -> None:
    with pytest.raises(Malformed) as refused:
        decode_client(wire(type="join", room="", ref="here"))
    assert refused.value.ref == "here"
    assert error_of(refused.value, None).ref == "here"


@pytest.mark.parametrize("text", ["one\ntwo", "\n", "\tindented", "שלום 👩\u200d🚀", "\u202eturned\u202c", '"\\/'])
def test_a_line_of_chat_is_accepted_or_refused(text: str) -> None:
    assert decode_client(wire(type="chat", text=text)) == Chat(text=text)


def test_a_control_character_in_chat_is_refused_and_named() -> None:
    with pytest.raises(Malformed, match="no control characters except newlines and tabs"):
        decode_client(wire(type="chat", text="a\x1bb"))


def test_a_line_of_chat_takes_at_most_four_bytes_for_each_character() -> None:
    """The size is that of the encoded line, because messages to everybody have a bound on that."""
    for character in ("x", '"', "\\", "\n", "\t", "é", "\u2028", "🦉"):
        text = character * fields.MAX_CHAT_TEXT
        assert len(msgspec.json.encode(text)) <= 4 * fields.MAX_CHAT_TEXT + 2


def test_a_refusal_never_repeats_a_long_input() -> None:
    with pytest.raises(Malformed) as refused:
        decode_client(wire(type="ping", **{"x" * 100_000: 1}))
    assert len(encode(error_of(refused.value, None))) < 1_000


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "Zimmer-Ä", "房间", "...", "x" * fields.MAX_ROOM_NAME])
def test_a_rooms_name_is_accepted(name: str) -> None:
    assert names.is_room_name(name)
    assert decode_client(wire(type="switch", room=name)) is not None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "a/b", "a\n", "\n", "a%", "<b>", "x" * (fields.MAX_ROOM_NAME + 1)]
)
def test_a_text_that_cannot_be_a_rooms_name_is_refused(name: str) -> None:
    assert not names.is_room_name(name)
    with pytest.raises(Malformed, match="a room name is"):
        decode_client(wire(type="switch", room=name))


@pytest.mark.parametrize(("one", "other"), [("Blue", "bLUE"), ("Straße", "STRASSE"), ("ﬁn", "FIN"), ("Å", "Å")])
def test_names_of_rooms_are_compared_in_their_folded_form(one: str, other: str) -> None:
    assert names.room_key(one) == names.room_key(other)


@given(st.text())
def test_no_text_except_a_message_is_accepted(text: str) -> None:
    with pytest.raises(Refusal):
        decode_client(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_except_a_message_is_accepted(value: Any) -> None:
    with pytest.raises(Refusal):
        decode_client(json.dumps(value))


@given(st.sampled_from(CLIENT_MESSAGES), st.data())
def test_every_client_message_survives_the_wire(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    sample: dict[str, Any] = {"type": message_type(kind)}
    for name, value in {
        "room": st.just("blue"),
        "name": st.text("abc ", min_size=1, max_size=9).filter(str.strip),
        "text": st.text(
            st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1, max_size=99
        ),
        "source": st.sampled_from(["camera", "screen"]),
        "sdp": st.just("v=0\r\n"),
        "stream": st.just("p1.camera"),
        "candidate": st.just("candidate:1 1 udp 1 192.0.2.1 9 typ host"),
        "token": st.just("t"),
        "participant": st.just("p1"),
        "role": st.sampled_from(["viewer", "presenter", "moderator"]),
        "microphone": st.booleans(),
        "camera": st.booleans(),
        "size": st.integers(0, 2**53 - 1) if kind is SendFile else st.sampled_from(["none", "large"]),
        "speaking": st.booleans(),
        "reaction": st.sampled_from(["thumbsUp", "heart", "applause", "laugh", "surprise", "party"]),
        "hold": st.booleans(),
        "seconds": st.none() | st.floats(0.001, 604_800),
        "line": st.integers(1, 2**53 - 1),
        "to": st.none() | st.just("p2"),
        "replyTo": st.none() | st.integers(1, 2**53 - 1),
        "ref": st.none() | st.integers(0, 2**53 - 1),
    }.items():
        if name in kind.__struct_encode_fields__:
            sample[name] = data.draw(value, name)
    message = decode_client(json.dumps(sample))
    assert type(message) is kind
    assert decode_client(encode(message)) == message


def test_every_message_has_a_type_of_its_own() -> None:
    for messages in (CLIENT_MESSAGES, SERVER_MESSAGES):
        types = [message_type(message) for message in messages]
        assert len(set(types)) == len(types)


def test_an_error_has_the_state_and_the_legal_messages() -> None:
    refusal = IllegalInState("publish", "room", "closing", ("leave", "ping"))
    assert json.loads(encode(error_of(refusal, 7, "publish"))) == {
        "type": "error",
        "ref": 7,
        "code": "illegal_in_state",
        "detail": "'publish' is not legal while the room is closing",
        "message": "publish",
        "machine": "room",
        "state": "closing",
        "allowed": ["leave", "ping"],
    }


def test_every_code_has_an_explanation() -> None:
    for code in ErrorCode:
        assert code.explanation.endswith(".")
        assert decode_server(encode(error_of(Refusal(code), 1))) == Error(
            code=code, detail=code.explanation, ref=1
        )


def test_an_outgoing_message_is_encoded_once() -> None:
    outgoing = Outgoing(RoomState(state="waiting", participants=1, streams=0), "state")
    assert json.loads(outgoing.payload) == {
        "type": "roomState",
        "state": "waiting",
        "participants": 1,
        "streams": 0,
    }
    assert outgoing.payload is outgoing.payload


@pytest.mark.parametrize(
    ("outgoing", "is_reply"),
    [
        (Outgoing(RoomState(state="waiting", participants=1, streams=0)), False),
        (Outgoing(RoomState(state="waiting", participants=1, streams=0), is_reply=True), True),
        (Outgoing(Pong()), False),
        (Outgoing(Pong(ref=0)), True),
        (Outgoing(Error(code=ErrorCode.MALFORMED, detail="")), True),
        (Outgoing(JOINED), True),
    ],
)
def test_a_message_is_a_reply_if_it_has_a_ref_or_is_always_one(outgoing: Outgoing, is_reply: bool) -> None:
    assert outgoing.is_reply is is_reply


def test_fields_with_their_default_value_are_left_out() -> None:
    assert encode(Pong()) == '{"type":"pong"}'
    assert encode(Chat(text="hi")) == '{"type":"chat","text":"hi"}'
