"""PassThrough: an element without a transport that passes media on to its sinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from roomfsm.mediaserver.kurento.objects import MediaElement, MediaType, Operation, Registry

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.arguments import Arguments


class PassThrough(MediaElement):
    """A joint of a pipeline.

    Elements that are connected behind it get the media that it gets, without an additional step. The endpoints
    behind it are connected directly to the endpoint before it. So it emits no flow events of its own.
    """

    TYPE = "PassThrough"
    passes_on = True

    def __init__(self, objects: Registry, arguments: Arguments) -> None:
        super().__init__(objects, objects.find_pipeline(arguments.text("mediaPipeline")))

    def is_media_flowing_in(self, kind: MediaType) -> bool:
        origin = self.origin(kind)
        return origin is not None and origin.is_media_flowing_out(kind)

    def is_media_flowing_out(self, kind: MediaType) -> bool:
        return bool(self.sinks[kind]) and self.is_media_flowing_in(kind)

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaElement.OPERATIONS,
        # Only endpoints have statistics.
        "getStats": lambda _, __: {},
    }
