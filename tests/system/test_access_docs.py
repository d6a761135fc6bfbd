"""The documentation of access says what is true, and its example issues tokens that the server accepts."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from roomfsm.access.keys import read_keys
from roomfsm.access.policy import Enter
from roomfsm.access.tables import _Table
from roomfsm.access.tokens import TokenRules, verify
from roomfsm.protocol.roles import Role

TEXT = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under that heading."""
    lines = TEXT.partition(f"## {heading}\n")[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---")) + 1
    table = lines[first:]
    end = next((number for number, line in enumerate(table) if not line.startswith("|")), len(table))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[:end]]


def test_the_python_example_prints_a_link_with_a_token_that_is_valid() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=120, check=True
    )
    link, _, token = done.stdout.strip().partition("#token=")
    assert link == "https://rooms.example.org/r/board-2"
    grant = verify(token, read_keys("a-shared-secret-of-at-least-32-bytes"), TokenRules(), time.time())
    assert (grant.subject, grant.name, grant.role) == ("ada@example.org", "Ada", Role.MODERATOR)
    assert grant.is_for("board-2")


def test_every_role_is_described() -> None:
    assert [row[0].strip("`") for row in rows("Roles")] == [str(role) for role in Role]


def test_every_key_of_a_policy_is_described_with_its_default() -> None:
    described = {row[0].strip("`"): row[2] for row in rows("Policies")}
    assert list(described) == list(_Table.__struct_fields__)
    for key, default in msgspec.structs.asdict(_Table()).items():
        shown = described[key].strip("`")
        if default is None:
            assert shown in ("–", "the setting")
        else:
            assert shown == msgspec.json.encode(default).decode()
    assert all(f'- `"{way}"`: ' in TEXT for way in Enter)
