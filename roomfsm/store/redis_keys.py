"""The keys in Redis that both the store and the nodes use.

All keys have the same hash tag, so that they are on one node if the Redis is a Cluster.
"""

from __future__ import annotations

TAG = "{roomfsm}:"
OWNER = TAG + "owner"
"""Who may write: one server, or all nodes (`NODES_OWN`)."""
ROOMS = TAG + "rooms"
"""A set: the keys of all rooms that are stored."""
TOKENS = TAG + "tokens"
"""A hash: the hash of a token, and the key of the room to which it brings somebody back."""
NODES = TAG + "nodes"
"""A hash: the id of each node that is registered, and what the others are to know of it."""
HOME = TAG + "home"
"""A hash: the key of a room, and the id of the node on which it lives."""

NODES_OWN = "nodes "
"""What the owner begins with if nodes share this Redis. The rest names the *age* of the Redis: it is another one
after the Redis has lost all its data."""
