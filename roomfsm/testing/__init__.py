"""Fakes for tests of programs that use this package: media servers in memory, and people without browsers.

`FakeMedia` replaces a `roomfsm.kurento.MediaPool`. A test can delay each of its steps or make it fail, and decides
which events its endpoints send. A `Person` is a session without a connection: it joins rooms, sends messages, and
keeps the messages of its rooms. So rooms can be tested on a virtual clock and without a socket. `roomfsm replay`
runs journals with the same fakes. docs/testing.md has an example.

No part of the server imports this.
"""

from roomfsm.testing.media import FakeEndpoint, FakeMedia, FakePipeline, Gate
from roomfsm.testing.session import FakeSession, Person

__all__ = ["FakeEndpoint", "FakeMedia", "FakePipeline", "FakeSession", "Gate", "Person"]
