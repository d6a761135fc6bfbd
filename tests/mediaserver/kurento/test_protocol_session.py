"""Sessions: binding, reconnecting, the request cache, abandoned sessions (recordings 01, 05, 08, 09, 15)."""

from typing import Any
from uuid import UUID

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.methods import Methods
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.mediaserver.kurento_client import Client, open_client, open_server, silence

INVALID_SESSION = (40007, "Invalid session")


async def connect(client: Client) -> str:
    reply = await client.request("connect", {})
    session_id: str = reply["result"]["sessionId"]
    return session_id


async def test_ping_on_a_fresh_socket_names_no_session() -> None:
    async with open_server() as server, open_client(server.url) as client:
        for params in (None, {}, {"interval": 240000}):
            assert (await client.request("ping", params))["result"] == {"value": "pong"}


async def test_connect_gives_ids_of_session_and_server() -> None:
    async with open_server() as server, open_client(server.url) as one, open_client(server.url) as other:
        first, second = await one.request("connect", {}), await other.request("connect")
        assert UUID(first["result"]["sessionId"]) != UUID(second["result"]["sessionId"])
        assert first["result"]["serverId"] == second["result"]["serverId"]


async def test_session_is_unknown_until_it_touches_an_object() -> None:
    async with open_server() as server, open_client(server.url) as client:
        session = await connect(client)
        assert await client.error("connect") == INVALID_SESSION
        assert await client.error("connect", sessionId=session) == INVALID_SESSION
        assert await client.error("keepAlive", sessionId=session) == INVALID_SESSION
        await client.call("describe", object="manager_ServerManager")
        assert await client.call("keepAlive", sessionId=session) is None
        assert (await client.request("connect", {}))["result"]["sessionId"] == session


async def test_bound_socket_needs_no_session_id() -> None:
    async with open_server() as server, open_client(server.url) as client:
        session = await connect(client)
        assert (await client.request("ping", {}))["result"] == {"sessionId": session, "value": "pong"}
        assert (await client.request("create", {"type": "MediaPipeline"}))["result"]["sessionId"] == session


async def test_first_create_without_connect_begins_a_session() -> None:
    async with open_server() as server, open_client(server.url) as client:
        first = (await client.request("create", {"type": "MediaPipeline"}))["result"]["sessionId"]
        second = (await client.request("create", {"type": "MediaPipeline"}))["result"]["sessionId"]
        assert first == second


@pytest.mark.parametrize("session_id", ["made-up", 5, ""])
async def test_connect_with_a_stale_session_is_refused(session_id: Any) -> None:
    async with open_server() as server, open_client(server.url) as client:
        assert await client.error("connect", sessionId=session_id) == INVALID_SESSION


async def test_other_methods_take_a_made_up_session() -> None:
    async with open_server() as server, open_client(server.url) as client:
        reply = await client.request("ping", {"sessionId": "nope"})
        assert reply["result"] == {"sessionId": "nope", "value": "pong"}
        reply = await client.request("create", {"type": "MediaPipeline", "sessionId": "made-up"})
        assert reply["result"]["sessionId"] == "made-up"


WITHOUT_SESSION = [
    ("keepAlive", {}),
    ("ref", {"object": "manager_ServerManager"}),
    ("unref", {"object": "manager_ServerManager"}),
    ("unsubscribe", {"object": "manager_ServerManager", "subscription": "x"}),
    ("closeSession", {}),
]


@pytest.mark.parametrize(("method", "params"), WITHOUT_SESSION)
async def test_methods_that_need_a_session_say_so(method: str, params: dict[str, Any]) -> None:
    async with open_server() as server, open_client(server.url) as client:
        assert await client.error(method, **params) == (-32000, "'sessionId' parameter is required")


@pytest.mark.parametrize("method", ["create", "release", "keepAlive", "transaction", "closeSession"])
async def test_a_request_without_params_and_session_is_refused(method: str) -> None:
    async with open_server() as server, open_client(server.url) as client:
        error = (await client.request(method))["error"]
        assert error == {
            "code": -32602,
            "data": {"type": "INVALID_PARAMS"},
            "message": "'params' is required",
        }


