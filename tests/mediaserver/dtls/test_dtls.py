"""DTLS between two of our sessions, after OpenSSL's state of the association has been released."""

from itertools import cycle

import pytest

from roomfsm.mediaserver.dtls import alerts as dtls_alerts
from roomfsm.mediaserver.dtls.session import DtlsError, DtlsIdentity, DtlsSession
from roomfsm.mediaserver.dtls.state import DtlsState

CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256",
    b"ECDHE-ECDSA-AES256-GCM-SHA384",
    b"ECDHE-ECDSA-CHACHA20-POLY1305",
)
UNKNOWN_CIPHER = b"ECDHE-ECDSA-AES128-SHA"


def deliver(sender: list[bytes], receiver: DtlsSession) -> list[bytes]:
    return [answer for datagram in sender for answer in receiver.receive(datagram)]


def connected(cipher: bytes = CIPHERS[0]) -> tuple[DtlsSession, DtlsSession]:
    """Client and server."""
    theirs, ours = DtlsIdentity(), DtlsIdentity()
    theirs._context.set_cipher_list(cipher)
    client = DtlsSession(theirs, [fingerprint(ours)], client=True)
    server = DtlsSession(ours, [fingerprint(theirs)])
    flight = client.begin()
    for receiver in cycle((server, client)):
        flight = deliver(flight, receiver)
        if not flight:
            break
    assert client.state is server.state is DtlsState.CONNECTED
    return client, server


def alerts_of(client: DtlsSession) -> dtls_alerts.AlertChannel:
    """The alerts that the client noticed without OpenSSL."""
    assert client._connection is not None
    channel = dtls_alerts.AlertChannel.of(client._connection, client=True)
    assert channel is not None
    return channel


def fingerprint(identity: DtlsIdentity) -> tuple[str, bytes]:
    name, digest = identity.fingerprint.split()
    return name, bytes.fromhex(digest.replace(":", ""))


@pytest.mark.parametrize("settled", ["client", "server"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_settled_session_hears_the_other_sides_goodbye(cipher: bytes, settled: str) -> None:
    client, server = connected(cipher)
    end, other = (client, server) if settled == "client" else (server, client)
    assert end.settle()
    assert deliver(other.close(), end) == []
    assert end.state is DtlsState.CLOSED


@pytest.mark.parametrize("settled", ["client", "server"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_openssl_hears_the_goodbye_of_a_settled_session(cipher: bytes, settled: str) -> None:
    client, server = connected(cipher)
    end, other = (client, server) if settled == "client" else (server, client)
    assert end.settle()
    (goodbye,) = end.close()
    assert end.close() == []
    deliver([goodbye], other)
    assert other.state is DtlsState.CLOSED


def test_two_settled_sessions_understand_each_other() -> None:
    client, server = connected()
    client.settle()
    server.settle()
    deliver(client.close(), server)
    assert server.state is DtlsState.CLOSED


def test_a_fatal_alert_to_a_settled_session_is_an_error() -> None:
    client, server = connected()
    server.settle()
    with pytest.raises(DtlsError, match="alert 80"):
        server.receive(alerts_of(client).tell(dtls_alerts.FATAL, 80))
    assert server.state is DtlsState.FAILED


def test_a_settled_session_ignores_warnings_and_what_is_not_authentic() -> None:
    client, server = connected()
    other_client, _ = connected()
    no_renegotiation = alerts_of(client).tell(dtls_alerts.WARNING, 100)
    goodbye = client.close()[0]
    damaged = [goodbye[:at] + bytes((goodbye[at] ^ 1,)) + goodbye[at + 1 :] for at in range(len(goodbye))]
    cut = [goodbye[:end] for end in range(len(goodbye))]
    hello = DtlsSession(DtlsIdentity(), [fingerprint(DtlsIdentity())], client=True).begin()
    server.settle()
    for datagram in (*damaged, *cut, *hello, *other_client.close(), no_renegotiation, b"\x16" * 1200):
        assert server.receive(datagram) == []
        assert server.state is DtlsState.CONNECTED
    server.receive(hello[0] + goodbye)
    assert server.state is DtlsState.CLOSED


def test_a_session_with_another_cipher_keeps_openssls_state() -> None:
    client, server = connected(UNKNOWN_CIPHER)
    assert not server.settle()
    deliver(client.close(), server)
    assert server.state is DtlsState.CLOSED


def test_openssls_state_is_kept_until_the_handshake_is_done() -> None:
    server = DtlsSession(DtlsIdentity(), [fingerprint(DtlsIdentity())])
    assert not server.settle()
