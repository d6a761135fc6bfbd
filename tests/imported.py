"""What the fork server of `tests.forked` imports: what the programs import as they start."""

import roomfsm.cli
import roomfsm.mediaserver.program
import roomfsm.program
import roomfsm.server

__all__ = ["roomfsm"]
