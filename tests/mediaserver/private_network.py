"""A network namespace for one test: Firefox makes no media connection over the loopback.

It belongs to a thread, and is gone with the thread and the processes that were started from it. Trio keeps its
threads for later, starts processes from them, and they stay in the namespace in which they were made. So the test
has threads of its own: else a worker of the media server now and then began outside.
"""

import os
import subprocess
import threading
from collections.abc import Awaitable, Callable

import trio
from trio._core import _thread_cache  # A test of several addresses watches over it.

ADDRESS = "10.77.0.1"
_COMMANDS = (
    "ip link set lo up",
    "ip link add media type veth peer name mirror",
    f"ip address add {ADDRESS}/24 dev media",
    "ip link set media up",
    "ip link set mirror up",
    # Chromium gathers no candidates without one, unless it may use a camera.
    "ip route add default dev media",
)


class NoPrivateNetwork(Exception):
    """This user or system cannot make a namespace."""


def run_in_private_network(body: Callable[[], Awaitable[None]]) -> None:
    """Run `body` under trio where :data:`ADDRESS` is this machine's and no other network is.

    Raises :class:`NoPrivateNetwork`, and what `body` raises.
    """
    raised: list[BaseException] = []

    def thread() -> None:
        try:
            _enter()
            trio.run(body)
        except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that asked
            raised.append(error)

    worker = threading.Thread(target=thread)
    cache, _thread_cache.THREAD_CACHE = _thread_cache.THREAD_CACHE, _thread_cache.ThreadCache()
    try:
        worker.start()
        worker.join()
    finally:
        _thread_cache.THREAD_CACHE = cache
    for error in raised:
        raise error


def _enter() -> None:
    try:
        os.unshare(os.CLONE_NEWNET)
        for command in _COMMANDS:
            subprocess.run(command.split(), check=True, capture_output=True, timeout=60)
    except (OSError, AttributeError, subprocess.SubprocessError) as error:
        raise NoPrivateNetwork(str(error)) from error
