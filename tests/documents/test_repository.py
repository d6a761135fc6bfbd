"""The files for contributors are right: links have targets, forms parse, and the version has one place."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import roomfsm
import roomfsm.kurento
from roomfsm.documents.__main__ import ROOT

_LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository that exist."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def pages() -> list[Path]:
    return tracked("*.md")


def prose(file: Path) -> str:
    """The text without its blocks of code, because brackets mean something else there."""
    return re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(file: Path) -> Iterator[str]:
    """The names that GitHub gives the headings."""
    for heading in re.findall(r"^#+ (.+)$", prose(file), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_a_page_leads_to_an_existing_file_and_heading(page: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/releasing.md", "docs/stability.md"])
def test_the_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(
        r"`((?:roomfsm|client|tests|docs|\.ci|\.github|\.devcontainer)/[\w./-]*)`", (ROOT / page).read_text()
    )
    missing = [
        name for name in named if not (ROOT / name).exists() and not (ROOT / ".github/workflows" / name).exists()
    ]
    assert missing == []


def test_the_version_is_written_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    assert importlib.metadata.version("roomfsm") == roomfsm.__version__
    written = [
        path
        for path in (*tracked("roomfsm/*.py"), ROOT / "pyproject.toml")
        if re.search(r'^(__)?version(__)? *= *"', path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert written == [ROOT / "roomfsm" / "__init__.py"]


def test_the_changelog_keeps_its_format() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert roomfsm.__version__ in versions
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_githubs_workflow_runs_the_checks_that_everybody_can_run() -> None:
    workflow = load(".github/workflows/ci.yml")
    job = workflow["jobs"]["gate"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    pythons = job["strategy"]["matrix"]["python"]
    assert (ROOT / ".python-version").read_text().strip() in pythons
    assert "3.14" in pythons
    # YAML takes the word for a truth value.
    assert set(workflow[True]) == {"push", "pull_request"}


def test_a_release_is_made_from_a_tag_and_needs_no_password() -> None:
    workflow = load(".github/workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    steps = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    assert "uv build" in steps
    assert any("roomfsm.__version__" in step and "GITHUB_REF_NAME" in step for step in steps)
    publish = workflow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] in (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["bug", "idea"])
def test_github_can_show_the_issue_forms(form: str) -> None:
    """https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests."""
    loaded = load(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert {"name", "description", "body"} <= set(loaded)
    ids = [field["id"] for field in loaded["body"]]
    assert len(set(ids)) == len(ids)
    for field in loaded["body"]:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]


def test_the_checks_before_a_commit_are_also_run_by_the_workflow() -> None:
    gate = (ROOT / ".ci" / "run").read_text()
    for hook in load(".pre-commit-config.yaml")["repos"][0]["hooks"]:
        program = hook["entry"].removeprefix("uv run ").removesuffix(" --force-exclude")
        assert f'"$uv" run {program}' in gate


def test_the_container_for_developers_has_the_projects_python() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert f":{(ROOT / '.python-version').read_text().strip()}-" in container["image"]
    assert "uv sync --locked" in container["postCreateCommand"]


def test_everything_that_the_stability_page_promises_exists() -> None:
    promised = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    assert "`roomfsm.kurento`" in promised
    assert roomfsm.kurento.__all__
    assert [name for name in roomfsm.kurento.__all__ if not hasattr(roomfsm.kurento, name)] == []
