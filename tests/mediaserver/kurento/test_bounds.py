"""The bounds on what all sessions hold together: up to each there is room, beyond it the answer is 40009."""

import pytest

from roomfsm.mediaserver.kurento.limits import Limits
from tests.mediaserver.kurento_client import Client, open_client, open_server
from tests.system.test_media_server_child import address, started


async def refused(client: Client, **create: object) -> str:
    """The error's name of a `create` that must be refused for want of room."""
    error = (await client.request("create", create))["error"]
    assert error["code"] == 40009
    name: str = error["data"]["type"]
    return name


async def test_one_object_more_than_max_objects_is_refused_whoever_asks() -> None:
    async with (
        open_server(Limits(max_objects=3)) as server,
        open_client(server.url) as one,
        open_client(server.url) as two,
    ):
        pipeline = await one.pipeline()
        endpoint = await one.endpoint(pipeline)
        await two.pipeline()
        assert await refused(two, type="MediaPipeline") == "NOT_ENOUGH_RESOURCES"
        assert await refused(one, type="WebRtcEndpoint", constructorParams={"mediaPipeline": pipeline}) == (
            "NOT_ENOUGH_RESOURCES"
        )
        await one.call("release", object=endpoint)
        await two.pipeline()


async def test_one_endpoint_more_than_max_endpoints_is_refused_whoever_asks() -> None:
    async with (
        open_server(Limits(max_endpoints=2)) as server,
        open_client(server.url) as one,
        open_client(server.url) as two,
    ):
        pipeline, other = await one.pipeline(), await two.pipeline()
        endpoint = await one.endpoint(pipeline)
        await two.endpoint(other)
        create = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": other}}
        assert await refused(two, **create) == "NOT_ENOUGH_RESOURCES"
        assert len(await two.invoke(other, "getChildren")) == 1
        await one.call("release", object=endpoint)
        await two.endpoint(other)


@pytest.mark.parametrize(
    ("option", "room"),
    [("--max-sessions=1", "session"), ("--max-objects=2", "object"), ("--max-endpoints=1", "endpoint")],
)
async def test_the_command_sets_the_bounds(option: str, room: str) -> None:
    async with (
        started("--port=0", "--media-host=127.0.0.1", option) as (_, line),
        open_client(address(line)) as one,
        open_client(address(line)) as two,
    ):
        pipeline = await one.pipeline()
        if room == "session":
            await refused(two, type="MediaPipeline")
        else:
            await one.endpoint(pipeline)
            await refused(one, type="WebRtcEndpoint", constructorParams={"mediaPipeline": pipeline})
