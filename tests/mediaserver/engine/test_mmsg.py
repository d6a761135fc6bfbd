"""Many datagrams with one system call: what comes and goes is the same as one by one."""

import os
import select
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls import srtp
from roomfsm.mediaserver.engine import mmsg, packet_info, udp
from roomfsm.mediaserver.engine.inbox import BatchInbox, SingleInbox
from roomfsm.mediaserver.ice.lite import Address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these calls")

HOSTS = pytest.mark.parametrize("host", ["::", "127.0.0.1", "0.0.0.0"])
PROFILE = next(iter(srtp.PROFILES.values()))


@contextmanager
def sockets(host: str, *, connected: bool = True) -> Iterator[tuple[socket.socket, socket.socket, Address]]:
    """A server's socket, a client's, and the client's address as the server's socket has it."""
    with udp.bind(EngineSettings(host=host)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        if connected:
            client.connect(("127.0.0.1", server.getsockname()[1]))
        client.settimeout(20)
        own = client.getsockname()
        yield server, client, own if server.family == socket.AF_INET else (f"::ffff:{own[0]}", own[1], 0, 0)


@HOSTS
@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_all_datagrams_that_wait_are_read_in_order(host: str, count: int) -> None:
    with sockets(host) as (server, client, address):
        inbox = BatchInbox(server)
        for round_ in range(2):  # What the first has written must not disturb the second.
            sent = [bytes(number + round_) for number in range(count)]
            for datagram in sent:
                client.send(datagram)
            assert list(inbox.read(256, asks=False)) == [(datagram, address) for datagram in sent]
            assert list(inbox.read(256, asks=False)) == []


def test_no_more_is_read_than_wanted_but_for_the_rest_of_a_batch() -> None:
    with sockets("::") as (server, client, _):
        inbox = BatchInbox(server)
        for _ in range(200):
            client.send(b"x")
        assert len(list(inbox.read(65, asks=False))) == 128
        assert len(list(inbox.read(65, asks=False))) == 72


@HOSTS
def test_each_datagram_has_its_time_and_the_address_that_was_asked(host: str) -> None:
    with sockets(host) as (server, client, _):
        tells = packet_info.enable(server)
        assert tells is (host != "127.0.0.1")
        inboxes: list[SingleInbox | BatchInbox] = [SingleInbox(server), BatchInbox(server)]
        asked = []
        for inbox in inboxes:
            client.send(b"1")
            client.send(b"2")
            times = []
            for _, _ in inbox.read(256, asks=True):
                times.append(inbox.arrival_time())
                asked.append(packet_info.plain(inbox.asked()))
            assert 0 <= times[1] - times[0] < 20
        assert asked == ["127.0.0.1" if tells else ""] * 4


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("192.0.2.1", 65535)),
        (socket.AF_INET6, ("2001:db8::1", 1, 0, 0)),
        (socket.AF_INET6, ("::ffff:192.0.2.1", 80, 0, 0)),
        (socket.AF_INET6, ("fe80::1", 80, 0x12345, 3)),
    ],
)
def test_an_address_has_the_same_form_after_both_conversions(family: int, address: Address) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        name = mmsg.Addresses(sock).name(address)
        assert mmsg.Addresses(sock).address(name) == address


def test_so_many_addresses_are_remembered_and_no_more() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        addresses = mmsg.Addresses(sock)
        for number in range(mmsg.MAX_ADDRESSES + 1):
            name = addresses.name((f"192.0.{number >> 8}.{number & 255}", 9))
            assert addresses.address(name)[0] == f"192.0.{number >> 8}.{number & 255}"
            assert len(addresses._names) <= mmsg.MAX_ADDRESSES
            assert len(addresses._addresses) <= mmsg.MAX_ADDRESSES
        assert len(addresses._names) == 1


def viewer(address: Address, **other: Any) -> Any:
    """A destination, and its packets' decryption."""
    key = os.urandom(PROFILE.key_length + PROFILE.salt_length)
    sender = srtp.SrtpSender(PROFILE, key)
    fields = {"control": (), "own_socket": None, "number": None, "tag_length": sender.tag_length}
    return SimpleNamespace(
        address=address,
        handle=sender.handle,
        sender=sender,
        receiver=srtp.SrtpReceiver(PROFILE, key),
        **fields | other,
    )


def packet(number: int, size: int = 100) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, number, 0, 1) + bytes(size)


@HOSTS
def test_each_destination_gets_its_packets_in_order_whether_alone_or_in_bursts(host: str) -> None:
    with sockets(host) as (server, client, address):
        sender = udp.BurstSender(server, lambda: 0.0)
        viewers = [viewer(address) for _ in range(70)]  # More than one system call takes.
        bursts = [[packet(1)], [packet(2), packet(3)], [packet(4, 50)], [packet(5, 1000)]]
        came: list[bytes] = []
        for burst in bursts:
            sender.send(udp.Burst(burst), viewers)
            if burst is bursts[-1]:
                sender.flush()
            # The client's buffer is too small for all of them, and what is sent on this machine is there at once.
            while select.select([client], [], [], 0)[0]:
                came.append(client.recv(2048))
        assert len(came) == 5 * 70
        for burst in bursts:
            # All that is sent to one address comes in order.
            turns, came = came[: len(burst) * 70], came[len(burst) * 70 :]
            for index, one in enumerate(viewers):
                theirs = turns[index * len(burst) : (index + 1) * len(burst)]
                assert [one.receiver.unprotect(datagram) for datagram in theirs] == burst
        assert (sender.packets_sent, sender.packets_dropped) == (5 * 70, 0)


def test_a_destination_that_is_refused_costs_the_others_nothing() -> None:
    with sockets("::") as (server, client, address):
        sender = udp.BurstSender(server, lambda: 0.0)
        nowhere = viewer(("::ffff:0.0.0.1", 0, 0, 0))  # Nobody can send to port 0.
        viewers = [nowhere, viewer(address), nowhere, nowhere, viewer(address), nowhere]
        sender.send(udp.Burst([packet(1)]), viewers)
        sender.flush()
        for index in (1, 4):
            assert viewers[index].receiver.unprotect(client.recv(2048)) == packet(1)
        assert (sender.packets_sent, sender.packets_dropped) == (2, 4)


def test_a_destination_with_a_socket_or_control_messages_of_its_own_gets_its_packet_in_its_turn() -> None:
    with sockets("::", connected=False) as (server, client, address), udp.bind(EngineSettings()) as other:
        sender = udp.BurstSender(server, lambda: 0.0)
        info = struct.pack("=16sI", socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1"), 0)
        control = ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info),)
        viewers = [
            viewer(address),
            viewer(address, own_socket=other),
            viewer(address, control=control),
            viewer(address),
        ]
        sender.send(udp.Burst([packet(1)]), viewers)
        sender.flush()
        ports = []
        for each in viewers:
            datagram, (_, port) = client.recvfrom(2048)
            assert each.receiver.unprotect(datagram) == packet(1)
            ports.append(port)
        ours, theirs = server.getsockname()[1], other.getsockname()[1]
        assert ports == [ours, theirs, ours, ours]
