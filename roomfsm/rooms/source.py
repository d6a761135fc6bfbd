"""Where a stream can be had in a pipeline: the presenter's own endpoint, or that of a relay.

A relay that breaks is made anew, with other endpoints. Until then its source has no endpoint. Whoever is connected
to the one before finds it gone, and connects to the new one.
"""

from __future__ import annotations

import trio

from roomfsm.kurento.objects import MediaPipeline, WebRtcEndpoint


class Source:
    """The endpoint from which a stream flows into this pipeline; None while a relay is being made.

    `at` is the address of the media server, if the stream is relayed to it.
    """

    def __init__(self, pipeline: MediaPipeline, endpoint: WebRtcEndpoint | None = None, at: str = "") -> None:
        self.pipeline = pipeline
        self.endpoint = endpoint
        self.at = at
        self._changed = trio.Event()

    def replace(self, endpoint: WebRtcEndpoint | None) -> None:
        """Put this endpoint in the place of the one before."""
        self.endpoint = endpoint
        self._changed.set()
        self._changed = trio.Event()

    async def after(self, endpoint: WebRtcEndpoint | None) -> WebRtcEndpoint:
        """Wait until there is an endpoint that is not this one, and return it."""
        while self.endpoint is None or self.endpoint is endpoint:
            await self._changed.wait()
        return self.endpoint
