"""The report of a run: text for people, JSON for programs, and JUnit XML for CI."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from roomfsm.conformance.runner import FAILED, NOT_REACHABLE, PASSED, Result

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VARYING = re.compile(r"#\d+|\bk[0-9a-f]{8}-\d+|^at \w+:")
_NEVER = "Not reachable with any server"
_NOT_HERE = "Not reachable here: it depends on this server, its settings or these options"
_LEFT_OUT = "Left out, as asked for"
_AS_FAILED = " (counts as failed: --strict)"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one kind of checks: how many passed, how many could be carried out, and how many there
    are.
    """

    reached: int
    reachable: int
    all: int

    @classmethod
    def of(cls, results: Iterable[Result]) -> Coverage:
        """Count results."""
        counted = list(results)
        reachable = [result for result in counted if result.status != NOT_REACHABLE]
        return cls(sum(result.status == PASSED for result in reachable), len(reachable), len(counted))

    def __str__(self) -> str:
        share = f" ({100 * self.reached // self.reachable} %)" if self.reachable else ""
        return f"{self.reached} of {self.reachable} reachable{share}, {self.all} in all"


@dataclass(frozen=True, slots=True)
class Report:
    """A finished run. With `strict`, checks that are not reachable here count as failed."""

    url: str
    protocol: str
    server: str
    seconds: float
    results: Sequence[Result]
    strict: bool = False

    @property
    def cells(self) -> Coverage:
        """The coverage of messages in states."""
        return Coverage.of(result for result in self.results if result.check.group == "cell")

    @property
    def transitions(self) -> Coverage:
        """The coverage of rows of the tables."""
        return Coverage.of(result for result in self.results if result.check.group == "row")

    @property
    def _coverage(self) -> dict[str, Coverage]:
        return {"cells": self.cells, "transitions": self.transitions}

    def of(self, status: str) -> list[Result]:
        """The results with that status."""
        return [result for result in self.results if result.status == status]

    @property
    def never(self) -> list[Result]:
        """The checks that are not reachable with any server."""
        return [result for result in self.of(NOT_REACHABLE) if result.never]

    @property
    def not_here(self) -> list[Result]:
        """The checks that are not reachable because of this server, its settings or the options."""
        return [result for result in self.results if _is_not_here(result)]

    @property
    def left_out(self) -> list[Result]:
        """The checks that an option left out."""
        return [result for result in self.of(NOT_REACHABLE) if result.left_out]

    @property
    def ok(self) -> bool:
        """Whether nothing counts as failed."""
        return not any(map(self._counts_as_failed, self.results))

    def as_text(self) -> str:
        """The report for people. Failures with the same cause are grouped, and only the first is shown in full."""
        lines = [
            f"{self.protocol} at {self.url} ({self.server}): {len(self.results)} checks in {self.seconds:.1f} s",
            *(f"{name:11}  {of}" for name, of in self._coverage.items() if of.all),
            self._sums(),
        ]
        lines += _reasons(_NEVER, self.never)
        lines += _reasons(f"{_NOT_HERE}{_AS_FAILED if self.strict else ''}", self.not_here)
        lines += _reasons(_LEFT_OUT, self.left_out)
        for first, *others in _alike(self.of(FAILED)):
            lines += ["", f"FAILED {first.check.id}", *_failure(first)]
            if others:
                lines += [f"  the same in {len(others)} more", *(f"    {other.check.id}" for other in others)]
        return "\n".join(lines) + "\n"

    def _sums(self) -> str:
        unreached, left_out = len(self.of(NOT_REACHABLE)), len(self.left_out)
        more = f", {left_out} left out" if left_out else ""
        kinds = f" ({len(self.never)} with any server, {len(self.not_here)} here{more})" if unreached else ""
        return f"passed {len(self.of(PASSED))}, failed {len(self.of(FAILED))}, not reachable {unreached}{kinds}"

    def as_json(self) -> str:
        """The report for programs."""

        def coverage(of: Coverage) -> dict[str, int]:
            return {"reached": of.reached, "reachable": of.reachable, "all": of.all}

        document = {
            "url": self.url,
            "protocol": self.protocol,
            "server": self.server,
            "seconds": round(self.seconds, 3),
            **{name: coverage(of) for name, of in self._coverage.items()},
            "passed": len(self.of(PASSED)),
            "failed": len(self.of(FAILED)),
            "notReachable": len(self.of(NOT_REACHABLE)),
            "notReachableHere": len(self.not_here),
            "leftOut": len(self.left_out),
            "strict": self.strict,
            "checks": [_as_json(result) for result in self.results],
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    def as_junit(self) -> str:
        """The report for CI, with a test suite for each group.

        Checks that are not reachable are skipped, or failed if they count as such.
        """
        suites = ElementTree.Element("testsuites", name=f"{self.protocol} conformance", time=f"{self.seconds:.3f}")
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.check.group, []).append(result)
        for group, results in groups.items():
            suite = ElementTree.SubElement(
                suites,
                "testsuite",
                name=group,
                tests=str(len(results)),
                failures=str(sum(map(self._counts_as_failed, results))),
                skipped=str(sum(map(self._is_skipped, results))),
                errors="0",
                time=f"{sum(result.seconds for result in results):.3f}",
            )
            for result in results:
                case = ElementTree.SubElement(
                    suite,
                    "testcase",
                    classname=f"conformance.{group}",
                    name=result.check.id,
                    time=f"{result.seconds:.3f}",
                )
                if result.status == FAILED:
                    message = _clean(f"expected {result.expected}, came {result.came}")
                    failure = ElementTree.SubElement(case, "failure", message=message)
                    failure.text = _clean("\n".join(_failure(result)))
                elif self._is_skipped(result):
                    ElementTree.SubElement(case, "skipped", message=_clean(result.reason))
                elif self._counts_as_failed(result):
                    ElementTree.SubElement(case, "failure", message=_clean(f"not reachable: {result.reason}"))
        ElementTree.indent(suites)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"

    def _counts_as_failed(self, result: Result) -> bool:
        return result.status == FAILED or (self.strict and _is_not_here(result))

    def _is_skipped(self, result: Result) -> bool:
        return result.status == NOT_REACHABLE and not self._counts_as_failed(result)


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": Report.as_text,
    "json": Report.as_json,
    "junit": Report.as_junit,
}


