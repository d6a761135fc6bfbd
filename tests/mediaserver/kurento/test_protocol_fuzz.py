"""No input crashes the server, neither nonsensical requests nor bytes that are no websocket frames."""

import json
import os
import random
from contextlib import suppress
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roomfsm.jsonrpc import FramingError
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.methods import Methods
from roomfsm.mediaserver.kurento.objects import MediaPipeline
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server_manager import ServerManager
from roomfsm.mediaserver.kurento.webrtc_endpoint import WebRtcEndpoint
from tests.examples import examples
from tests.mediaserver.kurento import replay
from tests.mediaserver.kurento_client import HANDSHAKE, PATIENCE, frame, open_client, open_server, tcp

OPERATIONS = sorted({*MediaPipeline.OPERATIONS, *ServerManager.OPERATIONS, *WebRtcEndpoint.OPERATIONS})
ARGUMENTS = [
    "answer",
    "iceTcp",
    "latencyStats",
    "offerToReceiveAudio",
    "options",
    "candidate",
    "interval",
    "key",
    "maxVideoSendBandwidth",
    "mediaPipeline",
    "mediaType",
    "moduleName",
    "name",
    "offer",
    "recvonly",
    "sdpMLineIndex",
    "sdpMid",
    "sendTagsInEvents",
    "sink",
    "stunServerPort",
    "value",
]
OFFERS = [
    line.message["params"]["operationParams"]["offer"]
    for line in replay.read("03_errors.jsonl")
    if line.direction == "send"
    and line.message.get("params", {}).get("operation") == "processOffer"
    and isinstance(line.message["params"].get("operationParams"), dict)
    and isinstance(line.message["params"]["operationParams"].get("offer"), str)
]
ANSWER = next(
    line.message["params"]["operationParams"]["answer"]
    for line in replay.read("15_no_session.jsonl")
    if line.direction == "send" and line.message.get("params", {}).get("operation") == "processAnswer"
)

# The numbers stay small, so that no getUsedCpu takes long.
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.floats(-3, 20)
    | st.sampled_from([2**31, -(2**63), 1e300])
    | st.sampled_from(
        ["", "AUDIO", "VIDEO", "DATA", "PIPELINE", "SOURCE", "JOINT", "SINK", "manager_ServerManager"]
    )
    | st.sampled_from(
        ["newref:0", "newref:9", "Error", "ElementConnected", "MediaPipeline", "PassThrough", "WebRtcEndpoint"]
    )
    | st.sampled_from([*OFFERS, ANSWER])
    | st.text(max_size=5)
)
arguments = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(ARGUMENTS), inner, max_size=4),
    max_leaves=6,
)
params = st.fixed_dictionaries(
    {},
    optional={
        "object": arguments,
        "operation": st.sampled_from(OPERATIONS) | arguments,
        "operationParams": st.dictionaries(st.sampled_from(ARGUMENTS), arguments, max_size=4) | arguments,
        "constructorParams": st.dictionaries(st.sampled_from(ARGUMENTS), arguments, max_size=4) | arguments,
        "type": arguments,
        "subscription": arguments,
        "sessionId": arguments,
    },
)
methods = st.sampled_from(sorted(Methods.TABLE)) | st.text(max_size=3)
requests = st.builds(
    lambda method, params: {"jsonrpc": "2.0", "method": method, "params": params}, methods, params
)
transactions = st.lists(requests, max_size=3).map(
    lambda operations: {
        "jsonrpc": "2.0",
        "method": "transaction",
        "params": {"operations": [{**one, "id": number} for number, one in enumerate(operations)]},
    }
)


class Socket:
    def __init__(self) -> None:
        self.session_id: str | None = None

    def push(self, text: str) -> None:
        json.loads(text)


def with_objects(message: Any, names: dict[str, str]) -> Any:
    """The message with the words for objects replaced by their ids."""
    if isinstance(message, str):
        return names.get(message, message)
    if isinstance(message, list):
        return [with_objects(member, names) for member in message]
    if isinstance(message, dict):
        return {key: with_objects(member, names) for key, member in message.items()}
    return message


@settings(examples(150), suppress_health_check=list(HealthCheck))
@given(st.lists(requests | transactions, min_size=1, max_size=12))
async def test_every_request_is_answered_and_no_object_is_left(messages: list[dict[str, Any]]) -> None:
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        objects = Objects(engine, Limits())
        server, socket, number = Methods(objects), Socket(), 0

        async def answer(message: dict[str, Any]) -> dict[str, Any]:
            nonlocal number
            number += 1
            reply: dict[str, Any] = json.loads(await server.answer(json.dumps(message | {"id": number}), socket))
            assert reply["id"] == number
            return reply

        async def create(type_: str, **arguments: str) -> str:
            params = {"type": type_, "constructorParams": arguments}
            reply = await answer({"jsonrpc": "2.0", "method": "create", "params": params})
            id_: str = reply["result"]["value"]
            return id_

        names = {"PIPELINE": await create("MediaPipeline")}
        names |= {
            name: await create("WebRtcEndpoint", mediaPipeline=names["PIPELINE"]) for name in ("SOURCE", "SINK")
        }
        names["JOINT"] = await create("PassThrough", mediaPipeline=names["PIPELINE"])
        for message in messages:
            await answer(with_objects(message, names))
        objects.close()
        assert (len(objects), len(objects.sessions), engine.peers) == (0, 0, 0)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
async def test_any_bytes_are_answered_or_refused_as_no_json(message: bytes) -> None:
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        try:
            reply = await Methods(Objects(engine, Limits())).answer(message, Socket())
        except FramingError:
            return
        assert "error" in json.loads(reply)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(8, b"") + frame(9, b"") * 50, id="pings behind a closing frame"),
        pytest.param(frame(8, b"\x00\x01"), id="close code 1"),
        pytest.param(frame(1, b"\xff\xff"), id="text that is not UTF-8"),
        pytest.param(frame(3, b""), id="unknown opcode"),
        pytest.param(frame(0, b"x"), id="continuation of nothing"),
        *(pytest.param(random.Random(seed).randbytes(200), id=f"random {seed}") for seed in range(10)),
    ],
)
async def test_bytes_that_break_a_websocket_break_no_other(sent: bytes) -> None:
    async with open_server(Limits(close_timeout=0.05)) as server, open_client(server.url) as other:
        async with await tcp(server.url) as stream:
            with trio.fail_after(PATIENCE):
                await stream.send_all(HANDSHAKE)
                await stream.receive_some()
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(sent)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
        assert (await other.request("ping"))["result"] == {"value": "pong"}


async def test_bytes_that_are_no_handshake_break_no_other() -> None:
    async with open_server(Limits(handshake_timeout=0.1)) as server, open_client(server.url) as other:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", os.urandom(300)):
            async with await tcp(server.url) as stream:
                with trio.fail_after(PATIENCE):
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(sent)
                        while await stream.receive_some():
                            pass
        assert (await other.request("ping"))["result"] == {"value": "pong"}
