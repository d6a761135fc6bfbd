"""A real Prometheus scrapes a real server with real media. It answers each query of the dashboard.

promtool accepts each alert rule, and tests it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from roomfsm.metrics.dashboard import as_text, dashboard
from roomfsm.metrics.families import FAMILIES
from tests.metrics.scrape import TOKEN, read
from tests.ports import reserved_port
from tests.processes import started, until_listening
from tests.protocol_client import open_client
from tests.system.audience import open_audience
from tests.system.program import Program, running

DOCS = Path(__file__).parents[2] / "docs"
ALERTS = DOCS / "alerts.yml"
RULE_TESTS = Path(__file__).with_name("alerts.test.yml")
PATIENCE = 120.0

QUIET = {"Lost packets", "Slow consumers", "Nodes", "Time for another node's answer"}
"""Panels that may have no data: on the loopback nothing is lost, and there are no other nodes."""


def tool(name: str) -> str:
    """The path of one of Prometheus' programs. Without it, the test is skipped, or fails in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}: apt-get install prometheus")
        pytest.skip(f"no {name}: apt-get install prometheus")
    return path


class Prometheus:
    """A running Prometheus, asked over its API."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **query: str) -> Any:
        """The `data` of an answer. Raises `AssertionError` with Prometheus' own words."""
        address = f"{self._address}/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=60) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """The samples of an instant query."""
        result: list[Any] = self.ask("query", query=expression)["result"]
        return result


@contextmanager
def prometheus(folder: Path, program: Program) -> Iterator[Prometheus]:
    """Prometheus, which scrapes the program every second and evaluates the alert rules."""
    (folder / "token").write_text(TOKEN)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {
                "job_name": "roomfsm",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [f"127.0.0.1:{program.port}"]}],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    subprocess.run([tool("promtool"), "check", "config", file], check=True, capture_output=True)
    with reserved_port() as port:
        log = folder / "prometheus.log"
        command = [
            tool("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with log.open("w") as said, started(command, stdout=said, stderr=said) as process:
            until_listening(port, process, log)
            yield Prometheus(port)


def queries() -> Iterator[tuple[str, str]]:
    """The queries of the dashboard, each with its panel's title, as Grafana would send them."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$instance", ".*").replace("$__rate_interval", "30s")


async def until(found: Any, *arguments: Any) -> Any:
    """Wait until a function, run in a thread, returns something."""
    with trio.fail_after(PATIENCE):
        while not (result := await trio.to_thread.run_sync(found, *arguments)):  # noqa: ASYNC110
            await trio.sleep(0.25)
        return result


async def test_every_query_of_the_dashboard_has_an_answer_with_data(tmp_path: Path) -> None:
    tool("prometheus")
    with running(tmp_path, f"--metrics-token={TOKEN}") as program, prometheus(tmp_path, program) as prom:
        async with open_client(program.url) as stranger, open_audience(program.url, 2):
            assert (await stranger.ask("chat", text="too early"))["type"] == "error"
            assert (await stranger.ask("ping", firstFrame=0.7))["type"] == "pong"
            # Rates need two scrapes with a change between them.
            await until(prom.query, "sum(rate(roomfsm_media_bytes_total[30s])) > 0")
            assert (await stranger.ask("chat", text="still too early"))["type"] == "error"
            assert (await stranger.ask("ping", firstFrame=0.8))["type"] == "pong"
            await until(prom.query, "sum(rate(roomfsm_refusals_total[30s])) > 0")
            for title, expression in queries():
                samples = await until(prom.query, expression) if title not in QUIET else prom.query(expression)
                for sample in samples:
                    float(sample["value"][1])
            await until(is_up, prom)
            await judged_by_promtool(program)
            for expression, value in VALUES.items():
                await until(has, prom, expression, value)
            assert_described(prom)


