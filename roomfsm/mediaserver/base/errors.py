"""The engine's errors."""


class EngineError(Exception):
    """Base class of the engine's errors. `code` names the error for programs."""

    code = "engine_error"


class EngineFull(EngineError):
    """The engine already has `max_peers` peers."""

    code = "engine_full"


class SdpError(EngineError):
    """The session description cannot be parsed, or cannot be answered."""

    code = "sdp_error"


class NoCommonCodec(EngineError):
    """The two sides have no codec in common, and the engine never transcodes.

    Either the offer has none of the engine's codecs, or a viewer's offer lacks the codec of its source.
    """

    code = "no_common_codec"


class AlreadyNegotiated(EngineError):
    """The peer has already answered or made an offer. Another negotiation needs a new peer."""

    code = "already_negotiated"


class OfferNotGenerated(EngineError):
    """A peer that has made no offer got an answer."""

    code = "offer_not_generated"


class AnswerAlreadyProcessed(EngineError):
    """An offer got a second answer."""

    code = "answer_already_processed"


class PeerClosed(EngineError):
    """The peer has been closed."""

    code = "peer_closed"


class WorkerDied(EngineError):
    """The process that forwarded the peer's media has died, and the connection to the browser is lost."""

    code = "worker_died"
