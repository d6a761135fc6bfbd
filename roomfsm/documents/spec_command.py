"""The command `spec`: the protocol roomfsm.v1 as an AsyncAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from roomfsm.documents.asyncapi import document
from roomfsm.documents.output import output_option, write
from roomfsm.extras import extra


def as_json() -> str:
    """The document as JSON."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def as_yaml() -> str:
    """The document as YAML. Needs the extra `yaml`."""
    with extra("yaml", "roomfsm spec --format yaml"):
        from roomfsm.documents.yaml_text import yaml_text
    # The document goes through JSON first, so that every value has a plain type and none is an alias.
    return yaml_text(json.loads(as_json()))


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
