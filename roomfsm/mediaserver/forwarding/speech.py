"""Whether somebody speaks, by the audio levels that a browser sends with its packets (RFC 6464).

Theory. A level is the loudness of one packet's sound in dB below the loudest sound there is: 0 is the loudest, and
127 is silence. Speech rises and falls with each syllable, and has pauses between words. So it begins with one
packet that is loud, goes on while packets are not much quieter, and ends only after a pause without any of them.
The two thresholds keep a voice near one of them from beginning and ending again and again, and the pause bounds
how often anything can change. If a browser sends no packets in silence (DTX), its speech ends in the same way, as
soon as somebody looks.

A sound that is no voice counts as well. Who shows the speech to people has to be calm about short ones anyway.
"""

from __future__ import annotations

from roomfsm.mediaserver.base.settings import EngineSettings

_LEVEL = 0x7F
"""The bits of the level. The highest bit says what the browser takes for a voice, which few browsers find out."""

_SILENCE = 127


class Speech:
    """The speech in the sound of one browser."""

    __slots__ = ("_begins", "_goes_on", "_loud_at", "_pause", "speaks")

    def __init__(self, settings: EngineSettings) -> None:
        self._begins = settings.speech_level
        self._goes_on = min(settings.speech_level + settings.speech_margin, _SILENCE - 1)
        self._pause = settings.speech_pause
        self._loud_at = 0.0
        self.speaks = False

    def heard(self, level: int, now: float) -> bool:
        """Take the byte of the extension in the newest packet. Returns whether `speaks` has changed."""
        if level & _LEVEL <= (self._goes_on if self.speaks else self._begins):
            self._loud_at = now
            if self.speaks:
                return False
            self.speaks = True
            return True
        return self.look(now)

    def look(self, now: float) -> bool:
        """End the speech if the pause is over. Returns whether `speaks` has changed."""
        if not self.speaks or now - self._loud_at < self._pause:
            return False
        self.speaks = False
        return True
