"""Commands that need more than the server does: `roomfsm[conformance]` and `roomfsm[yaml]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


class _NotInstalled(click.ClickException):
    exit_code = 2


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """A block whose imports need the extra of this name. `what` is the command that needs it.

    If the extra is not installed, the command says how to install it, and exits with code 2.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "roomfsm":
            raise
        raise _NotInstalled(
            f"{what} needs {error.name}, which is not installed. It comes with roomfsm[{name}]:"
            f" pip install 'roomfsm[{name}]', or in a checkout: uv run --no-dev --extra {name} roomfsm …"
        ) from error
