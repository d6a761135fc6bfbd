"""Writes what is made from the tables of metrics: the table in `docs/metrics.md`, and `docs/grafana.json`."""

from __future__ import annotations

import re
from pathlib import Path

from roomfsm.metrics.dashboard import as_text
from roomfsm.metrics.families import markdown_table

_DOCS = Path(__file__).parents[2] / "docs"
_TABLE = re.compile(r"\| family \|.*?\n\n", re.DOTALL)


def main() -> None:
    """Write the files of the repository anew."""
    page = _DOCS / "metrics.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(_TABLE.sub(lambda _: f"{markdown_table()}\n", text, count=1), encoding="utf-8")
    (_DOCS / "grafana.json").write_text(as_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
