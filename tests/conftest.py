"""What every test runs under: websockets that survive a ping while they close."""

from __future__ import annotations

from roomfsm.jsonrpc.websocket import mend_pings

# Without it a test whose websocket is pinged while it closes can end half-way and pass.
mend_pings()
