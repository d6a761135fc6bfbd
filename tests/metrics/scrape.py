"""Reads the page of metrics in tests, as Prometheus reads it."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.serving import Served
from tests.web.http import get

TOKEN = "a-token-of-prometheus"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class Scraped:
    """One page. Calling it gives the sum of the samples of that name with those labels."""

    text: str
    samples: tuple[tuple[str, dict[str, str], float], ...]

    def __call__(self, name: str, **labels: str) -> float:
        found = [
            value
            for sample, has, value in self.samples
            if sample == name and all(has.get(label) == wanted for label, wanted in labels.items())
        ]
        assert found, f"no sample {name} {labels}"
        return sum(found)


def parse(text: str) -> Scraped:
    """Raises `ValueError` if the text is not OpenMetrics."""
    return Scraped(
        text,
        tuple(
            (sample.name, dict(sample.labels), float(sample.value))
            for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
            for sample in family.samples
        ),
    )


async def scrape(server: Served) -> Scraped:
    """The page of a server that was started with `metrics_token=TOKEN`."""
    reply = await get(server, "/metrics", headers={**BEARER, "Accept": OPEN_METRICS}, stranger=True)
    assert reply.status == 200, reply.body
    return parse(reply.body.decode())


def read(address: str, token: str = TOKEN) -> Scraped:
    """The page at that address, without Trio."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}", "Accept": OPEN_METRICS})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return parse(reply.read().decode())
