"""The kit against three nodes with one Redis, behind nginx, which takes them in turns.

`uv run python -m tests.conformance.on_nodes [option of the kit]…` runs the whole kit, or what is chosen with
`--only`. The test runs only what several nodes can break, because the rest would only take time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import trio

from tests.browser.proxies import proxied
from tests.conformance.kit import SMALL, Run, run_kit
from tests.conftest import make_certificate
from tests.nodes.deployment import TOKEN, deployed
from tests.processes import LOADED, media_server_program


async def run_kit_on_nodes(folder: Path, media_server: str, certificate: tuple[Path, Path], *options: str) -> Run:
    """Start everything, run the kit, and end everything."""
    certfile, keyfile = certificate
    pem = folder / "both.pem"
    pem.write_bytes(certfile.read_bytes() + keyfile.read_bytes())
    arguments = (
        *SMALL,
        f"--kurento={media_server}",
        "--trusted-proxy=127.0.0.1",
        "--host-name=localhost",
    )
    async with deployed(folder, *arguments) as nodes:
        first, *further = nodes.ports
        with proxied("nginx", folder / "nginx", first, pem, further) as address:
            url = address.replace("https", "wss", 1) + "/ws"
            given = ("--insecure", f"--control-token={TOKEN}", *options)
            return await run_kit(folder, url, *given, bound=30 * LOADED)


def main() -> int:
    """Run the kit with the options of the command line, and print its report. Returns its exit code."""
    os.environ.pop("ROOMFSM_DATA", None)
    with tempfile.TemporaryDirectory() as name, media_server_program() as (media_server, _):
        folder = Path(name)
        certificate = make_certificate(folder / "tls")
        run = trio.run(run_kit_on_nodes, folder, media_server, certificate, *sys.argv[1:])
    print(run.out, run.err)
    return run.code


if __name__ == "__main__":
    sys.exit(main())
