"""The engine's errors."""


class EngineError(Exception):
    """An error of the engine; `code` names it for programs."""

    code = "engine_error"


class EngineFull(EngineError):
    """`max_peers` peers are open."""

    code = "engine_full"


class SdpError(EngineError):
    """The offer cannot be parsed, or cannot be answered."""

    code = "sdp_error"


class NoCommonCodec(EngineError):
    """There is no codec in common, and nothing is transcoded: an offer has none of ours, or a viewer's offer not
    the one in which its source sends."""

    code = "no_common_codec"


class AlreadyNegotiated(EngineError):
    """The peer has answered or made an offer; another one needs a new peer."""

    code = "already_negotiated"


class OfferNotGenerated(EngineError):
    """An answer came to a peer that has made no offer."""

    code = "offer_not_generated"


class AnswerAlreadyProcessed(EngineError):
    """A second answer came to one offer."""

    code = "answer_already_processed"


class PeerClosed(EngineError):
    """The peer was closed."""

    code = "peer_closed"


class WorkerDied(EngineError):
    """The process that moved the peer's media has died, and with it the connection to the browser."""

    code = "worker_died"
