"""What the system starts as `roomfsm` or `python -m roomfsm`: a signal ends it quietly from its first moment on.

Importing the server takes most of the first second. A Ctrl-C in that time would raise `KeyboardInterrupt` in the
middle of some import, which prints a traceback, or click's "Aborted!". So signals are handled before anything else
is imported, and this file imports only what Python has loaded anyway. The handler ends the process at once,
because nothing is open yet that would have to be closed.

The servers replace the handler when there is something to close (`trio.open_signal_receiver`). For all other
commands Python's own handler is put back as soon as the command line can be read, and then `roomfsm.cli` says that
the command was ended.
"""

from __future__ import annotations

import os
import sys

SERVERS = ("serve", "mediaserver")
"""Commands for which Ctrl-C and SIGTERM are the usual end, so that they exit with code 0."""
INTERRUPTED = 130
"""The exit code of any other command that Ctrl-C has ended: 128 + SIGINT, as shells report it."""


def main() -> None:
    """Run the command `roomfsm`."""
    serves = is_server(sys.argv[1:])
    code = 0 if serves else INTERRUPTED
    try:
        import signal

        names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}

        def end(number: int, _: object) -> None:
            _end(names[signal.Signals(number)], code)

        signal.signal(signal.SIGINT, end)
        if serves:
            signal.signal(signal.SIGTERM, end)
    except KeyboardInterrupt:
        _end("Ctrl-C", code)

    from roomfsm.cli import main as run

    if not serves:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(prog_name="roomfsm")
    finally:
        # The exit code is decided. A second Ctrl-C (`uv run` passes one on) must not change it while Python ends.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_server(arguments: list[str]) -> bool:
    """Whether the command line starts a server: without a command, `roomfsm` is `roomfsm serve`."""
    command = arguments[0] if arguments else "serve"
    return command in SERVERS or (command.startswith("-") and command not in ("--help", "--version"))


def _end(name: str, code: int) -> None:
    # Neither `print` nor `sys.exit`: the signal may have come in the middle of a print, and whatever is being
    # imported could catch an exception.
    try:
        os.write(2, f"roomfsm: ended by {name}\n".encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
