"""The files in the repository that are made from the messages and tables of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from roomfsm.documents.protocol_md import protocol_md
from roomfsm.documents.spec_command import as_json
from roomfsm.documents.typescript import typescript

SPEC_FILES: dict[str, Callable[[], str]] = {
    "docs/asyncapi.json": as_json,
    "docs/protocol.md": protocol_md,
    "client/messages.d.ts": typescript,
}
"""By path from the repository's root: what makes the file's text."""


def write(root: Path) -> None:
    """Write all of them."""
    for path, make in SPEC_FILES.items():
        (root / path).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write(Path())
