"""Given the program's journal of people who came, presented and left in every way, it replays alike."""

from __future__ import annotations

from pathlib import Path

import trio
from click.testing import CliRunner

from roomfsm.cli import main
from tests.system.cycles import presenting, run_cycles
from tests.system.program import running

CYCLES = 27
"""The number of cycles: three for each way to leave."""


def test_the_journal_of_real_sessions_replays_without_a_difference(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    with running(tmp_path, f"--journal-file={file}", "--resume-window=0.5", "--linger=0.1") as program:

        async def people() -> None:
            async with presenting(program.url):
                await run_cycles(program.url, CYCLES)

        trio.run(people)
        assert program.end() == 0
    result = CliRunner().invoke(main, ["replay", str(file)])
    assert result.exit_code == 0, result.output
    assert "put to the tables alone: 0" in result.output
    assert "runs that differ: none" in result.output
    print(result.output)
