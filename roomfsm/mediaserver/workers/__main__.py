"""`python -m roomfsm.mediaserver.workers`: the main process starts each worker by this command.

The main process ends a worker by closing its stream. Signals to the whole process group, such as the terminal's
Ctrl-C, are for the main process, so they are ignored before anything else is imported.
"""

import signal

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

from roomfsm.mediaserver.workers.worker import main  # noqa: E402

main()
