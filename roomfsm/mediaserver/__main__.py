"""`python -m roomfsm.mediaserver`: a room server starts the media server by this command, also after it has
died.
"""

import sys

# Nobody has a picture until the media server has started. Importing rich would take a quarter of that time.
# structlog imports it for coloured tracebacks if it is installed, but a child's log is JSON.
sys.modules["rich"] = None  # type: ignore[assignment]

from roomfsm.mediaserver.command import mediaserver  # noqa: E402

mediaserver(prog_name="python -m roomfsm.mediaserver")
