"""A certificate for the loopback."""

from tests.signaling.conftest import certificate as certificate
