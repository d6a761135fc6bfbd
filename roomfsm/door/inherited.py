"""The listening sockets that a service manager has opened, and gives to the program (sd_listen_fds(3)).

The manager keeps them open when the server ends. So browsers that come while the server is started again wait, and
are not refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import ExitStack

from roomfsm.door.listeners import ListenError

_FIRST = 3
"""The descriptor of the first socket (`SD_LISTEN_FDS_START`)."""
_MOST = 64
"""More sockets than anybody needs. A larger number is a mistake."""
_COUNT, _FOR = "LISTEN_FDS", "LISTEN_PID"
_VARIABLES = (_COUNT, _FOR, "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def inherited_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that were given to this process; none if it was started without.

    The variables that tell of them are removed, so that no child takes the sockets for its own. Raises
    `ListenError` if the server cannot listen on them.
    """
    given = {name: environment.pop(name, "") for name in _VARIABLES}
    if given[_FOR] != str(os.getpid()):
        return []
    count = given[_COUNT]
    if not (count.isascii() and count.isdigit() and int(count) <= _MOST):
        raise ListenError(f"{_COUNT} is not a number of sockets: {count!r}")
    with ExitStack() as stack:
        sockets = [stack.enter_context(_socket(_FIRST + number)) for number in range(int(count))]
        if len({_port(one) for one in sockets}) > 1:
            raise ListenError("the sockets that were given to the server have different ports")
        stack.pop_all()
    return sockets


def addresses_of(sockets: Sequence[socket.socket]) -> tuple[tuple[str, ...], int]:
    """The addresses on which they listen, and their port."""
    # This form contains the interface of a link-local address, which the address alone lacks.
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    hosts = [socket.getnameinfo(one.getsockname(), flags)[0] for one in sockets]
    return tuple(dict.fromkeys(hosts)), _port(sockets[0])


def _socket(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        given = socket.socket(fileno=number)
    except OSError as error:
        raise ListenError(f"descriptor {number}, which was given to the server, is no socket: {error}") from error
    is_tcp = given.family in (socket.AF_INET, socket.AF_INET6) and given.type == socket.SOCK_STREAM
    if not (is_tcp and given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        given.close()
        raise ListenError(f"descriptor {number}, which was given to the server, is no listening TCP socket")
    return given


def _port(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port
