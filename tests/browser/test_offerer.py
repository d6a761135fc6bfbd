"""Chromium answers the media server's offers as a publisher and as a viewer, in either DTLS role."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

SCRIPT = """
async ([url, setup]) => {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  let id = 0;
  const call = (method, params) => new Promise((resolve, reject) => {
    const mine = ++id;
    socket.addEventListener("message", function receive({ data }) {
      const reply = JSON.parse(data);
      if (reply.id !== mine) return;
      socket.removeEventListener("message", receive);
      reply.error ? reject(new Error(reply.error.message)) : resolve(reply.result.value);
    });
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: mine, method, params }));
  });
  const create = (type, constructorParams) => call("create", { type, constructorParams });
  const invoke = (object, operation, operationParams) => call("invoke", { object, operation, operationParams });
  const answer = async (connection, endpoint, prepare) => {
    await connection.setRemoteDescription({ type: "offer", sdp: await invoke(endpoint, "generateOffer") });
    prepare();
    const description = await connection.createAnswer();
    description.sdp = description.sdp.replaceAll("a=setup:active", `a=setup:${setup}`);
    await connection.setLocalDescription(description);
    await invoke(endpoint, "processAnswer", { answer: connection.localDescription.sdp });
  };

  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  setInterval(() => context.fillRect(0, 0, Math.random() * 300, Math.random() * 150), 30);
  const [track] = canvas.captureStream(30).getTracks();
  // A busy browser sends fewer pictures then, and not smaller ones.
  track.contentHint = "detail";

  const mediaPipeline = await create("MediaPipeline", {});
  const publisher = await create("WebRtcEndpoint", { mediaPipeline, recvonly: true });
  const viewer = await create("WebRtcEndpoint", { mediaPipeline, sendonly: true });
  await invoke(publisher, "connect", { sink: viewer });
  const publishing = new RTCPeerConnection(), viewing = new RTCPeerConnection();
  await answer(publishing, publisher, () => publishing.addTrack(track));
  const received = new Promise((resolve) => viewing.addEventListener("track", ({ track }) => {
    if (track.kind === "video") resolve(track);
  }));
  await answer(viewing, viewer, () => {});

  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = new MediaStream([await received]);
  video.play();
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const role = (connection) => [...connection.getTransceivers()][0].receiver.transport.state;
  const told = { size: [video.videoWidth, video.videoHeight], states: [role(publishing), role(viewing)] };
  publishing.close();
  viewing.close();
  await call("release", { object: mediaPipeline });
  return told;
}
"""
BOUNDED = f"""
(given) => Promise.race([
  ({SCRIPT.strip()})(given),
  new Promise((_, reject) => setTimeout(() => reject(new Error("too slow")), 60000)),
])
"""


@contextmanager
def without_origin(url: str) -> Iterator[str]:
    """An address that forwards to the media server, which refuses web pages because they send an `Origin`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection((parts.hostname, parts.port or 80)) as server,
    ):
        ends = [server]

        def forward(source: socket.socket, sink: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
            except OSError:
                pass

        def serve() -> None:
            browser, _ = listener.accept()
            ends.append(browser)
            head = b""
            while b"\r\n\r\n" not in head:
                received = browser.recv(65536)
                if not received:
                    return
                head += received
            server.sendall(re.sub(rb"(?i)\r\nOrigin:[^\r]*", b"", head, count=1))
            threading.Thread(target=forward, args=(server, browser), daemon=True).start()
            forward(browser, server)

        threading.Thread(target=serve, daemon=True).start()
        yield f"ws://{parts.hostname}:{listener.getsockname()[1]}{parts.path}?{parts.query}"
        for end in ends:
            with suppress(OSError):  # It is closed already.
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.mark.parametrize("setup", ["active", "passive"])
def test_chromium_publishes_and_views_if_the_server_makes_the_offers(
    browser: Browser, media_server: str, setup: str
) -> None:
    page = browser.new_page()
    with without_origin(media_server) as address:
        told: dict[str, Any] = page.evaluate(BOUNDED, [address, setup])
    assert told == {"size": [300, 150], "states": ["connected", "connected"]}
    page.close()
