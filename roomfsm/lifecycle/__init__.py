"""The lifecycle machines as literal tables: what is legal when, and what follows from it. No I/O, no clock."""
