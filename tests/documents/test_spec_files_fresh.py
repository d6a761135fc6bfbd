"""Given the messages and tables as they are, then the files made from them are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from roomfsm.documents.generated import SPEC_FILES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", SPEC_FILES)
def test_generated_files_are_up_to_date(path: str) -> None:
    regenerate = "uv run python -m roomfsm.documents.generated"
    assert (ROOT / path).read_text(encoding="utf-8") == SPEC_FILES[path](), f"make it anew: {regenerate}"
