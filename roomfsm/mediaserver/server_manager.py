"""ServerManager: the one object that is always there, and tells about the server and all others."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from roomfsm.mediaserver import events
from roomfsm.mediaserver.errors import (
    MarshallError,
    ModuleNotFoundInServerError,
    NotImplementedByServerError,
)
from roomfsm.mediaserver.objects import MediaObject, MediaPipeline, Operation

if TYPE_CHECKING:
    from roomfsm.mediaserver.arguments import Arguments
    from roomfsm.mediaserver.registry import Objects

MANAGER_ID = "manager_ServerManager"

MODULES: Mapping[str, tuple[str, ...]] = {
    "core": ("MediaPipeline", "PassThrough"),
    "elements": ("WebRtcEndpoint",),
    "filters": (),
}
"""Kurento's modules, with the types of theirs that can be created here. Its own clients insist on all three."""

MAX_CPU_INTERVAL = 10_000
"""Milliseconds: the socket that asks `getUsedCpu` is not served meanwhile."""


class ServerManager(MediaObject):
    TYPE = "ServerManager"
    EVENTS = events.SERVER_MANAGER_EVENTS

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects, MANAGER_ID)
        self._version = version("roomfsm")
        self._started = time.strftime("%b %d %Y %H:%M:%S", time.gmtime())

    def get_info(self, _arguments: Arguments) -> dict[str, Any]:
        modules = [
            {
                "__module__": "kurento",
                "__type__": "ModuleInfo",
                "factories": list(factories),
                "generationTime": self._started,
                "name": name,
                "version": self._version,
            }
            for name, factories in MODULES.items()
        ]
        return {
            "__module__": "kurento",
            "__type__": "ServerInfo",
            "capabilities": ["transactions"],
            "modules": modules,
            "type": "KMS",
            "version": self._version,
        }

    def get_kmd(self, arguments: Arguments) -> str:
        """This server ships no module descriptions."""
        arguments.text("moduleName")
        raise ModuleNotFoundInServerError

    def pipeline_ids(self) -> list[str]:
        """Ids of all pipelines, the newest first."""
        return [object_.id for object_ in reversed(list(self.objects)) if isinstance(object_, MediaPipeline)]

    def session_ids(self) -> list[str]:
        return [session.id for session in self.objects.sessions if session.registered]

    async def get_used_cpu(self, arguments: Arguments) -> float:
        """Percent of one core that this process uses during `interval` milliseconds."""
        interval = arguments.integer("interval")
        if not 0 < interval <= MAX_CPU_INTERVAL:
            raise MarshallError(f"'interval' must be 1 to {MAX_CPU_INTERVAL} ms")
        used, since = time.process_time(), trio.current_time()
        await trio.sleep(interval / 1000)
        elapsed = trio.current_time() - since
        return 100 * (time.process_time() - used) / elapsed

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaObject.OPERATIONS,
        "getCpuCount": lambda _, __: os.process_cpu_count() or 1,
        "getInfo": get_info,
        "getKmd": get_kmd,
        "getMetadata": lambda _, __: "",
        "getPipelines": lambda self, _: self.pipeline_ids(),
        "getSessions": lambda self, _: self.session_ids(),
        "getUsedCpu": get_used_cpu,
        "getUsedMemory": lambda _, __: _used_memory(),
    }


def _used_memory() -> int:
    """KiB of memory that this process has resident."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
    except OSError as error:
        raise NotImplementedByServerError("This system does not tell the memory in use") from error
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
