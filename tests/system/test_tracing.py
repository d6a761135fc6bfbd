"""A real collector, which speaks OTLP over HTTP, gets the traces of real joins, streams and views."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from roomfsm.settings import SettingsError, load
from tests.mediaserver.peer import open_test_peer
from tests.protocol_client import open_client
from tests.serving import serving
from tests.system.program import running

PATIENCE = 60.0


class Collector:
    """The spans that came, and how the collector behaves."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.paths: set[str] = set()
        self.hanging = threading.Event()
        self.hanging.set()

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(named["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans

    async def trace_of(self, name: str, **facts: str) -> tuple[Span, list[Span]]:
        """The root of a trace, with that name and those facts, and the trace's other spans, once they came."""
        with trio.fail_after(PATIENCE):
            while True:
                for root in list(self.spans):
                    if root.name == name and not root.parent_span_id and facts.items() <= facts_of(root).items():
                        return root, [s for s in self.spans if s.trace_id == root.trace_id and s is not root]
                await trio.sleep(0.05)


def facts_of(span: Span) -> dict[str, str]:
    return {each.key.removeprefix("roomfsm."): each.value.string_value for each in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.hanging.wait(PATIENCE)
            collector.take(self.path, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.hanging.set()
            server.shutdown()


async def test_a_join_is_a_trace_of_its_steps(media_server: str) -> None:
    with collecting() as collector:
        async with (
            serving(media_server, otlp_endpoint=collector.address) as server,
            open_client(server.url) as ada,
        ):
            await ada.join("blue")
            root, steps = await collector.trace_of("join", room="blue", session=ada.me)
            assert [step.name for step in steps] == ["token", "password", "admit"]
            assert {step.parent_span_id for step in steps} == {root.span_id}
            assert all(root.start_time_unix_nano <= step.start_time_unix_nano for step in steps)
            assert all(step.end_time_unix_nano <= root.end_time_unix_nano for step in steps)
            assert "refused" not in facts_of(root)
            await ada.ask("switch", room="green")
            await collector.trace_of("switch", room="green")
        assert collector.services == {"roomfsm"}
        assert collector.paths == {"/v1/traces"}


async def test_a_refused_join_says_why_and_nothing_secret(media_server: str) -> None:
    with collecting() as collector:
        async with (
            serving(media_server, otlp_endpoint=collector.address, max_people=1) as server,
            open_client(server.url) as ada,
            open_client(server.url) as bob,
        ):
            await ada.join("blue")
            assert (await bob.ask("join", room="blue", password="open sesame"))["code"] == "room_full"
            await collector.trace_of("join", refused="room_full")
            assert (await bob.ask("join", room="blue", token="a.forged.token"))["code"] == "token_invalid"
            root, steps = await collector.trace_of("join", session=bob.welcome["session"], room="blue")
            with trio.fail_after(PATIENCE):
                while not any(span.status.message == "Refusal" for span in collector.spans):  # noqa: ASYNC110
                    await trio.sleep(0.05)
        text = "".join(map(str, collector.spans))
        assert "sesame" not in text
        assert "forged" not in text
        assert root is not None
        assert steps


async def test_a_stream_and_a_view_are_traces_of_what_the_media_server_is_asked(media_server: str) -> None:
    with collecting() as collector:
        async with (
            serving(media_server, otlp_endpoint=collector.address) as server,
            open_client(server.url) as ada,
            open_client(server.url) as bob,
            open_test_peer("sendonly") as camera,
            open_test_peer("recvonly") as display,
        ):
            await ada.join("blue")
            await bob.join("blue", "Bob")
            stream = f"{ada.me}.camera"
            assert (await ada.ask("publish", source="camera", sdp=camera.offer))["type"] == "answer"
            assert (await bob.ask("view", stream=stream, sdp=display.offer))["type"] == "answer"
            published, calls = await collector.trace_of("publish", session=ada.me, stream=stream)
            asked = [call.name for call in calls]
            assert {"media server: create", "media server: processOffer"} <= set(asked)
            _, calls = await collector.trace_of("view", session=bob.me, stream=stream)
            asked = [call.name for call in calls]
            assert {"media server: create", "media server: connect", "media server: processOffer"} <= set(asked)
            # A room is no part of the join that opened it.
            joined, steps = await collector.trace_of("join", session=ada.me)
            assert published.trace_id != joined.trace_id
            assert [step.name for step in steps] == ["token", "password", "admit"]
            # What comes after the answer is part of no trace.
            await bob.ask("leave")
            await ada.ask("leave")
        assert "media server: release" not in {span.name for span in collector.spans}
        text = "".join(map(str, collector.spans))
        assert "ice-pwd" not in text


async def test_without_the_setting_nothing_is_traced_or_imported(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        async with open_client(program.url) as ada:
            await ada.join("blue")
        # The library of protobuf, which the exporter uses, is among the files of a process that has it.
        assert "google/_upb" not in await trio.Path(f"/proc/{program.process.pid}/maps").read_text()


@pytest.mark.parametrize("collector_is", ["hanging", "gone"])
async def test_a_collector_that_does_not_answer_delays_neither_joins_nor_the_end(
    tmp_path: Path, collector_is: str
) -> None:
    with collecting() as collector:
        collector.hanging.clear()
        address = collector.address if collector_is == "hanging" else "http://127.0.0.1:9"
        with running(tmp_path, f"--otlp-endpoint={address}") as program:
            async with open_client(program.url) as ada:
                for number in range(20):
                    await ada.join(f"room-{number}")
                    await ada.ask("leave")
            began = time.monotonic()
            assert program.end() == 0
            # Far more than the deadlines, because the machine may be busy. Without them it would take a minute.
            assert time.monotonic() - began < 30
        log = program.log.read_text()
        assert "Traceback" not in log, log


@pytest.mark.parametrize(
    "address", ["localhost:4318", "ftp://localhost", "http://", "http://ada:secret@localhost:4318", "http://a b"]
)
def test_a_wrong_address_is_named_without_its_password(address: str) -> None:
    with pytest.raises(SettingsError, match="--otlp-endpoint is not an address") as caught:
        load({"otlp_endpoint": address}, {})
    assert "secret" not in str(caught.value)
