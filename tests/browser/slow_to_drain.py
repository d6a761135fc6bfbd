"""`python -m tests.browser.slow_to_drain [option]…`: runs `roomfsm serve` with a drain of up to a minute."""

from __future__ import annotations

import sys

import roomfsm.server
from roomfsm.cli import main

if __name__ == "__main__":
    roomfsm.server.DRAIN_DEADLINE = 60.0
    main(["serve", *sys.argv[1:]])
