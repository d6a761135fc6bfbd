"""Given what somebody writes after --store, it is understood, or said to be wrong without its password."""

from __future__ import annotations

import pytest

from roomfsm.store.redis_address import AddressError, Host, Kind, Login, read_address, shown


def test_one_server() -> None:
    address = read_address("redis://ada:open%2Fses%40me@rooms.example/2")
    assert (address.kind, address.tls, address.database) == (Kind.SERVER, False, 2)
    assert address.hosts == (Host("rooms.example", 6379),)
    assert address.login == Login("ada", "open/ses@me")
    assert address.place == "redis://rooms.example/2"
    assert read_address("rediss://:hush@[2001:db8::1]:6380?db=3").hosts == (Host("2001:db8::1", 6380),)
    assert read_address("rediss://h?db=3").database == 3
    assert read_address("rediss://h?db=3").tls


def test_sentinels() -> None:
    url = (
        "redis+sentinel://ada:hush@s1,s2:26380,[::1]:26381/my%20rooms/1?sentinel_username=eve&sentinel_password=x"
    )
    address = read_address(url)
    assert (address.kind, address.tls, address.database) == (Kind.SENTINEL, False, 1)
    assert address.hosts == (Host("s1", 26379), Host("s2", 26380), Host("::1", 26381))
    assert (address.login, address.sentinel_login) == (Login("ada", "hush"), Login("eve", "x"))
    assert address.service == "my rooms"
    assert address.place == "redis+sentinel://s1,s2:26380,[::1]:26381/my%20rooms/1"
    assert [str(host) for host in address.hosts] == ["s1:26379", "s2:26380", "[::1]:26381"]
    alone = read_address("rediss+sentinel://s1/rooms?db=4&ssl_ca_certs=/etc/ca.pem")
    assert (alone.tls, alone.database, alone.sentinel_login) == (True, 4, Login())


def test_a_cluster() -> None:
    address = read_address("rediss+cluster://:hush@c1,c2:7001")
    assert (address.kind, address.tls, address.database) == (Kind.CLUSTER, True, 0)
    assert address.hosts == (Host("c1", 6379), Host("c2", 7001))
    assert read_address("redis+cluster://c1/0").database == 0


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1", "redis://HOST"),
        ("redis+proxy://h", "redis+cluster://HOST"),
        ("rooms.example", "redis://HOST"),
        ("redis://", "redis://HOST"),
        ("redis://h:0", "no port"),
        ("redis://h:65536", "no port"),
        ("redis://[::1", "cannot be read"),
        ("redis://::1", "cannot be read"),
        ("redis://:open/sesame@h", "cannot be read"),
        ("redis://:open#sesame@h", "redis://HOST"),
        ("redis://h1,h2", "several hosts"),
        ("redis://ada:sesame@h/rooms", "number of the database"),
        ("redis://h/²", "number of the database"),
        ("redis+sentinel://s1,s2", "call the service"),
        ("redis+sentinel://s1,s2/?db=1", "call the service"),
        ("redis+sentinel://s1,,s2/rooms", "cannot be read"),
        ("redis+sentinel://s1/rooms/first", "number of the database"),
        ("redis+cluster://c1/1", "one database only"),
        ("redis+cluster://c1?db=1", "one database only"),
        ("rediss://h?ssl_ca_cert=ca.pem", "no option 'ssl_ca_cert'"),
        ("redis://h?sentinel_password=sesame", "no option 'sentinel_password'"),
        ("rediss://h?ssl_cert_reqs=never", "one of none"),
        ("rediss://h?ssl_check_hostname=perhaps", "true or false"),
    ],
)
def test_what_is_wrong_is_said_without_what_is_secret(url: str, why: str) -> None:
    with pytest.raises(AddressError) as raised:
        read_address(url)
    assert why in str(raised.value)
    assert "sesame" not in str(raised.value)
    assert shown(url) == "what --store names"


def test_nothing_shows_the_passwords() -> None:
    url = "redis+sentinel://ada:sesame@s1/rooms?sentinel_password=sesame"
    assert "sesame" not in shown(url)
    assert "sesame" not in repr(read_address(url))
