"""`python -m tests.bench.visit [--round-trip MS] [--visits N]`: a visit of a room, the first one and a later one.

Prints for each the requests for the page and its files, the bytes of the answers with their heads, and the times
until something is painted and until the visitor is in the room. Chromium delays each request by the round trip; it
does not delay the handshakes of TCP, which would add one round trip for each connection.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import click
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import chromium, new_person
from tests.system.program import running

_DATA = ("/api/", "/inspect/", "/health/", "/ws")
"""What the page asks for besides its files."""

_IN = """{
  new MutationObserver(() => {
    const state = document.querySelector('[data-testid=connection-state]');
    if (state?.textContent === 'Connected') window.inTheRoom ??= performance.now();
  }).observe(document, { subtree: true, childList: true, characterData: true });
}"""


def visit(person: BrowserContext, address: str, round_trip: int) -> tuple[int, int, float, float]:
    """The requests, their bytes, and the milliseconds to the first paint and until the person is in the room."""
    page = person.new_page()
    session = person.new_cdp_session(page)
    paths: dict[str, str] = {}
    sizes: dict[str, int] = {}

    def asked(event: dict[str, Any]) -> None:
        paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def finished(event: dict[str, Any]) -> None:
        sizes[event["requestId"]] = event["encodedDataLength"]

    session.on("Network.requestWillBeSent", asked)
    session.on("Network.loadingFinished", finished)
    session.send("Network.enable")
    conditions = {"offline": False, "latency": round_trip, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", conditions)
    page.goto(address)
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    # The icon comes last.
    page.wait_for_load_state("networkidle")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    inside = page.evaluate("window.inTheRoom")
    page.close()
    files = [size for request, size in sizes.items() if size and not paths.get(request, "").startswith(_DATA)]
    return len(files), sum(files), painted, inside


@click.command(help=__doc__)
@click.option("--round-trip", default=150, show_default=True, help="The milliseconds of a round trip.")
@click.option("--visits", default=5, show_default=True, help="How many people visit the room.")
def main(round_trip: int, visits: int) -> None:
    found: dict[str, list[tuple[int, int, float, float]]] = {"first": [], "later": []}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as program, chromium() as browser:
        for _ in range(visits):
            person = new_person(browser, "Ada", _IN)
            for measured in found.values():
                measured.append(visit(person, f"{program.address}r/blue", round_trip))
            person.close()
    print(f"medians of {visits} visits, {round_trip} ms round trip")
    for which, measured in found.items():
        requests, size, painted, inside = map(median, zip(*measured, strict=True))
        print(
            f"{which} visit: {requests:g} requests, {size:g} bytes, painted {painted:.0f} ms, in {inside:.0f} ms"
        )


if __name__ == "__main__":
    main()
