"""`python -m roomfsm` is the command `roomfsm`."""

from roomfsm.cli import main

main()
