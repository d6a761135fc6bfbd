"""Runs the checks at the same time, each with a deadline, and prints what they found."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
import trio

from roomfsm.check.access import check_keys, check_policies
from roomfsm.check.certificate import check_certificate
from roomfsm.check.findings import Check, Finding, Outcome, fault, ok
from roomfsm.check.kurento import check_kurento
from roomfsm.check.linger import check_linger
from roomfsm.check.machine import check_clock, check_limits
from roomfsm.check.network import check_announced, check_front, check_media_port, check_port
from roomfsm.check.nodes import check_nodes
from roomfsm.check.store import check_store
from roomfsm.check.turn import check_turn
from roomfsm.check.webhooks import check_webhooks
from roomfsm.settings import Settings, SettingsError

DEADLINE = 15.0
"""Seconds for each check. Those that ask other machines give up earlier by themselves, and say why."""

CHECKS: dict[str, Check] = {
    "certificate": check_certificate,
    "tcp": check_port,
    "udp": check_media_port,
    "announced": check_announced,
    "turn": check_turn,
    "policies": check_policies,
    "keys": check_keys,
    "webhooks": check_webhooks,
    "kurento": check_kurento,
    "store": check_store,
    "nodes": check_nodes,
    "linger": check_linger,
    "proxy": check_front,
    "limits": check_limits,
    "clock": check_clock,
}


def run(read: Callable[[], Settings], output: str) -> int:
    """Print the findings as `output` says: text or json. Returns the exit code, which is 1 if there is a fault."""
    try:
        settings = read()
    except SettingsError as error:
        findings = [fault("settings", str(error), "correct it (docs/settings.md lists all settings)")]
    else:
        findings = [ok("settings", "they can be read"), *trio.run(examine, settings)]
    click.echo(_as_json(findings) if output == "json" else _as_text(findings))
    return 1 if any(finding.outcome is Outcome.FAULT for finding in findings) else 0


async def examine(settings: Settings) -> list[Finding]:
    """What every check finds, in the order of the checks."""
    found: dict[str, list[Finding]] = {}

    async def look(name: str, check: Check) -> None:
        with trio.move_on_after(DEADLINE) as scope:
            try:
                found[name] = await check(settings)
            except Exception as error:  # noqa: BLE001 (a boundary)
                # One check that fails in an unforeseen way must not hide what the others find.
                found[name] = [fault(name, f"it could not be checked: {error!r}", "please report this")]
        if scope.cancelled_caught:
            found[name] = [fault(name, f"no answer in {DEADLINE:g} s", "look at the network and the disks")]

    async with trio.open_nursery() as nursery:
        for name, check in CHECKS.items():
            nursery.start_soon(look, name, check)
    return [finding for name in CHECKS for finding in found[name]]


def _as_text(findings: list[Finding]) -> str:
    widths = max(len(outcome) for outcome in Outcome), max(len(finding.check) for finding in findings)
    return "\n".join(
        f"{finding.outcome:{widths[0]}}  {finding.check:{widths[1]}}  {finding.what}"
        + (f" → {finding.mend}" if finding.mend else "")
        for finding in findings
    )


def _as_json(findings: list[Finding]) -> str:
    listed = [
        {"check": one.check, "outcome": one.outcome, "what": one.what, "mend": one.mend or None}
        for one in findings
    ]
    counts = {
        f"{outcome}s": sum(one.outcome is outcome for one in findings) for outcome in Outcome if outcome != "ok"
    }
    return json.dumps({"findings": listed, **counts}, indent=2, ensure_ascii=False)
