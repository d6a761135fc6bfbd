"""The documentation of the metrics says what the page has."""

from __future__ import annotations

import re
from pathlib import Path

from roomfsm.metrics.collector import (
    _CLOSES_OF_LIMITS,
    _CODES_OF_LIMITS,
    _LIMIT_OF_FILE_REQUESTS,
    _LIMITS_OF_THE_DOOR,
)
from roomfsm.metrics.families import FAMILIES, markdown_table
from roomfsm.settings import all_settings

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_documentation_shows_the_families_as_they_are() -> None:
    """If this fails, run `uv run python -m roomfsm.metrics` and put its table into docs/metrics.md."""
    assert markdown_table() in PAGE


def test_every_limit_is_explained() -> None:
    limits = {
        *map(str, _CODES_OF_LIMITS),
        *(code.name.lower() for code in _CLOSES_OF_LIMITS),
        *_LIMITS_OF_THE_DOOR,
        _LIMIT_OF_FILE_REQUESTS,
    }
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE.partition("## Limits")[2].partition("\n## ")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall("`([a-z_]+)`", row)} == limits


def test_every_setting_that_it_names_exists() -> None:
    flags = {setting.flag for setting in all_settings()}
    named = set(re.findall(r"`(--[a-z-]*[a-z])(?: [^`]*)?`", PAGE))
    assert named <= flags


def test_families_are_named_by_prometheus_rules() -> None:
    """<https://prometheus.io/docs/practices/naming/>; `promtool check metrics` judges the page itself."""
    for family in FAMILIES:
        assert re.fullmatch(r"roomfsm_[a-z_]+", family.name)
        assert not {"room", "participant", "session", "address", "url", "name"} & set(family.labels)
        assert family.help.endswith(".")
        assert family.normal
