"""Given nodes whose settings differ, each names the settings of the others that it has otherwise."""

from __future__ import annotations

import structlog

from roomfsm.access.policy import Policy
from roomfsm.alike import ALIKE, differences, fingerprint
from roomfsm.cluster import Cluster
from roomfsm.nodes.ledger import Info, Seen
from roomfsm.settings import Settings, all_settings, load


def test_every_setting_that_must_be_alike_is_noticed() -> None:
    here = load({}, {})
    named = {setting.name: setting for setting in all_settings()}
    assert set(ALIKE) <= set(named)
    assert differences(here, fingerprint(load({"port": 1, "max_rooms": 3, "log_level": "debug"}, {}))) == []
    changed = {
        "max_people": 7,
        "admin_token": "an-administrators-token",
        "inspect": False,
        "token_key": ("a shared secret of more than thirty-two bytes",),
        "node_lease": 9,
    }
    assert set(differences(here, fingerprint(load(changed, {})))) == {named[name].flag for name in changed}


def test_policies_must_be_alike_too() -> None:
    here = Settings()
    other = Settings(policies=(("class-*", Policy(locked=True)),))
    assert differences(here, fingerprint(other)) == ["[room]"]
    assert differences(other, fingerprint(other)) == []


def test_a_node_of_another_version_is_not_compared() -> None:
    assert differences(Settings(), "") == []
    assert differences(Settings(), "0" * len(fingerprint(Settings()))) == []


async def test_the_log_names_what_differs_once_for_each_node_and_change() -> None:
    here, other = load({}, {}), fingerprint(load({"max_people": 7}, {}))
    cluster = Cluster("redis://127.0.0.1:9", here)

    def told(*alike: str) -> list[tuple[str, list[str]]]:
        with structlog.testing.capture_logs() as entries:
            cluster.nodes_seen([Seen(f"n/{at}", Info("n", alike=one), 1.0) for at, one in enumerate(alike)])
        return [(entry["node"], entry["settings"]) for entry in entries]

    assert told(fingerprint(here), other) == [("n/1", ["--max-people"])]
    assert told(fingerprint(here), other) == []
    assert told(other, other) == [("n/0", ["--max-people"])]
    assert told(fingerprint(here)) == []
