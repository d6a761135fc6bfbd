"""Where a command's document goes: a file, or the standard output."""

from __future__ import annotations

from pathlib import Path

import click

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write instead of the standard output (-).",
)


def write(text: str, output: Path | None) -> None:
    """Write `text`, which ends with a newline. Raises `click.BadParameter` where the file cannot be written."""
    if output is None or str(output) == "-":
        # Bytes, because the drawings say that they are UTF-8 whatever the terminal's encoding.
        click.echo(text.encode(), nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"cannot write {output}: {error.strerror}", param_hint="--output") from error
