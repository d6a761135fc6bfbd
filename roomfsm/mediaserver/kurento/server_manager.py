"""ServerManager: the object that always exists, and describes the server and all other objects."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import trio

from roomfsm.mediaserver.kurento import events
from roomfsm.mediaserver.kurento.errors import (
    MarshallError,
    ModuleNotFoundInServerError,
    NotImplementedByServerError,
)
from roomfsm.mediaserver.kurento.objects import MediaObject, MediaPipeline, Operation, Registry
from roomfsm.mediaserver.kurento.usage import cpu_times, resident_memory

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.arguments import Arguments
    from roomfsm.mediaserver.kurento.sessions import Sessions

MANAGER_ID = "manager_ServerManager"

MODULES: Mapping[str, tuple[str, ...]] = {
    "core": ("MediaPipeline", "PassThrough"),
    "elements": ("WebRtcEndpoint",),
    "filters": (),
}
"""Kurento's modules, with those of their types that can be created here. Kurento's own clients require all three
modules."""

KURENTO_VERSION = "7.3.0"
"""The release of Kurento whose protocol this server speaks. Clients ask for it to find out what they can use. The
modules have this server's own version."""

SIMULCAST = "simulcast"
"""The capability that Kurento does not have: a browser may send a picture in several layers."""
SPEAKING = "speaking"
"""The capability that Kurento does not have: endpoints report whether their browsers' users speak."""

MAX_CPU_INTERVAL = 10_000
"""The longest interval of `getUsedCpu` in milliseconds. The socket that asks is not served during the interval."""


class WholeRegistry(Registry, Protocol):
    """The parts of the registry that the manager needs."""

    @property
    def sessions(self) -> Sessions: ...

    def __iter__(self) -> Iterator[MediaObject]:
        """All pipelines and elements, the oldest first."""


class ServerManager(MediaObject):
    TYPE = "ServerManager"
    EVENTS = events.SERVER_MANAGER_EVENTS

    def __init__(self, objects: WholeRegistry) -> None:
        super().__init__(objects, MANAGER_ID)
        self._all = objects
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
            "capabilities": ["transactions", SPEAKING, *([SIMULCAST] if self.objects.engine.layered else [])],
            "modules": modules,
            "type": "KMS",
            "version": KURENTO_VERSION,
        }

    def get_kmd(self, arguments: Arguments) -> str:
        """Raise an error, because this server has no module descriptions."""
        arguments.text("moduleName")
        raise ModuleNotFoundInServerError

    def pipelines(self) -> list[MediaPipeline]:
        """All pipelines, the newest first."""
        return [object_ for object_ in reversed(list(self._all)) if isinstance(object_, MediaPipeline)]

    def session_ids(self) -> list[str]:
        return [session.id for session in self._all.sessions if session.registered]

    async def get_used_cpu(self, arguments: Arguments) -> float:
        """The CPU time that this process and the workers use during `interval` milliseconds, in percent of one
        core.
        """
        interval = arguments.integer("interval")
        if not 0 < interval <= MAX_CPU_INTERVAL:
            raise MarshallError(f"'interval' must be 1 to {MAX_CPU_INTERVAL} ms")
        workers = cpu_times(self.objects.engine.processes)
        own, since = time.process_time(), trio.current_time()
        await trio.sleep(interval / 1000)
        elapsed = trio.current_time() - since
        used = time.process_time() - own
        # A worker that was started meanwhile counts with all its time. The time of one that died is lost.
        for pid, time_now in cpu_times(self.objects.engine.processes).items():
            used += time_now - workers.get(pid, 0.0)
        return 100 * used / elapsed

    def get_used_memory(self, _arguments: Arguments) -> int:
        """The resident memory of this process and the workers in KiB."""
        try:
            return resident_memory(self.objects.engine.processes)
        except OSError as error:
            raise NotImplementedByServerError("This system does not report the memory in use") from error

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaObject.OPERATIONS,
        "getCpuCount": lambda _, __: os.process_cpu_count() or 1,
        "getInfo": get_info,
        "getKmd": get_kmd,
        "getMetadata": lambda _, __: "",
        "getPipelines": lambda self, _: self.pipelines(),
        "getSessions": lambda self, _: self.session_ids(),
        "getUsedCpu": get_used_cpu,
        "getUsedMemory": get_used_memory,
    }
