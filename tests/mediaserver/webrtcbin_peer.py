"""A WebRTC peer of another implementation (GStreamer's webrtcbin), for the system's Python, which has GStreamer.

`/usr/bin/python3 tests/mediaserver/webrtcbin_peer.py publish|view none|max-bundle`: prints its offer as a JSON
string, made by that bundle policy (`none` is webrtcbin's own default), and reads the answer as one. Then it sends
a test picture and a tone until its input ends, or prints how many frames it has decoded of each kind, and the
width of the picture.
"""

import json
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 (its versions come first)

_PUBLISH = """
videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert
! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp8pay pt=96
! application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96 ! peer.
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97
! application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=97 ! peer.
"""
_FEEDBACK = "rtcp-fb-nack-pli=true,rtcp-fb-transport-cc=true"
_NUMBERS = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_VIEW = (
    "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=111",
    ";".join(
        f"application/x-rtp,media=video,encoding-name={codec},clock-rate=90000,{_FEEDBACK},extmap-3={_NUMBERS}"
        for codec in (
            "VP8,payload=96",
            "H264,payload=98,packetization-mode=(string)1,profile-level-id=(string)42e01f",
        )
    ),
)
_DECODERS = {
    "VP8": "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec",
    "H264": "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! openh264dec",
    "OPUS": "rtpopusdepay ! opusdec",
}


class Program:
    def __init__(self, role: str, policy: str) -> None:
        self.loop = GLib.MainLoop()
        self.decoded = {"audio": 0, "video": 0, "width": 0}
        self.lock = threading.Lock()
        """Each kind is decoded in a thread of its own."""
        elements = _PUBLISH if role == "publish" else ""
        self.pipeline = Gst.parse_launch(f"pipeline. ( webrtcbin name=peer bundle-policy={policy} {elements} )")
        self.peer = self.pipeline.get_by_name("peer")
        directions = GstWebRTC.WebRTCRTPTransceiverDirection
        self.direction = directions.SENDONLY if role == "publish" else directions.RECVONLY
        if role == "view":
            for caps in _VIEW:
                self.peer.emit("add-transceiver", self.direction, Gst.Caps.from_string(caps))
            self.peer.connect("pad-added", self.pad_added)
        self.peer.connect("on-negotiation-needed", self.negotiation_needed)
        self.peer.connect("notify::ice-gathering-state", self.gathering_changed)
        self.pipeline.set_state(Gst.State.PLAYING)

    def negotiation_needed(self, _peer: Any) -> None:
        for index in range(2):
            transceiver = self.peer.emit("get-transceiver", index)
            transceiver.set_property("direction", self.direction)
            transceiver.set_property("do-nack", True)
        self.peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offer_made))

    def offer_made(self, promise: Any) -> None:
        reply = promise.get_reply()  # Which owns the offer.
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, Gst.Promise.new())

    def gathering_changed(self, *_: Any) -> None:
        if self.peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            print(json.dumps(self.peer.get_property("local-description").sdp.as_text()), flush=True)
            threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """The answer, then the end of the input."""
        _, message = GstSdp.SDPMessage.new_from_text(json.loads(sys.stdin.readline()))
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())
        sys.stdin.read()
        self.loop.quit()

    def pad_added(self, _peer: Any, pad: Any) -> None:
        caps = pad.get_current_caps().get_structure(0)
        kind = caps.get_string("media")
        decoder = _DECODERS[caps.get_string("encoding-name")]
        sink = Gst.parse_bin_from_description(
            f"{decoder} ! fakesink name=decoded signal-handoffs=true sync=false", True
        )
        sink.get_by_name("decoded").connect("handoff", self.frame_decoded, kind)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def frame_decoded(self, _sink: Any, _buffer: Any, pad: Any, kind: str) -> None:
        with self.lock:
            self.decoded[kind] += 1
            found, width = pad.get_current_caps().get_structure(0).get_int("width")
            if found:
                self.decoded["width"] = width
            print(json.dumps(self.decoded), flush=True)

    def run(self) -> None:
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    Gst.init(None)
    Program(*sys.argv[1:]).run()
