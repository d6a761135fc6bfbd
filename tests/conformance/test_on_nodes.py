"""Three nodes behind a proxy that takes them in turns do what the specification says of one server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.on_nodes import run_kit_on_nodes

BROKEN_BY_NODES = (
    # Sessions move to the node of their room, and come back at any node.
    "row/session/*",
    "row/seat/knocking/*",
    "session/*",
    "error/join/*",
    "error/switch/*",
    # Messages of several browsers meet at another node than theirs.
    "order/*",
    "race/*",
    # Requests by HTTP are answered by another node.
    "file/*",
    "row/room/*/close/*",
    # Nodes must agree which names mean the same room.
    "unicode/*",
    # The proxy's part.
    "ws/handshake/*",
)
"""What several nodes can break. The other checks are about what one node answers by itself, once the session is at
the node of its room.
"""


async def test_three_nodes_pass_what_several_nodes_can_break(
    tmp_path: Path, media_server: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    chosen = (f"--only={checks}" for checks in BROKEN_BY_NODES)
    run = await run_kit_on_nodes(
        tmp_path, media_server, certificate, "--strict", "--timeout=300", "--jobs=16", *chosen
    )
    print(run.out, run.err)
    assert run.code == 0
    assert run.report["notReachableHere"] == run.report["failed"] == 0
    assert {checks.partition("/")[0] for checks in BROKEN_BY_NODES} == {
        check.partition("/")[0] for check in run.ids("passed")
    }