async def test_reconnect_keeps_objects_and_subscriptions() -> None:
    async with open_server() as server:
        async with open_client(server.url) as first:
            session = await connect(first)
            pipeline = await first.pipeline()
            source = await first.endpoint(pipeline)
            await first.call("subscribe", object=source, type="ElementConnected")
        async with open_client(server.url) as second:
            reply = await second.request("connect", {"sessionId": session}, id_=100)
            assert reply["result"]["sessionId"] == session
            reply = await second.request("describe", {"object": source}, id_=101)
            assert reply["result"]["type"] == "WebRtcEndpoint"
            create = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": pipeline}}
            sink = (await second.request("create", create, id_=102))["result"]["value"]
            invoke = {"object": source, "operation": "connect", "operationParams": {"sink": sink}}
            await second.request("invoke", invoke, id_=103)
            kinds = [event["data"]["mediaType"] for event in second.events("ElementConnected")]
            assert kinds == ["AUDIO", "VIDEO", "DATA"]


async def test_reply_with_a_session_displaces_its_older_socket() -> None:
    async with open_server() as server, open_client(server.url) as old, open_client(server.url) as new:
        session = await connect(old)
        pipeline = await old.pipeline()
        source, sink = await old.endpoint(pipeline), await old.endpoint(pipeline)
        await old.call("subscribe", object=source, type="ElementConnected")
        reply = await new.request("ping", {"sessionId": session}, id_=200)
        assert reply["result"]["sessionId"] == session
        # The old socket has no session any more: its next request begins another.
        assert (await old.request("ping", {}))["result"] == {"value": "pong"}
        reply = await old.request(
            "invoke", {"object": source, "operation": "connect", "operationParams": {"sink": sink}}
        )
        assert reply["result"]["sessionId"] != session
        await silence(new)
        assert len(new.events("ElementConnected")) == 3
        assert old.events() == []


async def test_repeated_request_id_is_answered_from_the_cache() -> None:
    async with open_server() as server, open_client(server.url) as client:
        connected = await client.request("connect", {}, id_=1)
        created = await client.request("create", {"type": "MediaPipeline"}, id_=2)
        assert await client.request("ping", {}, id_=2) == created
        assert await client.request("create", {"type": "MediaPipeline"}, id_=2) == created
        assert await client.request("ping", {}, id_="2") == created
        assert await client.request("ping", {}, id_=1) == connected
        failed = await client.request("describe", {"object": "nope"}, id_=3)
        assert await client.request("ping", {}, id_=3) == failed
        manager = {"object": "manager_ServerManager", "operation": "getPipelines"}
        pipelines = (await client.request("invoke", manager, id_=4))["result"]["value"]
        assert pipelines == [created["result"]["value"]]


async def test_cache_survives_a_reconnect() -> None:
    async with open_server() as server:
        async with open_client(server.url) as first:
            session = (await first.request("connect", {}, id_=1))["result"]["sessionId"]
            created = await first.request("create", {"type": "MediaPipeline"}, id_=2)
        async with open_client(server.url) as second:
            await second.request("connect", {"sessionId": session}, id_=50)
            pipeline = created["result"]["value"]
            params = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": pipeline}}
            assert await second.request("create", params | {"sessionId": session}, id_=2) == created


async def test_other_sessions_have_other_caches() -> None:
    async with open_server() as server, open_client(server.url) as one, open_client(server.url) as other:
        await connect(one)
        await connect(other)
        first = await one.request("create", {"type": "MediaPipeline"}, id_=2)
        second = await other.request("create", {"type": "MediaPipeline"}, id_=2)
        assert first["result"]["value"] != second["result"]["value"]


async def test_close_session_releases_its_objects_at_once() -> None:
    async with open_server() as server, open_client(server.url) as client:
        session = await connect(client)
        pipeline = await client.pipeline()
        endpoint = await client.endpoint(pipeline)
        assert (await client.request("closeSession", {"sessionId": session}))["result"] is None
        for object_ in (pipeline, endpoint):
            assert await client.error("describe", object=object_) == (40101, f"Object '{object_}' not found")
        assert await client.error("connect", sessionId=session) == INVALID_SESSION


async def test_close_of_an_unknown_session_succeeds() -> None:
    async with open_server() as server, open_client(server.url) as client:
        assert (await client.request("closeSession", {"sessionId": "nope"}))["result"] is None


