"""docs/mediaserver.md says what the code has and what the replayed recordings show."""

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.kurento.limits import Limits
from tests.mediaserver.kurento import page


def test_the_generated_parts_of_the_page_are_up_to_date() -> None:
    """If not: `python -m tests.mediaserver.kurento.page`."""
    text = page.PAGE.read_text()
    assert page.fill(text) == text


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    limits, engine = Limits(), EngineSettings()
    rows = (
        f"| sockets | {limits.max_sockets} (the server closes further ones before the handshake) |",
        f"| sessions | {limits.max_sessions} |",
        f"| objects of all sessions | {limits.max_objects} |",
        f"| objects held by one session | {limits.max_objects_per_session} |",
        f"| endpoints | {engine.max_peers} |",
        f"| subscriptions of one object | {limits.max_subscriptions_per_object} |",
        f"| tags of one object | {limits.max_tags_per_object} |",
        f"| one message | {limits.max_message // 1024} KiB (close code 1009) |",
        f"| messages that wait for one socket | {limits.outbox} (the server cuts the socket) |",
        f"| session description | {engine.max_sdp // 1024} Ki characters (error 40201) |",
        f"| remote candidates of one endpoint | {engine.max_candidates} (the server ignores further ones) |",
    )
    text = page.PAGE.read_text()
    assert [row for row in rows if row not in text] == []
