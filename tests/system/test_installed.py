"""The wheel, installed with only its dependencies into a new environment, is the whole product."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
import trio

from tests.protocol_client import open_client
from tests.system.program import running

ROOT = Path(__file__).parents[2]


def uv(*arguments: str | Path) -> str:
    """Run uv with its cache, and with the network only if that is not enough. Returns what it prints."""
    # `uv run` tells its own path; it need not be on PATH.
    program = os.environ.get("UV") or shutil.which("uv")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no uv")
        pytest.skip("there is no uv")
    for more in (["--offline"], []):
        done = subprocess.run(
            [program, *more, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode == 0:
            return done.stdout
    pytest.fail(done.stderr)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, which is built from the source distribution, as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--out-dir", folder)
    (built,) = folder.glob("roomfsm-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which only the wheel and its dependencies are installed."""
    folder = tmp_path_factory.mktemp("installed")
    locked = folder / "locked.txt"
    # The versions that are tested elsewhere: what is new on the index today is not this test's concern.
    uv("export", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", "--output-file", locked)
    uv("venv", "--python", sys.executable, folder / "venv")
    program = folder / "venv" / "bin" / "python"
    uv("pip", "install", "--python", program, "--constraint", locked, wheel)
    return program


def test_the_wheel_has_every_file_of_the_page_and_py_typed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    page = {
        path.relative_to(ROOT / "client").as_posix() for path in (ROOT / "client").rglob("*") if path.is_file()
    }
    assert {f"roomfsm/_client/{name}" for name in page} <= names
    assert "roomfsm/py.typed" in names
    assert not {name for name in names if name.startswith(("tests/", "client/"))}


def test_the_installed_server_shows_its_page_and_lets_people_in(python: Path, tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with open_client(url) as ada, open_client(url) as bob:
            await ada.join("blue")
            await bob.join("blue")
            await ada.ask("chat", text="hello")
            assert (await bob.expect("chat"))["line"]["text"] == "hello"

    with running(tmp_path, python=python, cwd=tmp_path) as program:
        for path in ("", "r/blue", "client/app.js", "client/style.css", "health/ready"):
            with urllib.request.urlopen(program.address + path, timeout=20) as answer:
                assert answer.status == 200
                assert answer.read()
        trio.run(main, program.url)
    assert "Traceback" not in program.log.read_text()


def test_a_missing_package_is_named_with_the_way_to_install_it(python: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "roomfsm", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("--version").stdout.startswith("roomfsm")
    assert run("diagram", "room", "--format", "mermaid").returncode == 0
    for arguments, extra in ((["conformance", "--list"], "conformance"), (["spec", "--format", "yaml"], "yaml")):
        done = run(*arguments)
        assert done.returncode == 2
        assert f"pip install 'roomfsm[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_wheel_runs_without_being_installed(wheel: Path) -> None:
    # `uvx` is this command's short name.
    assert uv("tool", "run", "--isolated", "--from", wheel, "roomfsm", "--version").startswith("roomfsm, version ")


def test_an_installation_is_small_and_has_no_developers_tools(python: Path) -> None:
    """`uv run --no-dev` installs the same. With the developers' tools it would be ten times as much."""
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert "trio" in names
    assert not names & {"pytest", "mypy", "playwright", "av", "rich", "jsonschema", "aioice", "yaml"}
    files = [path for path in packages.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 60e6
