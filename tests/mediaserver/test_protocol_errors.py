"""Every error probe recorded with a real Kurento, replayed: the same answers, but for the differences listed."""

from typing import Any

from tests.mediaserver import replay
from tests.mediaserver.kurento_client import open_client, open_server

SAME_CODE = {
    "create WebRtcEndpoint with endpoint as pipeline": "ours says what is wrong; Kurento names a C++ exception",
}
"""Probes whose error has the recorded code and another message, and why."""

OTHER_OUTCOME = {
    "create RecorderEndpoint without uri": "no recorder",
    "create PlayerEndpoint bad uri": "no player",
    'processOffer "v=0" only': "an offer without media is refused, and does not lock the endpoint",
    "processOffer without fingerprint": "cannot be answered securely, so refused (RFC 8827 section 6.5)",
    "processOffer without ice-ufrag/pwd": "cannot be answered, so refused (RFC 8839 section 5.4)",
    "generateOffer": "this server answers offers and makes none",
    "generateOffer twice": "as above",
    "processOffer after generateOffer": "no offer was made, so that the endpoint is free",
    "processAnswer garbage": "no offer was made, so that no answer is read",
    "generateOffer for garbage answer": "this server answers offers and makes none",
}
"""Probes that succeed at one server and fail at the other, or fail for another reason, and why."""

UNEQUAL_VALUES = {
    "processOffer OK": "another answer",
    "processOffer RTP/AVP profile": "another answer",
    "processOffer with bare LF line ends": "another answer",
    "getIceConnectionState": "an ICE-lite agent sends no checks: it is CONNECTING when it is checked",
    "manager after": "another machine",
}
"""Probes that succeed with a value of the same type but not the same."""


async def test_every_probe_is_answered_as_recorded() -> None:
    ids = replay.Ids()
    note, wrong, compared, seen = "", [], 0, set()
    request: dict[str, Any] = {}
    async with open_server() as server, open_client(server.url) as client:
        for line in replay.read("03_errors.jsonl"):
            if line.direction == "note":
                note = line.note
                seen.add(note)
            elif line.direction == "send":
                request = ids.to_ours(line.message)
            elif line.direction == "recv":
                before = len(client.received)
                await client.send(request)
                ours = await client.wait_for(lambda m: "method" not in m, since=before)
                ids.learn(line.message, ours)
                compared += 1
                if not agrees(note, line.message, ids.to_recorded(ours)):
                    wrong.append((note, line.message, ids.to_recorded(ours)))
                note = ""
    assert not wrong, "\n".join(f"{probe}:\n  recorded {one}\n  ours     {other}" for probe, one, other in wrong)
    assert compared > 160
    listed = {*SAME_CODE, *OTHER_OUTCOME, *UNEQUAL_VALUES}
    assert listed <= seen, listed - seen


def agrees(probe: str, recorded: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether our answer to a probe is the recorded one, as far as the lists above allow."""
    if probe in OTHER_OUTCOME:
        return ours["id"] == recorded["id"] and ours != recorded
    if probe in SAME_CODE:
        return bool(ours["error"]["code"] == recorded["error"]["code"])
    if probe in UNEQUAL_VALUES and "result" in ours:
        return type(ours["result"]["value"]) is type(recorded["result"]["value"])
    return ours == recorded
