"""Objects: creating, describing, connecting, releasing, tags, events (recordings 01, 02, 03, 05, 08, 11)."""

from typing import Any

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.arguments import Arguments
from roomfsm.mediaserver.kurento.errors import NotEnoughResourcesError
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.registry import Objects
from tests.mediaserver.kurento_client import Client, open_client, open_server, silence

MANAGER = "manager_ServerManager"


async def endpoints(client: Client, number: int) -> list[str]:
    pipeline = await client.pipeline()
    return [pipeline, *[await client.endpoint(pipeline) for _ in range(number)]]


async def subscribe(client: Client, object_: str, *types: str) -> None:
    for type_ in types:
        await client.call("subscribe", object=object_, type=type_)


async def test_ids_name_type_and_parent() -> None:
    async with open_server() as server, open_client(server.url) as client:
        pipeline, endpoint = await endpoints(client, 1)
        assert pipeline.endswith("_kurento.MediaPipeline")
        assert endpoint.startswith(pipeline + "/")
        assert endpoint.endswith("_kurento.WebRtcEndpoint")
        assert await client.invoke(endpoint, "getParent") == pipeline
        assert await client.invoke(endpoint, "getMediaPipeline") == pipeline
        assert await client.invoke(endpoint, "getId") == endpoint
        assert await client.invoke(pipeline, "getParent") is None
        assert await client.invoke(pipeline, "getMediaPipeline") == pipeline


async def test_describe_tells_type_and_hierarchy() -> None:
    async with open_server() as server, open_client(server.url) as client:
        pipeline, endpoint = await endpoints(client, 1)
        result = (await client.request("describe", {"object": endpoint}))["result"]
        assert result.pop("sessionId")
        assert result == {
            "hierarchy": [
                "kurento.BaseRtpEndpoint",
                "kurento.SdpEndpoint",
                "kurento.SessionEndpoint",
                "kurento.Endpoint",
                "kurento.MediaElement",
                "kurento.MediaObject",
            ],
            "qualifiedType": "kurento.WebRtcEndpoint",
            "type": "WebRtcEndpoint",
        }
        for object_, type_ in ((pipeline, "MediaPipeline"), (MANAGER, "ServerManager")):
            result = (await client.request("describe", {"object": object_}))["result"]
            assert result["hierarchy"] == ["kurento.MediaObject"]
            assert (result["qualifiedType"], result["type"]) == (f"kurento.{type_}", type_)


async def test_manager_tells_about_the_server() -> None:
    async with open_server() as server, open_client(server.url) as client:
        session = (await client.request("connect", {}))["result"]["sessionId"]
        info = await client.invoke(MANAGER, "getInfo")
        assert (info["__type__"], info["type"], info["capabilities"]) == (
            "ServerInfo",
            "KMS",
            ["transactions", "speaking", "simulcast"],
        )
        modules = {module["name"]: module["factories"] for module in info["modules"]}
        assert modules == {"core": ["MediaPipeline", "PassThrough"], "elements": ["WebRtcEndpoint"], "filters": []}
        assert await client.invoke(MANAGER, "getSessions") == [session]
        assert await client.invoke(MANAGER, "getPipelines") == []
        assert await client.invoke(MANAGER, "getMetadata") == ""
        assert await client.invoke(MANAGER, "getCpuCount") > 0
        assert await client.invoke(MANAGER, "getUsedMemory") > 1000
        assert await client.invoke(MANAGER, "getUsedCpu", interval=20) >= 0.0
        assert await client.invoke(MANAGER, "getName") == MANAGER
        assert await client.invoke(MANAGER, "getCreationTime") > 1_700_000_000
        assert await client.invoke(MANAGER, "getParent") is None
        assert await client.invoke(MANAGER, "getChildren") == []


async def test_pipelines_and_children_are_listed_newest_first() -> None:
    async with open_server() as server, open_client(server.url) as client:
        older, one, other = await endpoints(client, 2)
        newer = await client.pipeline()
        assert await client.invoke(MANAGER, "getPipelines") == [newer, older]
        assert await client.invoke(older, "getChildren") == [other, one]


