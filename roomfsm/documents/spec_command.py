"""The command `spec`: the protocol roomfsm.v1 as an AsyncAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import yaml

from roomfsm.documents.asyncapi import document
from roomfsm.documents.output import output_option, write


def as_json() -> str:
    """The document as JSON."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def as_yaml() -> str:
    """The document as YAML."""
    # By way of JSON, after which every value is of a plain type and none is an alias of another.
    return yaml.dump(json.loads(as_json()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _block(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)

FORMATS: dict[str, Callable[[], str]] = {"json": as_json, "yaml": as_yaml}


@click.command()
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="json",
    show_default=True,
    help="The format of the document.",
)
@output_option
def spec(style: str, output: Path | None) -> None:
    """Print the protocol as an AsyncAPI 3 document.

    The document describes every message, when it is legal, what it changes, and who is told.
    """
    write(FORMATS[style](), output)
