"""The report of a run: as text for people, as JSON for programs, as JUnit XML for CI."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from roomfsm.conformance.runner import FAILED, NOT_REACHABLE, PASSED, Result

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what there is was reached: reached passed, reachable did not say that it cannot be."""

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
    """A finished run."""

    url: str
    protocol: str
    server: str
    seconds: float
    results: Sequence[Result]

    @property
    def cells(self) -> Coverage:
        """Messages in states."""
        return Coverage.of(result for result in self.results if result.check.group == "cell")

    @property
    def transitions(self) -> Coverage:
        """Rows of the tables."""
        return Coverage.of(result for result in self.results if result.check.group == "row")

    def of(self, status: str) -> list[Result]:
        """The results of that status."""
        return [result for result in self.results if result.status == status]

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"{self.protocol} at {self.url} ({self.server}): {len(self.results)} checks in {self.seconds:.1f} s",
            f"cells        {self.cells}",
            f"transitions  {self.transitions}",
            f"passed {len(self.of(PASSED))}, failed {len(self.of(FAILED))}, "
            f"not reachable {len(self.of(NOT_REACHABLE))}",
        ]
        reasons: dict[str, list[str]] = {}
        for result in self.of(NOT_REACHABLE):
            reasons.setdefault(result.reason, []).append(result.check.id)
        if reasons:
            lines += ["", "Not reachable"]
            for reason, ids in reasons.items():
                lines += [f"  {reason}", *(f"    {name}" for name in ids)]
        for result in self.of(FAILED):
            lines += ["", f"FAILED {result.check.id}", *_failure(result)]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        """For programs."""

        def coverage(of: Coverage) -> dict[str, int]:
            return {"reached": of.reached, "reachable": of.reachable, "all": of.all}

        document = {
            "url": self.url,
            "protocol": self.protocol,
            "server": self.server,
            "seconds": round(self.seconds, 3),
            "cells": coverage(self.cells),
            "transitions": coverage(self.transitions),
            "passed": len(self.of(PASSED)),
            "failed": len(self.of(FAILED)),
            "notReachable": len(self.of(NOT_REACHABLE)),
            "checks": [_as_json(result) for result in self.results],
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    def as_junit(self) -> str:
        """For CI: a test suite a group, what is not reachable is skipped."""
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
                failures=str(sum(result.status == FAILED for result in results)),
                skipped=str(sum(result.status == NOT_REACHABLE for result in results)),
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
                elif result.status == NOT_REACHABLE:
                    ElementTree.SubElement(case, "skipped", message=_clean(result.reason))
        ElementTree.indent(suites)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": Report.as_text,
    "json": Report.as_json,
    "junit": Report.as_junit,
}


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
        described["reason"] = result.reason
    if result.status == FAILED:
        described |= {"expected": result.expected, "came": result.came, "messages": result.messages}
    return described


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold (section 2.2)."""
    return _NOT_XML.sub("�", text)