async def test_objects_come_and_go_with_events_of_the_manager() -> None:
    async with open_server() as server, open_client(server.url) as watch, open_client(server.url) as client:
        await subscribe(watch, MANAGER, "ObjectCreated", "ObjectDestroyed")
        pipeline, one, other = await endpoints(client, 2)
        await client.call("release", object=pipeline)
        await silence(watch)
        assert [event["data"]["object"] for event in watch.events("ObjectCreated")] == [pipeline, one, other]
        destroyed = [event["data"]["objectId"] for event in watch.events("ObjectDestroyed")]
        assert destroyed == [one, other, pipeline]
        data = watch.events("ObjectCreated")[0]["data"]
        assert data.pop("timestampMillis").isdecimal()
        assert data == {"object": pipeline, "source": MANAGER, "tags": []}


async def test_manager_outlives_its_release() -> None:
    async with open_server() as server, open_client(server.url) as client:
        await client.call("release", object=MANAGER)
        assert await client.invoke(MANAGER, "getCpuCount") > 0


async def test_connect_without_a_type_connects_all_and_tells_each() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, source, sink = await endpoints(client, 2)
        await subscribe(client, source, "ElementConnected", "ElementDisconnected")
        await subscribe(client, sink, "ElementConnected", "ElementDisconnected")
        assert await client.invoke(source, "connect", sink=sink) is None
        connected = client.events("ElementConnected")
        assert [event["data"]["mediaType"] for event in connected] == ["AUDIO", "VIDEO", "DATA"]
        data = connected[0]["data"]
        assert data.pop("timestampMillis").isdecimal()
        assert connected[0] | {"data": data} == {
            "data": {
                "mediaType": "AUDIO",
                "sink": sink,
                "sinkMediaDescription": "default",
                "source": source,
                "sourceMediaDescription": "default",
                "tags": [],
                "type": "ElementConnected",
            },
            "object": source,
            "type": "ElementConnected",
        }
        await client.invoke(source, "connect", sink=sink)
        await client.invoke(source, "disconnect", sink=sink, mediaType="VIDEO")
        await client.invoke(source, "disconnect", sink=sink, mediaType="VIDEO")
        assert len(client.events("ElementConnected")) == 3
        assert [event["data"]["mediaType"] for event in client.events("ElementDisconnected")] == ["VIDEO"]
        left = await client.invoke(sink, "getSourceConnections")
        assert [connection["type"] for connection in left] == ["AUDIO", "DATA"]
        assert await client.invoke(source, "getSinkConnections") == left


async def test_new_source_replaces_the_one_before() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, first, second, sink = await endpoints(client, 3)
        await subscribe(client, first, "ElementDisconnected")
        await client.invoke(first, "connect", sink=sink)
        await client.invoke(second, "connect", sink=sink, mediaType="VIDEO")
        assert [event["data"]["mediaType"] for event in client.events("ElementDisconnected")] == ["VIDEO"]
        sources = await client.invoke(sink, "getSourceConnections")
        assert {c["type"]: c["source"] for c in sources} == {"AUDIO": first, "DATA": first, "VIDEO": second}


async def test_released_sink_disconnects_from_its_source() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, source, sink = await endpoints(client, 2)
        await subscribe(client, source, "ElementDisconnected")
        await client.invoke(source, "connect", sink=sink)
        await client.call("release", object=sink)
        assert {event["data"]["mediaType"] for event in client.events()} == {"AUDIO", "VIDEO", "DATA"}
        assert await client.invoke(source, "getSinkConnections") == []


@pytest.mark.parametrize("other", ["pipeline", "manager"])
async def test_sink_that_is_no_element_is_refused(other: str) -> None:
    """The real server crashes of this (recording 11)."""
    async with open_server() as server, open_client(server.url) as client:
        pipeline, source = await endpoints(client, 1)
        sink = pipeline if other == "pipeline" else MANAGER
        assert (await client.invoke_error(source, "connect", sink=sink))[0] == 40001
        assert await client.invoke(source, "getName") == source


