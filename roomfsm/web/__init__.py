"""HTTP beside signalling: the page, the list of rooms, health."""
