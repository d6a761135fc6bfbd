"""Estimates what the path to a viewer carries, from the transport-wide feedback of the viewer's browser."""