async def test_subscribed_twice_means_each_event_once_until_the_last_is_gone() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, source, sink = await endpoints(client, 2)
        subscription = {"object": source, "type": "ElementConnected"}
        first = await client.call("subscribe", **subscription)
        second = await client.call("subscribe", **subscription)
        assert first != second
        await client.invoke(source, "connect", sink=sink, mediaType="VIDEO")
        await client.call("unsubscribe", object=source, subscription=first)
        await client.invoke(source, "connect", sink=sink, mediaType="AUDIO")
        await client.call("unsubscribe", object=source, subscription=second)
        await client.invoke(source, "connect", sink=sink, mediaType="DATA")
        assert [event["data"]["mediaType"] for event in client.events()] == ["VIDEO", "AUDIO"]


async def test_tags_are_set_read_removed_and_sent_with_events_where_wanted() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, source, sink = await endpoints(client, 2)
        await subscribe(client, source, "ElementConnected")
        await client.invoke(source, "addTag", key="room", value="blue")
        assert await client.invoke(source, "getTag", key="room") == "blue"
        tag = {"__module__": "kurento", "__type__": "Tag", "key": "room", "value": "blue"}
        assert await client.invoke(source, "getTags") == [tag]
        await client.invoke(source, "connect", sink=sink, mediaType="AUDIO")
        await client.invoke(source, "setSendTagsInEvents", sendTagsInEvents=True)
        assert await client.invoke(source, "getSendTagsInEvents") is True
        await client.invoke(source, "connect", sink=sink, mediaType="VIDEO")
        assert [event["data"]["tags"] for event in client.events()] == [[], [tag]]
        await client.invoke(source, "removeTag", key="room")
        assert await client.invoke_error(source, "removeTag", key="room") == (40110, "Tag key not found")


BANDWIDTHS = {
    "MaxVideoSendBandwidth": 500,
    "MinVideoSendBandwidth": 100,
    "MaxVideoRecvBandwidth": 0,
    "MinVideoRecvBandwidth": 100,
}


async def test_remb_parameters_are_kept_and_those_not_given_stay() -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, endpoint = await endpoints(client, 1)
        await client.invoke(endpoint, "setRembParams", rembParams={"rembOnConnect": 2_000_000, "upLosses": None})
        await client.invoke(endpoint, "setRembParams", rembParams={"thresholdFactor": 1})
        found = await client.invoke(endpoint, "getRembParams")
        assert (found["rembOnConnect"], found["upLosses"], found["thresholdFactor"]) == (2_000_000, 0, 1.0)
        wrongs: list[Any] = [{"rembOnConnect": "x"}, {"thresholdFactor": []}, 7]
        for wrong in wrongs:
            code, _ = await client.invoke_error(endpoint, "setRembParams", rembParams=wrong)
            assert code == 40001
        assert await client.invoke(endpoint, "getRembParams") == found


@pytest.mark.parametrize(("name", "default"), BANDWIDTHS.items())
async def test_bandwidths_have_kurentos_defaults_and_can_be_set(name: str, default: int) -> None:
    async with open_server() as server, open_client(server.url) as client:
        _, endpoint = await endpoints(client, 1)
        assert await client.invoke(endpoint, f"get{name}") == default
        await client.invoke(endpoint, f"set{name}", **{name[0].lower() + name[1:]: 2000})
        assert await client.invoke(endpoint, f"get{name}") == 2000


async def test_transaction_refers_to_what_it_created() -> None:
    async with open_server() as server, open_client(server.url) as client:
        session = (await client.request("connect", {}))["result"]["sessionId"]
        create = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": "newref:0"}}
        operations: list[dict[str, Any]] = [
            {"id": 0, "method": "create", "params": {"type": "MediaPipeline", "constructorParams": {}}},
            {"id": 1, "method": "create", "params": create},
            {"id": 2, "method": "invoke", "params": {"object": "newref:1", "operation": "getParent"}},
            {"id": 3, "method": "release", "params": {"object": "newref:0"}},
        ]
        results = await client.call("transaction", operations=operations)
        pipeline, endpoint, parent = (results[number]["result"]["value"] for number in range(3))
        assert endpoint.startswith(pipeline)
        assert parent == pipeline
        assert results[3] == {"id": 3, "jsonrpc": "2.0", "result": {"sessionId": session}}
        assert await client.invoke(MANAGER, "getPipelines") == []


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([1, 2], -32603),
        ([{"id": 0, "method": "create", "params": [1]}], -32603),
        ([{"id": 0, "method": ["create"], "params": {}}], -32601),
        ([{"id": 0, "method": "transaction", "params": {"operations": []}}], -32601),
        ([{"id": 0, "method": "describe", "params": {"object": "newref:0"}}], 40109),
        ([{"id": 0, "method": "describe", "params": {"object": "newref:x"}}], 40109),
    ],
)
async def test_transaction_of_nonsense_is_an_error(operations: list[Any], code: int) -> None:
    async with open_server() as server, open_client(server.url) as client:
        reply = await client.request("transaction", {"operations": operations})
        error = reply["error"] if "error" in reply else reply["result"]["value"][0]["error"]
        assert error["code"] == code