def _is_not_here(result: Result) -> bool:
    return result.status == NOT_REACHABLE and not result.never and not result.left_out


def _reasons(title: str, results: Sequence[Result]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for result in results:
        reasons.setdefault(result.reason, []).append(f"    {result.check.id}")
    lines = [line for reason, ids in reasons.items() for line in (f"  {reason}", *ids)]
    return ["", title, *lines] if lines else []


def _alike(results: Iterable[Result]) -> list[list[Result]]:
    """Group failures with the same cause. Refs, names of rooms, and recipients do not matter."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        key = (result.like,) if result.like else tuple(_VARYING.sub("", s) for s in (result.expected, result.came))
        found.setdefault(key, []).append(result)
    return list(found.values())


def _failure(result: Result) -> list[str]:
    lines = [f"  path      {result.check.path}"] if result.check.path else []
    lines += [f"  expected  {result.expected}", f"  came      {result.came}"]
    if result.messages:
        lines += ["  messages", *(f"    {number:3} {line}" for number, line in enumerate(result.messages, 1))]
    return lines


def _as_json(result: Result) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": result.check.id,
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "path": result.check.path or None,
    }
    if result.status == NOT_REACHABLE:
        described |= {"reason": result.reason, "never": result.never, "leftOut": result.left_out}
    if result.status == FAILED:
        described |= {"expected": result.expected, "came": result.came, "messages": result.messages}
    return described


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 does not allow (section 2.2)."""
    return _NOT_XML.sub("�", text)
