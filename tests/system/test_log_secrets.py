"""Given a server that logs all that it can, when all happens that has to do with secrets, none is in the log.

And given what it logs, each entry about a room, a session, a stream or a view names it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
from argon2 import PasswordHasher

from roomfsm.access.keys import read_keys
from roomfsm.access.tokens import sign
from roomfsm.mediaserver.kurento.limits import SECRET_VARIABLE
from roomfsm.settings import all_settings
from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer
from tests.protocol_client import Client, open_client
from tests.serving import Served
from tests.system.cycles import cut
from tests.system.program import Program, running
from tests.web.http import get

PASSWORD, WRONG_PASSWORD = "open-sesame-to-me", "open-barley-to-me"
KEY = "a-key-of-tokens-that-nobody-else-knows"
TURN_SECRET, TURN_PASSWORD = "north-wind-of-turn", "east-wind-of-a-static-turn"
INSPECTOR, METRICS = "the-inspectors-own-token", "the-metrics-own-token"
NEW_INSPECTOR = "the-inspectors-next-token"
ADMIN, WEBHOOK = "the-admin-apis-own-token", "whsec_" + base64.b64encode(b"a-key-for-signing-webhooks").decode()
KURENTO = "the-secret-of-a-kurento"
GUESS = "a-guess-of-some-token"
SAID = "what-ada-told-bob-only"

SECRETS_OF_SDP = re.compile(r"a=(?:ice-pwd|ice-ufrag|fingerprint):(?:sha-256 )?(\S+)")


def token(**claims: Any) -> str:
    (key,) = read_keys(KEY)
    return sign(key, {"room": "*", "exp": time.time() + 3600, **claims})


def config(folder: Path) -> Path:
    (folder / "inspector").write_text(INSPECTOR)
    (folder / "hash").write_text(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))
    file = folder / "roomfsm.toml"
    file.write_text(
        f'inspect_token = "file:{folder / "inspector"}"\n'
        f'metrics_token = "{METRICS}"\n'
        f'admin_token = "{ADMIN}"\n'
        'webhook = ["http://127.0.0.1:9/hooks"]\n'
        f'webhook_secret = ["{WEBHOOK}"]\n'
        f'kurento_secret = "{KURENTO}"\n'
        f'token_key = ["{KEY}"]\n'
        f'turn_secret = "{TURN_SECRET}"\n'
        'turn_uri = ["turn:127.0.0.1:3478"]\n'
        f'ice_servers = ["turn:127.0.0.1:3479|ada|{TURN_PASSWORD}"]\n'
        "resume_window = 60\n"
        "max_people = 3\n"
        f'[room."vault"]\nenter = "password"\npassword = \'{(folder / "hash").read_text()}\'\n'
        '[room."staff-*"]\nenter = "token"\n'
    )
    return file


class Secrets:
    """All that must not be in the log, by what it is."""

    def __init__(self, folder: Path) -> None:
        self.known = {
            "password": PASSWORD,
            "wrong password": WRONG_PASSWORD,
            "hash": (folder / "hash").read_text(),
            "key": KEY,
            "TURN secret": TURN_SECRET,
            "TURN password": TURN_PASSWORD,
            "inspector's token": INSPECTOR,
            "inspector's next token": NEW_INSPECTOR,
            "metrics' token": METRICS,
            "admin API's token": ADMIN,
            "webhooks' secret": WEBHOOK,
            "webhooks' key": WEBHOOK.removeprefix("whsec_"),
            "Kurento's secret": KURENTO,
            "guess": GUESS,
            "chat": SAID,
        }

    def add(self, what: str, secret: str) -> str:
        self.known[f"{what} {len(self.known)}"] = secret
        return secret

    def of(self, client: Client) -> None:
        """The resume token, and the credentials that a browser gets after its join."""
        self.add("resume token", client.welcome["resumeToken"])
        for message in client.seen:
            for server in message.get("iceServers", ()):
                if "credential" in server:
                    self.add("TURN credential", server["credential"])
                    assert server["credential"] == TURN_PASSWORD or server["credential"] == turn_password(
                        server["username"]
                    )

    def of_sdp(self, sdp: str) -> None:
        for secret in SECRETS_OF_SDP.findall(sdp):
            # A user name fragment of four characters may be part of any word.
            if len(secret) > 8:
                self.add("SDP", secret)


def turn_password(username: str) -> str:
    return base64.b64encode(hmac.digest(TURN_SECRET.encode(), username.encode(), hashlib.sha1)).decode()


async def knock(program: Program, secrets: Secrets) -> None:
    """Requests over HTTP with tokens in every place, right and wrong ones."""
    server: Any = type("Server", (), {"port": program.port})()
    at: Served = server
    for value in (INSPECTOR, METRICS, ADMIN, GUESS):
        for target in (
            "/inspect",
            "/inspect/api/rooms",
            "/metrics",
            "/api/v1/rooms",
            "/nothing",
            "/ws",
            "/r/blue",
        ):
            await get(at, f"{target}?token={value}", stranger=True)
            await get(at, target, headers={"Authorization": f"Bearer {value}"}, stranger=True)
            await get(at, target, headers={"Cookie": f"roomfsm-inspect={value}"}, stranger=True)
        await get(at, f"/inspect?token={value}", headers={"Host": "evil.example"}, stranger=True)
        await get(at, f"/ws?token={value}", headers={"Upgrade": "websocket"}, stranger=True)
        close = "/inspect/api/rooms/blue/close"
        await get(at, close, "POST", b'{"reason": 7}', {"Authorization": f"Bearer {value}"}, stranger=True)
    known = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    issued = await get(at, "/api/v1/tokens", "POST", b'{"room": "staff-1"}', known, stranger=True)
    assert issued.status < 300, issued.body
    secrets.add("issued token", json.loads(issued.body)["token"])
    for body in (
        f'{{"name": "{PASSWORD} !"}}',
        f'{{"name": "x", "policy": {{"password": "{PASSWORD}"}}}}',
        PASSWORD,
    ):
        await get(at, "/api/v1/rooms", "POST", body.encode(), known, stranger=True)
    link = secrets.add("token in a link", token(name="Ada"))
    await get(at, f"/r/blue?token={link}", stranger=True)


async def enter(program: Program, secrets: Secrets) -> None:
    """Join with passwords and tokens, right and wrong ones, and with each in the wrong field."""
    good, other = secrets.add("token", token(sub="ada")), secrets.add("token", token(room="elsewhere"))
    old = secrets.add("token", token(exp=1))
    forged = secrets.add("token", good[:-8] + "AAAAAAAA")
    tries: tuple[dict[str, Any], ...] = (
        {"room": "vault", "password": PASSWORD},
        {"room": "vault", "password": WRONG_PASSWORD},
        {"room": "vault", "password": {"is": PASSWORD}},
        {"room": "vault", "passwort": PASSWORD},
        {"room": PASSWORD + " !", "name": "Ada"},
        *({"room": "staff-1", "token": each} for each in (good, other, old, forged, GUESS)),
        {"room": "staff-1", "tokens": [good]},
        {"room": "staff-1", "name": "x" * 65, "token": good},
    )
    for fields in tries:
        async with open_client(program.url) as client:
            await client.send("join", **fields)
            await client.expect(ref=1)
            secrets.of(client)
    async with open_client(program.url) as client:
        for text in (
            f"not JSON: {good}",
            f'{{"type":"{GUESS}"}}',
            f'{{"type":"join","room":"{PASSWORD}',
            "\ud800",
        ):
            await client.send_text(text.encode("utf-8", "replace").decode())
            await client.expect("error")
        await client.ask("resume", token=GUESS)
        secrets.of(client)


async def meet(program: Program, secrets: Secrets) -> None:
    """Publish and view with real media, chat, lose a connection, come back, and lose the media server."""
    async with open_client(program.url) as bob, open_test_peer("sendonly") as camera:
        async with open_client(program.url) as ada, open_test_peer("recvonly") as screen:
            await ada.ask("join", room="staff-1", token=secrets.add("token", token(role="moderator")))
            joined = await bob.ask(
                "join", room="staff-1", token=secrets.add("token", token(name="Bob", role="presenter"))
            )
            bob.me = joined["you"]
            await bob.ask("chat", text=SAID)
            for sdp in (camera.offer, screen.offer):
                secrets.of_sdp(sdp)
            answer = await bob.ask("publish", source="camera", sdp=camera.offer)
            assert answer["type"] == "answer", answer
            secrets.of_sdp(answer["sdp"])
            await camera.accept(answer["sdp"])
            answer = await ada.ask("view", stream=f"{bob.me}.camera", sdp=screen.offer)
            assert answer["type"] == "answer", answer
            secrets.of_sdp(answer["sdp"])
            await screen.accept(answer["sdp"])
            with trio.fail_after(60):
                received = False
                while not received:
                    camera.send_rtp(VP8_KEYFRAME)
                    with trio.move_on_after(0.2):
                        await screen.receive_rtp()
                        received = True
            await break_offers(ada, camera.offer, secrets)
            secrets.of(ada)
            await cut(ada)
        async with open_client(program.url) as back:
            resumed = await back.ask("resume", token=ada.welcome["resumeToken"])
            assert resumed["type"] == "joined", resumed
            await back.ask("leave")
            secrets.of(back)
        for child in psutil.Process(program.process.pid).children():
            secrets.add("media server's secret", child.environ()[SECRET_VARIABLE])
            child.kill()
        await bob.expect("streamEnded")
        secrets.of(bob)


async def break_offers(ada: Client, offer: str, secrets: Secrets) -> None:
    """Offers whose secret parts are wrong, so that somebody who explains the fault may quote them."""
    password = re.search(r"a=ice-pwd:(\S+)", offer)
    fingerprint = re.search(r"a=fingerprint:sha-256 (\S+)", offer)
    assert password is not None
    assert fingerprint is not None
    for number, broken in enumerate(
        (
            offer.replace(password[1], secrets.add("SDP", "short-password")),
            offer.replace(password[1], f"{password[1]} {password[1]} \x7f"),
            offer.replace(fingerprint[1], fingerprint[1][:-3]),
            offer.replace("sha-256 ", "sha-257 "),
            offer.replace("v=0", f"v={password[1]}"),
            offer.replace("m=video 9", f"m=video {password[1]}"),
            offer.replace("UDP/TLS/RTP/SAVPF", password[1]),
        )
    ):
        reply = await ada.ask("publish", source=("camera", "screen")[number % 2], sdp=broken)
        if reply["type"] == "answer":
            secrets.of_sdp(reply["sdp"])
            await ada.ask("unpublish", stream=reply["stream"])
    candidate = f"candidate:1 1 udp 1 127.0.0.1 9 typ host ufrag {password[1]}"
    await ada.send("candidate", stream="nobody.camera", candidate=candidate, usernameFragment=password[1])


async def reload(program: Program, folder: Path) -> None:
    """A new token for the inspector, and then settings that are wrong in places with secrets."""

    def reads() -> int:
        return len(re.findall("were read again|settings not read", program.log.read_text()))

    before = reads()

    async def read_again(times: int) -> None:
        program.process.send_signal(signal.SIGHUP)
        with trio.fail_after(60):
            while reads() < before + times:  # noqa: ASYNC110 (another process reads)
                await trio.sleep(0.05)

    (folder / "inspector").write_text(NEW_INSPECTOR)
    await read_again(1)
    file = folder / "roomfsm.toml"
    text = file.read_text()
    for times, (old, new) in enumerate(
        (
            (f'metrics_token = "{METRICS}"', f'metrics_token = ["{METRICS}"]'),
            (f'metrics_token = "{METRICS}"', f'metrics_token = "{METRICS}'),
            (f'turn_secret = "{TURN_SECRET}"', f'turn_secret = "{TURN_SECRET} \\u0007"'),
            (f'token_key = ["{KEY}"]', f'token_key = ["{{{KEY}"]'),
            (f"|ada|{TURN_PASSWORD}", f"|ada|{TURN_PASSWORD}|x"),
            ("password = '", "password = 'x"),
        ),
        2,
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        await read_again(times)


def test_every_setting_that_is_a_secret_is_among_them(tmp_path: Path) -> None:
    text = config(tmp_path).read_text()
    # The password in the address of a Redis has tests of its own (tests/store/test_redis.py).
    assert {setting.name for setting in all_settings() if setting.secret} - {"store"} == set(
        re.findall(r"^(\w+(?:_token|_secret|_key)) =", text, re.MULTILINE)
    )


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_secret_is_in_the_log(tmp_path: Path, log_format: str) -> None:
    arguments = ("--log-level=debug", f"--log-format={log_format}", f"--config={config(tmp_path)}")
    secrets = Secrets(tmp_path)
    with running(tmp_path, *arguments) as program:
        assert program.inspector.endswith("/inspect"), "a token of the settings is not printed"
        with trio.fail_after(240):
            await knock(program, secrets)
            await enter(program, secrets)
            await meet(program, secrets)
            await reload(program, tmp_path)
        assert program.process.stdout is not None
        assert program.end() == 0
        said = program.log.read_text() + program.process.stdout.read()
    assert len(secrets.known) > 40
    for event in ("joined", "stream started", "connection resumed", "request refused", "settings not read"):
        assert event in said, event
    lines = said.splitlines()
    leaks = {
        what: next(line for line in lines if secret in line)
        for what, secret in secrets.known.items()
        if secret in said
    }
    assert leaks == {}
    if log_format == "json":
        check_ids([json.loads(line) for line in program.log.read_text().splitlines()])


def check_ids(entries: list[dict[str, Any]]) -> None:
    """Each entry about a room, a session, a stream or a view names it."""

    def of(event: str) -> list[dict[str, Any]]:
        found = [entry for entry in entries if entry["event"] == event]
        assert found, event
        return found

    for event in ("room opened", "room ended", "joined", "left", "stream started", "stream ended", "state"):
        assert {entry["room"] for entry in of(event)} <= {"vault", "staff-1"}, event
    for entry in of("session"):
        assert entry["session"].startswith("p")
        if entry["trigger"] == "join":
            assert (entry["message"], entry["ref"], entry["room"] in ("vault", "staff-1")) == ("join", "1", True)
    for entry in of("connection resumed"):
        assert (entry["room"], entry["session"][:1]) == ("staff-1", "p")
    # A room lives on without the session that opened it, so its entries do not name that session.
    assert all("session" not in entry for entry in of("room ended"))
