"""The command `roomfsm load`: its options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from roomfsm.extras import extra
from roomfsm.load.plan import Plan, PlanError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("url", metavar="http://HOST")
@click.option(
    "--admin-token",
    envvar="ROOMFSM_ADMIN_TOKEN",
    required=True,
    metavar="TOKEN",
    help="The token of the server's admin API, which shows that you may test it. Better given by the environment.",
)
@click.option("--rooms", type=int, default=1, show_default=True, help="How many rooms.")
@click.option("--presenters", type=int, default=1, show_default=True, help="How many presenters in each room.")
@click.option("--viewers", type=int, default=10, show_default=True, help="How many viewers in each room.")
@click.option("--join-rate", type=float, default=20.0, show_default=True, help="How many people come a second.")
@click.option(
    "--chat-rate", type=float, default=1.0, show_default=True, help="Lines of chat a second in each room."
)
@click.option(
    "--churn", type=float, default=0.0, show_default=True, help="How many people a minute leave and come again."
)
@click.option(
    "--seconds", type=float, default=30.0, show_default=True, help="How long all stay after the last one came."
)
@click.option("--media", is_flag=True, help="Presenters send real media, and every viewer receives all of them.")
@click.option(
    "--video-rate", type=float, default=15.0, show_default=True, help="kbit/s of each presenter's pictures."
)
@click.option(
    "--poor-viewers",
    type=float,
    default=0.0,
    show_default=True,
    help="The share of the viewers, 0 to 1, whose media go over a poor path.",
)
@click.option(
    "--poor-presenters", type=float, default=0.0, show_default=True, help="The share of the presenters likewise."
)
@click.option(
    "--path-rate", type=float, default=0.0, help="The poor path's kbit/s, each way; 0 is without a bound."
)
@click.option(
    "--path-queue",
    type=float,
    default=0.3,
    show_default=True,
    help="For how many seconds a packet may wait for its turn at that rate, before it is dropped.",
)
@click.option("--path-delay", type=float, default=0.0, help="Seconds that a packet is under way, each way.")
@click.option("--path-loss", type=float, default=0.0, help="The share of the packets that is lost, 0 to 0.9.")
@click.option("--path-outage", type=float, default=0.0, help="Seconds in which nothing arrives, again and again.")
@click.option(
    "--path-outage-every",
    type=float,
    default=30.0,
    show_default=True,
    help="Seconds from the beginning of an outage to that of the next one.",
)
@click.option("--room-prefix", default="load", show_default=True, help="What the names of the rooms begin with.")
@click.option("--json", "json_file", type=_FILE, help="Write the report to this file as JSON.")
@click.option("--html", "html_file", type=_FILE, help="Write the report to this file as a page with plots.")
@click.option("--insecure", is_flag=True, help="With https://, accept any certificate.")
def load(
    url: str, admin_token: str, insecure: bool, json_file: Path | None, html_file: Path | None, **asked: Any
) -> None:
    """Test how much a server bears: many simulated people enter its rooms, talk and watch.

    All of them come from this machine, so raise the server's limits for one address, and its limits of rates, for
    the test. docs/load.md explains the figures.

    The exit code is 0 if everything went well, 1 if anything went wrong or was lost, and 2 if the test could not
    run.
    """
    with extra("load", "roomfsm load"):
        from rich.console import Console

        from roomfsm.load.program import NotAllowed, Wanted, run
    try:
        wanted = Wanted(url, Plan(**asked), admin_token, insecure, json_file, html_file)
        sys.exit(run(wanted, Console()))
    except (PlanError, NotAllowed) as error:
        click.echo(f"roomfsm load: {error}", err=True)
        sys.exit(2)
