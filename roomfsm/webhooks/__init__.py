"""Tells other programs, by HTTP, what happens in the rooms (docs/webhooks.md)."""
