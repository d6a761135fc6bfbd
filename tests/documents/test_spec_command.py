"""Given the command `spec`, then it prints the protocol, or says what is wrong with its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from roomfsm.cli import main
from tests.documents.schemas import DOCUMENT


def test_the_command_prints_json() -> None:
    result = CliRunner().invoke(main, ["spec"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == DOCUMENT


def test_the_command_prints_yaml() -> None:
    result = CliRunner().invoke(main, ["spec", "--format", "yaml"])
    assert result.exit_code == 0
    # The loader that is compiled: the one in Python takes ten times as long.
    assert yaml.load(result.stdout, Loader=yaml.CSafeLoader) == DOCUMENT


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["spec", "--output", str(tmp_path / "spec.json")])
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads((tmp_path / "spec.json").read_text()) == DOCUMENT


@pytest.mark.parametrize("arguments", [("--format", "xml"), ("--output", "/nowhere/spec.json"), ("--output", "/")])
def test_wrong_arguments_are_named(arguments: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["spec", *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert "Traceback" not in result.output
