"""JSON-RPC 2.0 framing: the messages that are read, refused and written."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm import jsonrpc
from roomfsm.jsonrpc import ErrorObject, FramingError, Message, Notification, Request, Response

ids = st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
params = st.none() | st.dictionaries(st.text(), json_values, max_size=3)
messages = (
    st.builds(Request, ids | st.none(), st.text(), params)
    | st.builds(Notification, st.text(), params)
    | st.builds(Response, ids | st.none(), json_values)
    | st.builds(
        lambda id_, code, message, data: Response(id_, error=ErrorObject(code, message, data)),
        ids | st.none(),
        st.integers(-(2**31), 2**31),
        st.text(),
        json_values,
    )
)


@given(messages)
def test_a_written_message_is_read_back_unchanged(message: Message) -> None:
    assert jsonrpc.decode(jsonrpc.encode(message)) == message


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_anything_is_read_or_refused_with_a_framing_error(text: str | bytes) -> None:
    with suppress(FramingError):
        jsonrpc.decode(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"jsonrpc":"2.0","id":1,"method":"ping"}', Request(1, "ping")),
        ('{"jsonrpc":"2.0","id":"a","method":"ping","params":{"a":1}}', Request("a", "ping", {"a": 1})),
        ('{"jsonrpc":"2.0","id":null,"method":"ping","params":null}', Request(None, "ping")),
        ('{"jsonrpc":"2.0","method":"onEvent","params":{}}', Notification("onEvent", {})),
        ('{"jsonrpc":"2.0","id":1,"result":null}', Response(1)),
        (b'{"jsonrpc":"2.0","id":1.5,"result":{"value":"pong"}}', Response(1.5, {"value": "pong"})),
        (
            '{"jsonrpc":"2.0","id":1,"error":{"code":40101,"message":"m","data":{"type":"T"}}}',
            Response(1, error=ErrorObject(40101, "m", {"type": "T"})),
        ),
        ('{"jsonrpc":"2.0","id":99999999999999999999,"method":"ping"}', Request(1e20, "ping")),
    ],
)
def test_a_message_is_read(text: str | bytes, message: Message) -> None:
    assert jsonrpc.decode(text) == message


@pytest.mark.parametrize(
    ("text", "code", "id_"),
    [
        ("", jsonrpc.PARSE_ERROR, None),
        ("not json", jsonrpc.PARSE_ERROR, None),
        ('{"jsonrpc":"2.0","id":1,', jsonrpc.PARSE_ERROR, None),
        (b"\xff\xfe", jsonrpc.PARSE_ERROR, None),
        ("[" * 100_000, jsonrpc.PARSE_ERROR, None),
        ("null", jsonrpc.INVALID_REQUEST, None),
        ("[]", jsonrpc.INVALID_REQUEST, None),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"}]', jsonrpc.INVALID_REQUEST, None),
        ('{"id":1,"method":"ping"}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"1.0","id":1,"method":"ping"}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":true,"method":"ping"}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc":"2.0","id":[1],"method":"ping"}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc":"2.0","id":%s,"method":"ping"}' % ("9" * 400), jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc":"2.0","id":1}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":1,"method":5}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":1,"error":null}', jsonrpc.INVALID_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', jsonrpc.INVALID_PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', jsonrpc.INVALID_PARAMS, 1),
    ],
)
def test_a_text_that_is_no_message_is_refused(text: str | bytes, code: int, id_: object) -> None:
    with pytest.raises(FramingError) as caught:
        jsonrpc.decode(text)
    assert (caught.value.code, caught.value.id) == (code, id_)


def test_members_are_written_in_the_order_of_the_specification() -> None:
    assert jsonrpc.encode(Request(1, "ping", {})) == '{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}'
    assert jsonrpc.encode(Request(1, "ping")) == '{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert jsonrpc.encode(Response(1)) == '{"jsonrpc":"2.0","id":1,"result":null}'
    error = Response(None, error=ErrorObject(-32600, "bad"))
    assert jsonrpc.encode(error) == '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"bad"}}'