async def test_transaction_nested_deeper_than_the_stack_is_an_error() -> None:
    async with open_server() as server, open_client(server.url) as client:
        deep = "[" * 5000 + "]" * 5000
        await client.send(
            '{"jsonrpc":"2.0","id":"deep","method":"transaction","params":{"operations":'
            '[{"id":0,"method":"describe","params":{"object":' + deep + "}}]}}"
        )
        reply = await client.reply("deep")
        assert reply["result"]["value"][0]["error"]["code"] == -32603
        assert (await client.request("ping"))["result"]["value"] == "pong"


async def test_one_session_more_than_max_sessions_is_refused() -> None:
    async with (
        open_server(Limits(max_sessions=2)) as server,
        open_client(server.url) as one,
        open_client(server.url) as two,
        open_client(server.url) as three,
    ):
        await one.pipeline()
        session = (await two.request("create", {"type": "MediaPipeline"}))["result"]["sessionId"]
        assert (await three.error("create", type="MediaPipeline"))[0] == 40009
        assert (await three.error("connect"))[0] == 40009
        await one.pipeline()
        await two.call("closeSession", sessionId=session)
        await three.pipeline()


async def test_one_object_more_than_max_objects_per_session_is_refused() -> None:
    async with (
        open_server(Limits(max_objects_per_session=3)) as server,
        open_client(server.url) as client,
        open_client(server.url) as other,
    ):
        pipeline, endpoint, _ = await endpoints(client, 2)
        create = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": pipeline}}
        assert (await client.error("create", **create))[0] == 40009
        await client.call("release", object=endpoint)
        await client.endpoint(pipeline)
        await other.pipeline()


async def test_one_subscription_more_than_max_is_refused() -> None:
    async with open_server(Limits(max_subscriptions_per_object=2)) as server, open_client(server.url) as client:
        pipeline = await client.pipeline()
        await subscribe(client, pipeline, "Error", "Error")
        assert (await client.error("subscribe", object=pipeline, type="Error"))[0] == 40009


async def test_one_tag_more_than_max_is_refused_and_a_known_one_can_change() -> None:
    async with open_server(Limits(max_tags_per_object=1)) as server, open_client(server.url) as client:
        pipeline = await client.pipeline()
        await client.invoke(pipeline, "addTag", key="a", value="1")
        assert (await client.invoke_error(pipeline, "addTag", key="b", value="1"))[0] == 40009
        await client.invoke(pipeline, "addTag", key="a", value="2")
        assert await client.invoke(pipeline, "getTag", key="a") == "2"


@pytest.mark.parametrize(("length", "fits"), [(10, True), (11, False)])
async def test_session_id_of_a_client_may_be_so_long(length: int, fits: bool) -> None:
    async with open_server(Limits(max_session_id=10)) as server, open_client(server.url) as client:
        reply = await client.request("ping", {"sessionId": "x" * length})
        assert ("result" in reply) is fits


async def test_endpoint_for_which_the_engine_has_no_room_is_refused() -> None:
    async with open_engine(EngineSettings(host="127.0.0.1", max_peers=1)) as engine:
        objects = Objects(engine, Limits())
        session = objects.sessions.get_or_new("s")
        pipeline = objects.create("MediaPipeline", Arguments({}, ""), session)
        arguments = Arguments({"mediaPipeline": pipeline.id}, "")
        first = objects.create("WebRtcEndpoint", arguments, session)
        with pytest.raises(NotEnoughResourcesError):
            objects.create("WebRtcEndpoint", arguments, session)
        assert pipeline.children == [first]
        objects.release(first)
        objects.create("WebRtcEndpoint", arguments, session)
        objects.close()
        assert engine.peers == 0
