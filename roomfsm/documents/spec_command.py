"""The command `spec`: the protocol roomfsm.v1 as an AsyncAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import yaml

from roomfsm.documents.asyncapi import document


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
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="json", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="File to write instead of the standard output.")
def spec(style: str, output: Path | None) -> None:
    """Print the protocol as an AsyncAPI 3 document: the messages, when each is legal, and what follows from it."""
    text = FORMATS[style]()
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"cannot write {output}: {error.strerror}", param_hint="--output") from error
