"""STUN: our small codec is compared with an independent one (aioice's), and tested with what is not STUN."""

import pytest
from aioice import stun as reference
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.ice import stun
from tests.examples import examples

PASSWORD = b"a password"


def request(**attributes: object) -> reference.Message:
    message = reference.Message(
        reference.Method.BINDING, reference.Class.REQUEST, attributes={"USERNAME": "ours:theirs", **attributes}
    )
    message.add_message_integrity(PASSWORD)
    return message


def test_a_request_of_another_implementation_is_authentic() -> None:
    data = bytes(request(PRIORITY=1, **{"ICE-CONTROLLING": 7, "USE-CANDIDATE": None}))
    message = stun.parse(data)
    assert message.type == stun.BINDING_REQUEST
    assert message.attributes[stun.USERNAME] == b"ours:theirs"
    assert stun.USE_CANDIDATE in message.attributes
    assert stun.is_authentic(message, data, PASSWORD)
    assert not stun.is_authentic(message, data, b"another password")


def test_a_changed_byte_is_not_authentic() -> None:
    data = bytearray(bytes(request()))
    data[25] ^= 1
    assert not stun.is_authentic(stun.parse(bytes(data)), bytes(data), PASSWORD)


def test_a_request_without_integrity_is_not_authentic() -> None:
    message = reference.Message(
        reference.Method.BINDING, reference.Class.REQUEST, attributes={"USERNAME": "ours:theirs"}
    )
    assert not stun.is_authentic(stun.parse(bytes(message)), bytes(message), PASSWORD)


def test_attributes_after_the_integrity_are_not_believed() -> None:
    message = request()
    message.attributes["USE-CANDIDATE"] = None
    data = bytes(message)
    assert stun.USE_CANDIDATE not in stun.parse(data).attributes


@pytest.mark.parametrize("address", [("192.0.2.7", 50001), ("2001:db8::7", 50001)])
def test_the_success_response_is_read_by_another_implementation(address: tuple[str, int]) -> None:
    asked = request()
    answer = reference.parse_message(stun.success(stun.parse(bytes(asked)), address, PASSWORD))
    assert answer.message_class is reference.Class.RESPONSE
    assert answer.transaction_id == asked.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == address
    assert answer.check_message_integrity(PASSWORD)
    assert "FINGERPRINT" in answer.attributes


def test_the_error_response_is_read_by_another_implementation() -> None:
    asked = stun.parse(bytes(request()))
    answer = reference.parse_message(stun.failure(asked, stun.ROLE_CONFLICT, "Role Conflict", PASSWORD))
    assert answer.message_class is reference.Class.ERROR
    assert answer.error_code == 487
    assert answer.check_message_integrity(PASSWORD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(19),
        bytes(20),
        bytes(request())[:-1],
        bytes(request()) + b"\0",
        bytes(request())[:4] + b"\0\0\0\0" + bytes(request())[8:],
    ],
    ids=["empty", "short", "no cookie", "cut", "longer", "wrong cookie"],
)
def test_a_datagram_that_is_not_stun_is_an_error(data: bytes) -> None:
    with pytest.raises(stun.StunError):
        stun.parse(data)


def plain(count: int) -> bytes:
    """A Binding request of so many attributes of four bytes, without integrity."""
    body = b"".join(kind.to_bytes(2) + b"\0\4abcd" for kind in range(0x9000, 0x9000 + count))
    return b"\0\1" + len(body).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + body


def test_an_attribute_may_end_with_the_message() -> None:
    assert stun.parse(plain(1)).attributes == {0x9000: b"abcd"}


def test_no_more_attributes_are_read_than_any_browser_sends() -> None:
    """All of them are read before anything is authenticated."""
    assert len(stun.parse(plain(32)).attributes) == 32
    with pytest.raises(stun.StunError, match="too many attributes"):
        stun.parse(plain(33))


@examples(200)
@given(st.binary(max_size=120))
def test_no_attributes_break_the_parser(body: bytes) -> None:
    body += bytes(-len(body) & 3)
    data = b"\0\1" + len(body).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + body
    try:
        message = stun.parse(data)
    except stun.StunError:
        return
    stun.is_authentic(message, data, PASSWORD)
