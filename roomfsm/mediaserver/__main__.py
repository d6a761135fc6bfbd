"""`python -m roomfsm.mediaserver`: how a room server starts it, and starts it again when it has died."""

import sys

# Nobody has a picture until it has started. A quarter of that time would go to rich, which structlog imports for
# coloured tracebacks, and does without where there is none; a child's log is JSON.
sys.modules["rich"] = None  # type: ignore[assignment]

from roomfsm.mediaserver.command import mediaserver  # noqa: E402

mediaserver(prog_name="python -m roomfsm.mediaserver")
