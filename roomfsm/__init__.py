"""roomfsm: browser conferences and broadcasts whose rooms are state machines."""

__version__ = "0.1.0"
