"""Given HAProxy with the recipe of docs/deploy, one port serves the page by HTTPS and media over TCP."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from tests.browser.proxies import path_to
from tests.mediaserver.peer import VP8_KEYFRAME
from tests.mediaserver.stage import open_stage
from tests.mediaserver.tcp_peer import join_over_tcp, tcp_client
from tests.ports import reserved_port
from tests.processes import started, until_listening

RECIPE = Path(__file__).parents[2] / "docs" / "deploy" / "haproxy-media.cfg"


async def page(stream: trio.SocketStream) -> None:
    async with stream:
        request = await stream.receive_some()
        assert b"x-forwarded-for: 127.0.0.1" in request.lower()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nrooms")


async def visit(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), context, https_compatible=True)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return b"".join([part async for part in stream])


async def test_the_page_and_media_share_a_port(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    path = path_to("haproxy")
    pem = tmp_path / "rooms.pem"
    pem.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
    with reserved_port() as port:
        async with open_stage(tcp=True, announced_tcp_port=port) as engine, trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, page, 0, host="127.0.0.1"))
            recipe = RECIPE.read_text()
            for written, meant in {
                "bind :443": f"bind 127.0.0.1:{port}",
                "127.0.0.1:40000": f"127.0.0.1:{engine.tcp_port}",
                "127.0.0.1:8080": f"127.0.0.1:{listener.socket.getsockname()[1]}",
                "/etc/ssl/rooms.pem": str(pem),
                "rooms-https": f"rooms-{port}",
            }.items():
                assert written in recipe
                recipe = recipe.replace(written, meant)
            config, log = tmp_path / "haproxy.cfg", tmp_path / "log"
            config.write_text(
                f"defaults\n    mode http\n    timeout connect 5s\n    timeout client 50s\n"
                f"    timeout server 50s\n{recipe}"
            )
            command = ["haproxy", "-db", "-f", str(config)]
            with (
                log.open("w") as output,
                started(command, stdout=output, stderr=output, env={"PATH": path}) as proxy,
            ):
                await trio.to_thread.run_sync(until_listening, port, proxy, log)
                assert (await visit(port)).endswith(b"rooms")
                async with join_over_tcp(engine, "sendonly") as publisher:
                    assert tcp_client(publisher).server == ("127.0.0.1", port)
                    publisher.client.send_rtp(VP8_KEYFRAME)
                    await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)
                    assert (await visit(port)).endswith(b"rooms")
            nursery.cancel_scope.cancel()