async def test_object_lives_until_the_last_session_that_touched_it_ends() -> None:
    async with open_server() as server, open_client(server.url) as owner, open_client(server.url) as stranger:
        session = await connect(owner)
        pipeline = await owner.pipeline()
        endpoint = await owner.endpoint(pipeline)
        await stranger.call("describe", object=pipeline)
        await owner.call("closeSession", sessionId=session)
        await stranger.call("describe", object=pipeline)
        assert await stranger.error("describe", object=endpoint) == (40101, f"Object '{endpoint}' not found")


async def test_pipeline_lives_as_long_as_a_session_that_touched_a_child() -> None:
    async with open_server() as server, open_client(server.url) as owner, open_client(server.url) as stranger:
        session = await connect(owner)
        pipeline = await owner.pipeline()
        endpoint, other = await owner.endpoint(pipeline), await owner.endpoint(pipeline)
        await stranger.call("describe", object=endpoint)
        await owner.call("closeSession", sessionId=session)
        assert await stranger.invoke(pipeline, "getChildren") == [endpoint]
        assert (await stranger.error("describe", object=other))[0] == 40101


@pytest.mark.parametrize("release", [True, False])
async def test_who_looked_keeps_what_a_session_leaves_but_not_what_it_releases(release: bool) -> None:
    async with open_server() as server, open_client(server.url) as owner, open_client(server.url) as monitor:
        session = await connect(owner)
        pipeline = await owner.pipeline()
        endpoint = await owner.endpoint(pipeline)
        assert await monitor.invoke(MANAGER_ID, "getPipelines") == [pipeline]
        assert await monitor.invoke(pipeline, "getChildren") == [endpoint]
        await owner.call("closeSession", sessionId=session, release=release)
        left = await monitor.invoke(MANAGER_ID, "getPipelines")
        assert left == ([] if release else [pipeline])
        assert ("error" in await monitor.request("describe", {"object": endpoint})) is release


async def test_unref_by_its_only_session_destroys_an_object() -> None:
    async with open_server() as server, open_client(server.url) as client:
        endpoint = await client.endpoint(await client.pipeline())
        await client.call("ref", object=endpoint)
        await client.call("unref", object=endpoint)
        assert (await client.error("describe", object=endpoint))[0] == 40101
        assert await client.call("unref", object="nope") is None
        assert (await client.error("ref", object="nope"))[0] == 40101


async def test_abandoned_session_is_collected_and_a_connected_one_is_not() -> None:
    async with open_server(Limits(collector_period=0.05)) as server, open_client(server.url) as watch:
        await watch.call("subscribe", object="manager_ServerManager", type="ObjectDestroyed")
        kept = await watch.pipeline()
        async with open_client(server.url) as leaver:
            session = await connect(leaver)
            pipeline = await leaver.pipeline()
            endpoint = await leaver.endpoint(pipeline)
        await watch.event("ObjectDestroyed", objectId=endpoint)
        await watch.event("ObjectDestroyed", objectId=pipeline)
        assert await watch.error("connect", sessionId=session) == INVALID_SESSION
        await watch.call("describe", object=kept)


async def test_activity_puts_the_collection_off() -> None:
    """A session without a socket of its own stays while another socket sends requests in its name."""

    class Socket:
        session_id: str | None = None

        def push(self, text: str) -> None:
            raise AssertionError(text)

    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        objects = Objects(engine, Limits())
        methods = Methods(objects)
        create = '{"jsonrpc":"2.0","id":%d,"method":"create","params":{"type":"MediaPipeline","sessionId":"s"}}'

        async def use(id_: int) -> None:
            socket = Socket()
            await methods.answer(create % id_, socket)
            objects.sessions.unbind(socket)

        for id_ in range(4):
            await use(id_)
            objects.collect()
        assert len(objects) == 4
        objects.collect()
        assert len(objects) == 0
        assert len(objects.sessions) == 0


async def test_sessions_that_touch_nothing_leave_with_their_socket() -> None:
    async with open_server(Limits(max_sessions=2)) as server:
        for _ in range(5):
            async with open_client(server.url) as client:
                await connect(client)
                await client.request("ping", {"sessionId": "made-up"})
        async with open_client(server.url) as client:
            assert "result" in await client.request("connect", {})
