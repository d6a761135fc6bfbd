"""Tests which payload type fits a stream, and which codec a publisher is asked for, with codecs alone."""

import pytest

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.sdp.codec import Codec, matching_codec, mismatch, pinned_codec

CONSTRAINED, BASELINE, MAIN, HIGH = "42e01f", "42001f", "4d001f", "64001f"


def video(payload_type: int, name: str, parameters: str = "") -> Codec:
    return Codec(payload_type, name, 90000, "", parameters, ())


def h264(payload_type: int, profile: str, mode: str = "1") -> Codec:
    return video(payload_type, "H264", f"packetization-mode={mode};profile-level-id={profile}")


VP8 = video(96, "VP8")


@pytest.mark.parametrize(
    ("level", "profile"),
    [
        # Only the bit of one constraint set counts, whatever the bits beside it say.
        ("423f1f", "baseline"),
        ("42011f", "baseline"),
        ("4d7f1f", "main"),
        ("4d011f", "main"),
    ],
)
def test_other_constraint_sets_do_not_constrain_a_profile(level: str, profile: str) -> None:
    assert h264(1, level).h264_profile == profile


def test_h264_without_a_packetization_mode_is_of_mode_0() -> None:
    silent = video(1, "H264", f"profile-level-id={CONSTRAINED}")
    assert silent.packetization_mode == "0"
    assert matching_codec([h264(2, CONSTRAINED, "0")], silent) == h264(2, CONSTRAINED, "0")
    assert matching_codec([silent], h264(2, CONSTRAINED, "1")) is None


def test_vp9_and_av1_without_a_profile_mean_profile_0() -> None:
    assert [video(1, name).variant for name in ("VP8", "VP9", "AV1")] == ["VP8", "VP9", "AV1"]
    assert video(1, "VP9", "profile-id=2").variant == "VP9 (profile 2)"
    assert video(1, "VP9").distance(video(2, "VP9", "profile-id=0")) == 0


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([h264(1, CONSTRAINED, "1"), h264(2, CONSTRAINED, "0")], 2),
        ([h264(1, BASELINE, "0"), h264(2, CONSTRAINED, "1")], 2),
        ([h264(1, MAIN, "0"), h264(2, BASELINE, "0")], 2),
        ([h264(1, MAIN, "0"), h264(2, BASELINE, "1"), h264(3, MAIN, "1")], 1),
        ([h264(1, HIGH, "0")], 1),
    ],
)
def test_the_profile_weighs_more_than_the_packetization_mode(offered: list[Codec], chosen: int) -> None:
    match = matching_codec(offered, h264(9, CONSTRAINED, "0"))
    assert match is not None
    assert match.payload_type == chosen


@pytest.mark.parametrize(
    ("codecs", "asked_for"),
    [
        ([h264(1, CONSTRAINED, "0"), h264(2, CONSTRAINED, "1")], 2),
        ([video(1, "VP9", "profile-id=2"), video(2, "VP9", "profile-id=0")], 2),
        ([video(1, "AV1", "profile=1"), video(2, "AV1")], 2),
        ([video(1, "VP9", "profile-id=2"), VP8], 96),
        # Nothing that every browser decodes:
        ([video(1, "VP9", "profile-id=2"), h264(2, HIGH)], 1),
        ([h264(1, HIGH, "0"), h264(2, HIGH, "1"), video(3, "VP9", "profile-id=2")], 2),
    ],
)
def test_a_publisher_is_asked_for_the_variant_that_every_browser_decodes(
    codecs: list[Codec], asked_for: int
) -> None:
    assert pinned_codec(codecs).payload_type == asked_for


def test_a_viewer_that_offers_no_codec_of_ours_gets_an_error_that_says_so() -> None:
    assert mismatch(MediaKind.VIDEO, VP8, []) == (
        "no common video codec: the source sends VP8, the viewer takes nothing that this server passes on"
    )
