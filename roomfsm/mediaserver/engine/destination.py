"""What the senders of RTP packets have to know of a viewer."""

import socket
from collections.abc import Callable
from typing import Any, Protocol

from roomfsm.mediaserver.ice.lite import Address, Control, Stream


class Destination(Protocol):
    """A destination of RTP packets."""

    address: Address
    control: Control
    """Control messages that make packets leave from the right address of ours. Empty if they do so anyway."""
    own_socket: socket.socket | Stream | None
    """The socket or stream by which this destination is sent to; None for the sender's own socket."""
    handle: Any
    """The handle of the :class:`~roomfsm.mediaserver.dtls.srtp.SrtpSender`."""
    tag_length: int
    number: Callable[[int, float], int] | None
    """Gives the transport-wide number of a packet of so many bytes that is sent at that time.

    It is None if packets to it have no such numbers.
    """
