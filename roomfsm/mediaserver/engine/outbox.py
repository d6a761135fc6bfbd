"""Packets that leave together with one system call, each to another destination (Linux)."""

import socket
import struct
from collections.abc import Iterator

from roomfsm.mediaserver.dtls import srtp
from roomfsm.mediaserver.engine import mmsg
from roomfsm.mediaserver.engine.destination import Destination

_BATCH = 64
"""The most packets that are sent with one system call."""
_SLOT = 2048
"""The bytes that are reserved for one packet, which is more than `srtp.MAX_PACKET`."""
_NUMBER = struct.Struct("!H")


class Outbox:
    """Protected packets that wait until they are sent together.

    `sent` counts the packets that the system accepted, and `dropped` those that it or libsrtp refused.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._buffer = srtp.PacketBuffer(_BATCH * _SLOT)
        self._slots = [self._buffer.memory + index * _SLOT for index in range(_BATCH)]
        self._messages = mmsg.Messages(sock, _BATCH, self._buffer.address, _SLOT)
        self._addresses = mmsg.Addresses(sock)
        for index in range(_BATCH):
            self._messages.name_lengths[index] = self._addresses.size
        self._sizes = [_SLOT] * _BATCH
        """What `sizes` of the messages has, which takes longer to read."""
        self._waiting = 0
        self.sent = 0
        self.dropped = 0

    def add(
        self, packet: bytes, place: int, destinations: Iterator[Destination], now: float
    ) -> Destination | None:
        """Protect a packet for each destination, and let it wait.

        `place` is that of its transport-wide number, or 0. Returns the first destination that needs more than an
        address, or None if all have been served.
        """
        protect, copy, length, slots = srtp.protect, srtp.copy, self._buffer.length, self._slots
        names, sizes, name = self._messages.names, self._sizes, self._addresses.name
        size = len(packet)
        for destination in destinations:
            if destination.control or destination.own_socket is not None:
                return destination
            index = self._waiting
            slot = slots[index]
            copy(slot, packet, size)
            if place and (number := destination.number) is not None:
                _NUMBER.pack_into(self._buffer.view, index * _SLOT + place, number(size, now))
            length[0] = size
            if protect(destination.handle, slot, length):
                self.dropped += 1
                continue
            protected = length[0]
            if sizes[index] != protected:
                sizes[index] = self._messages.sizes[index] = protected
            packed = name(destination.address)
            begin = index * mmsg.NAME
            names[begin : begin + len(packed)] = packed
            self._waiting = index + 1
            if self._waiting == _BATCH:
                self.flush()
        return None

    def flush(self) -> None:
        """Send the packets that wait."""
        count, self._waiting = self._waiting, 0
        if count:
            accepted = self._messages.send(count)
            self.sent += accepted
            self.dropped += count - accepted
