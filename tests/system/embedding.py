"""`python -m tests.system.embedding [LEVEL]`: a foreign program that runs a room server for a while.

Prints as JSON what that changed in the process and its libraries. With LEVEL it first sets up the
standard library's log, on the standard output.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import sys
import threading
import urllib.error
import urllib.request
from types import FunctionType, ModuleType
from typing import Any

import h11
import hypercorn.trio
import quart_trio
import structlog
import trio
import trio_websocket
import wsproto

from tests.protocol_client import open_client

_LIBRARIES = {"trio", "trio_websocket", "wsproto", "hypercorn", "quart", "h11", "structlog", "ssl", "socket"}
_IMPORTED = (h11, hypercorn, quart_trio, structlog, trio, trio_websocket, wsproto)


def process() -> dict[str, Any]:
    """The parts of the process that a library must not change."""
    logs = [logging.root, *logging.root.manager.loggerDict.values()]
    return {
        "limits": [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
        "signals": {str(number): repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "log": {
            log.name: (log.level, log.propagate, log.disabled, handlers(log))
            for log in logs
            if isinstance(log, logging.Logger) and (log.level or handlers(log) or not log.propagate)
        },
        "structlog": structlog.is_configured(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "hooks": [sys.excepthook, sys.unraisablehook, threading.excepthook, sys.getswitchinterval()],
    }


def libraries(modules: dict[str, ModuleType]) -> dict[str, int]:
    """The functions of every class and module of the libraries, identified by their objects."""
    found: dict[str, int] = {}
    for name, module in modules.items():
        for owner in (module, *(value for value in vars(module).values() if isinstance(value, type))):
            for key, value in list(vars(owner).items()):
                if isinstance(value, FunctionType | type | property | staticmethod | classmethod):
                    found[f"{name} {getattr(owner, '__qualname__', '')}.{key}"] = id(value)
    return found


def handlers(log: logging.Logger) -> list[str]:
    """The handlers that do something. Every library may give its logger one that does nothing."""
    return [repr(handler) for handler in log.handlers if not isinstance(handler, logging.NullHandler)]


async def main() -> None:
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] in _LIBRARIES}
    before, library = process(), libraries(modules)

    # A program may import the server late; so what importing it changes counts, too.
    from roomfsm.server import open_server
    from roomfsm.settings import ServerSettings, Settings
    from roomfsm.store.settings import StoreSettings

    settings = Settings(server=ServerSettings(port=0, media_host="127.0.0.1"), store=StoreSettings(data="none"))
    changed = []
    async with open_server(settings) as running:
        address = f"//127.0.0.1:{running.port}"
        for path in ("/", "/nowhere", "/api/rooms"):
            await trio.to_thread.run_sync(fetch, f"http:{address}{path}")
        async with open_client(f"ws:{address}/ws") as ada:
            await ada.join("blue")
        changed += [name for name, value in process().items() if value != before[name]]
    changed += [name for name, value in process().items() if value != before[name]]
    now = libraries(modules)
    changed += [name for name, value in library.items() if now.get(name) != value]
    print(json.dumps(sorted(set(changed))))


def fetch(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.read()


if __name__ == "__main__":
    if sys.argv[1:]:
        logging.basicConfig(stream=sys.stdout, level=sys.argv[1], format="%(name)s|%(levelname)s|%(message)s")
    trio.run(main)
