"""`python -m roomfsm.documents` writes all documents that are made from the tables and messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from roomfsm.documents.lifecycle_md import lifecycle_md
from roomfsm.documents.page_tables import page_tables
from roomfsm.documents.protocol_md import protocol_md
from roomfsm.documents.spec_command import as_json
from roomfsm.documents.svg import svg
from roomfsm.documents.typescript import typescript
from roomfsm.lifecycle.describe import MACHINES

ROOT = Path(__file__).parents[2]

DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/lifecycle.md": lifecycle_md,
    **{f"docs/lifecycle/{name}.svg": partial(svg, table) for name, table in {**MACHINES, **page_tables()}.items()},
    "docs/asyncapi.json": as_json,
    "docs/protocol.md": protocol_md,
    "client/wire/messages.d.ts": typescript,
}
"""The function that makes each document, by path below the repository's root. A test compares each text with its
file."""


def main() -> None:
    """Write each file and print its path."""
    for path, make in DOCUMENTS.items():
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(make(), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
