"""Generates diagrams, the specification and documents from the tables and messages.

It is pure: text from tables.
"""
