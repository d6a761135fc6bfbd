"""Fakes for tests of programs that use this package: media servers in memory, and people without browsers.

`FakeMedia` stands for a `roomfsm.kurento.MediaPool`: each of its steps can be held back or made to fail, and a
test says which events its endpoints tell. A `Person` is a session without a connection: it joins rooms, sends
messages, and keeps what its rooms send. So rooms are tested on a virtual clock and without a socket.
`roomfsm replay` runs journals with the same fakes. docs/testing.md has an example.

No part of the server imports this.
"""

from roomfsm.testing.media import FakeEndpoint, FakeMedia, FakePipeline, Gate
from roomfsm.testing.session import FakeSession, Person

__all__ = ["FakeEndpoint", "FakeMedia", "FakePipeline", "FakeSession", "Gate", "Person"]
