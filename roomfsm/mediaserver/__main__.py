"""`python -m roomfsm.mediaserver`."""

from roomfsm.mediaserver.command import mediaserver

mediaserver(prog_name="python -m roomfsm.mediaserver")
