"""Runs a journal through today's rooms and tables again, with a mock clock, and finds out where they differ."""
