"""roomfsm.v1: the messages, error codes and close codes between a browser and the room server."""

SUBPROTOCOL = "roomfsm.v1"
"""The websocket subprotocol (RFC 6455 section 1.9) that client and server agree on."""
