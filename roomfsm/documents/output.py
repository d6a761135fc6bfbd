"""Writes a command's document to a file or to the standard output."""

from __future__ import annotations

from pathlib import Path

import click

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write instead of the standard output (-).",
)


def write(text: str, output: Path | None) -> None:
    """Write `text`, which ends with a newline. Raises `click.BadParameter` if the file cannot be written."""
    if output is None or str(output) == "-":
        # This writes bytes, because the drawings say that they are UTF-8, whatever the terminal's encoding is.
        click.echo(text.encode(), nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"cannot write {output}: {error.strerror}", param_hint="--output") from error
