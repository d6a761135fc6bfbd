"""The setting of all tests: websockets that survive a ping while they close, a media server, a certificate."""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import structlog
import trio_websocket._impl
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import settings

from roomfsm.jsonrpc.websocket import Websocket
from tests.examples import register_profiles
from tests.hangs import Watch
from tests.processes import media_server_program

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # The tests start hundreds of processes. If they may not keep compiled files beside the source, each of them
    # compiles everything that it imports, and starts three times as slowly. So pytest's own folder has the files.
    sys.pycache_prefix = os.environ.setdefault(
        "PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    )
    sys.dont_write_bytecode = False

# Each server of a test would keep its rooms in one folder, and that of the person who runs the tests.
os.environ["ROOMFSM_DATA"] = "none"
# A server whose settings do not come from the environment would find the rooms that this person left there. No
# folder can be made in this one, so that it says so instead.
os.environ["XDG_STATE_HOME"] = os.devnull
# A media server that outlives its server for a while would outlive the test. Tests of that end it themselves.
os.environ["ROOMFSM_MEDIA_LINGER"] = "0"

register_profiles()

HERE = Path(__file__).parent
QUICK = {"access", "documents", "door", "fuzz", "hosts", "jsonrpc", "lifecycle", "protocol", "rooms", "testing"}
"""The folders whose tests are quick, except for tests that use one of the fixtures below."""

SLOW = {"browser", "graphviz", "limited", "media_server", "program"}
"""The fixtures that start a process."""

watch = Watch()


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples hypothesis tries: `-m quick`, `HYPOTHESIS_PROFILE=thorough`."""
    quick = config.getoption("markexpr") == "quick"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick" if quick else "default"))
    watch.start()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m quick` leave out the other folders, because their imports alone take longer than the tests."""
    other = collection_path.parent == HERE and collection_path.is_dir() and collection_path.name not in QUICK
    return True if other and config.getoption("markexpr") == "quick" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests, and put those first that must be alone, because nothing is under way yet."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in QUICK and not SLOW.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.quick)
    items.sort(key=lambda item: not _is_alone(item))


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield


class _Turns:
    """Let a test that is marked as `alone` run while no other process of pytest-xdist has one under way.

    Every test passes a turnstile. A test that must be alone stays in it while it waits for the others to end,
    because otherwise new ones would go before it forever. Tests that must be alone and follow each other are one
    turn, so that the others end what they do only once.
    """

    def __init__(self) -> None:
        self._kept: ExitStack | None = None
        """The turn of the test before, if this one goes on with it."""

    @contextmanager
    def turn(self, item: pytest.Item, following: pytest.Item | None) -> Iterator[None]:
        folder = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        if folder is None:
            yield
            return
        inside, self._kept = self._kept or self._enter(folder, alone=_is_alone(item)), None
        try:
            yield
        finally:
            if _is_alone(item) and _is_alone(following):
                self._kept = inside
            else:
                inside.close()

    def _enter(self, folder: str, *, alone: bool) -> ExitStack:
        turnstile, room = (
            Path(tempfile.gettempdir()) / f"roomfsm-{folder}-{name}" for name in ("turnstile", "room")
        )
        inside = ExitStack()
        with _locked(turnstile, fcntl.LOCK_EX):
            inside.enter_context(_locked(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        return inside


turns = _Turns()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Give each test its turn, and end it if it hangs."""
    with turns.turn(item, nextitem), watch.over_a_test():
        return (yield)


# The log of ten thousand rooms would hide what a failing test expected.
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

# A client of a test that is pinged while it closes could end its test half-way, and the test would pass.
# We replace the class of the objects that trio-websocket makes, and not the class itself. So the tests still see
# whether our own subclass works without that.
trio_websocket._impl.WebSocketConnection = Websocket  # type: ignore[misc]


@pytest.fixture(scope="session")
def media_server() -> Iterator[str]:
    """The address of a real embedded media server, in its own process, for all tests that only need one."""
    with media_server_program() as (url, _):
        yield url


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key files (PEM), valid for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A new certificate for 127.0.0.1 and its key, as files (PEM) in that folder."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    certfile.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    keyfile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certfile, keyfile