VALUES = {
    "sum(roomfsm_people)": 3,
    'sum(roomfsm_streams{state="live"})': 1,
    "sum(roomfsm_views)": 2,
    'sum(roomfsm_media_objects_reported{type="WebRtcEndpoint"})': 3,
    "sum(roomfsm_media_ledger)": 0,
    "sum(roomfsm_view_start_seconds_count)": 2,
    "histogram_quantile(0.5, sum by (le) (roomfsm_view_start_seconds_bucket)) > bool 0": 1,
}
"""What Prometheus has is what there is: three people, a stream, two views, and nothing leaked."""


def is_up(prom: Prometheus) -> bool:
    """Whether the latest scrape went well. On a busy machine one of them may take more than its second."""
    (target,) = prom.ask("targets")["activeTargets"]
    return (target["health"], target["lastError"]) == ("up", "")


def has(prom: Prometheus, expression: str, value: float) -> bool:
    """Whether it has this value, which a scrape may lack that came when the media server was busy."""
    return [float(sample["value"][1]) for sample in prom.query(expression)] == [value]


def assert_described(prom: Prometheus) -> None:
    types = {name: meta[0]["type"] for name, meta in prom.ask("metadata").items()}
    for family in FAMILIES:
        assert types[family.name if family.name in types else family.full_name] == family.kind, family
    rules = prom.ask("rules")["groups"][0]["rules"]
    assert {(rule["name"], rule["health"]) for rule in rules} == {(name, "ok") for name in alerts()}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


async def judged_by_promtool(program: Program) -> None:
    request = urllib.request.Request(f"{program.address}metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    page = await trio.to_thread.run_sync(lambda: urllib.request.urlopen(request, timeout=60).read())
    judged = await trio.run_process(
        [tool("promtool"), "check", "metrics"], stdin=page, capture_stdout=True, capture_stderr=True, check=False
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, b"", b"")
    assert (await trio.to_thread.run_sync(read, f"{program.address}metrics"))("roomfsm_people") == 3


def alerts() -> set[str]:
    """The names of all alerts."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"] for rule in group["rules"]}


def test_promtool_accepts_the_alert_rules_and_their_tests(tmp_path: Path) -> None:
    promtool = tool("promtool")
    for command, file in (("rules", ALERTS), ("rules", rule_tests(tmp_path))):
        verb = "check" if file == ALERTS else "test"
        judged = subprocess.run([promtool, verb, command, file], capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout + judged.stderr


def rule_tests(folder: Path) -> Path:
    """The file of tests, with the path of the rules in it."""
    file = folder / "alerts.test.yml"
    file.write_text(RULE_TESTS.read_text(encoding="utf-8").replace("[ALERTS]", f"[{json.dumps(str(ALERTS))}]"))
    return file


def test_every_alert_is_tested_and_says_in_words_what_is_wrong() -> None:
    tests = RULE_TESTS.read_text(encoding="utf-8")
    assert set(re.findall(r'alertname="(\w+)"', tests)) == alerts()
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("page", "ticket", "info")
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith((".", "?", ")."))


def test_rules_and_dashboard_ask_only_for_families_that_exist() -> None:
    known = {family.full_name for family in FAMILIES}
    known |= {f"{family.name}_{end}" for family in FAMILIES for end in ("bucket", "sum", "count")}
    asked = re.findall(r"\broomfsm_\w+", ALERTS.read_text(encoding="utf-8"))
    asked += [name for _, query in queries() for name in re.findall(r"\broomfsm_\w+", query)]
    assert set(asked) <= known


def test_the_dashboard_in_the_repository_is_the_present_one() -> None:
    """If this fails, run `uv run python -m roomfsm.metrics`."""
    assert (DOCS / "grafana.json").read_text(encoding="utf-8") == as_text()


def test_the_dashboard_can_be_imported_with_any_data_source() -> None:
    board = json.loads(as_text())
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "instance"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not places & cells, panel["title"]
        places |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"]
            assert panel["targets"]
