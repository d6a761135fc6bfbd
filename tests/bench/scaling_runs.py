"""What people cost several room servers: `roomfsm load` against one node, and against three behind nginx.

`uv run python -m tests.bench.scaling_runs [--nodes 1 3] [--rooms 20] [--viewers 19] [--chat-rate 1]` prints the
processor time of the room servers, of Redis and of the people, and what Redis did. nginx takes the nodes in turns,
so of three nodes two thirds of the people have their session at another node than their websocket.
`tests.bench.scaling` compares its model with such runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.bench.processes import allow_sockets
from tests.ports import reserved_port
from tests.processes import started, until_listening
from tests.redis_server import redis_server
from tests.system.program import running

TOKEN = "a-token-for-the-benchmark-of-nodes"
_OPEN = (
    "--max-sessions-per-address=20000",
    "--max-connections-per-address=20000",
    "--max-rooms-per-address=2000",
    "--max-people=2000",
    "--trusted-proxy=127.0.0.1",
    "--heartbeat=600",
    "--kurento=ws://127.0.0.1:9/kurento",
)
_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream rooms {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://rooms; proxy_http_version 1.1; proxy_read_timeout 3600;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of the processor that these have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def info_of(url: str) -> dict[str, float]:
    """The numbers that Redis tells of itself."""
    done = subprocess.run(["redis-cli", "-u", url, "INFO"], capture_output=True, text=True, check=True)
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(":")
        with suppress(ValueError):
            found[name] = float(value)
    return found


def measure(nodes: int, plan: list[str]) -> dict[str, Any]:
    """Run the load against so many nodes. Times are in seconds of the processor."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept = ("--appendonly", "yes", "--appendfsync", "everysec")
        url = stack.enter_context(redis_server(folder, *kept))
        ports = [stack.enter_context(reserved_port()) for _ in range(nodes + 1)]
        servers = []
        for number, port in enumerate(ports[1:]):
            (own := folder / str(number)).mkdir()
            arguments = (
                f"--port={port}",
                f"--store={url}",
                f"--node=node{number}",
                f"--admin-token={TOKEN}",
                "--inspect=false",
            )
            program = stack.enter_context(running(own, *arguments, *_OPEN))
            servers.append(psutil.Process(program.process.pid))
        config = folder / "nginx.conf"
        upstream = " ".join(f"server 127.0.0.1:{port};" for port in ports[1:])
        config.write_text(_NGINX.format(folder=folder, port=ports[0], servers=upstream))
        proxy = stack.enter_context(started(["nginx", "-c", str(config)]))
        until_listening(ports[0], proxy, folder / "error.log")
        report = folder / "report.json"
        memory = [process.memory_info().rss for process in servers]
        before, info = cpu(servers), info_of(url)
        people = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "roomfsm", "load", f"http://127.0.0.1:{ports[0]}"]
        html = ["--html", str(Path(tempfile.gettempdir()) / f"scaling-{nodes}.html")]
        subprocess.run(
            [*command, f"--admin-token={TOKEN}", f"--json={report}", *html, *plan],
            check=False,
            stdout=subprocess.DEVNULL,
        )
        after, now = cpu(servers), info_of(url)
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = json.loads(report.read_text())["figures"]
        redis_cpu = sum(now[name] - info[name] for name in ("used_cpu_user", "used_cpu_sys"))
        return {
            "nodes": nodes,
            "plan": plan,
            "joined": figures["joined"],
            "lines": figures["linesSent"],
            "told": figures["linesTold"],
            "missed": figures["linesMissed"] + figures["linesDoubled"],
            "errors": figures["errors"],
            "join": figures["times"]["join"],
            "message": figures["times"]["message"],
            "cpuOfNodes": round(after - before, 2),
            "cpuOfRedis": round(redis_cpu, 2),
            "cpuOfPeople": round(theirs.ru_utime + theirs.ru_stime - people.ru_utime - people.ru_stime, 2),
            "redisCommands": now["total_commands_processed"] - info["total_commands_processed"],
            "redisBytesIn": now["total_net_input_bytes"] - info["total_net_input_bytes"],
            "redisBytesOut": now["total_net_output_bytes"] - info["total_net_output_bytes"],
            "redisMemory": now["used_memory_peak"] - info["used_memory"],
            "memoryOfNodes": [
                process.memory_info().rss - was for process, was in zip(servers, memory, strict=True)
            ],
            "loadAverage": os.getloadavg()[0],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--viewers", type=int, default=19)
    parser.add_argument("--chat-rate", type=float, default=1.0)
    parser.add_argument("--join-rate", type=float, default=40.0)
    parser.add_argument("--seconds", type=int, default=30)
    given = vars(parser.parse_args())
    allow_sockets()
    os.environ.pop("ROOMFSM_DATA", None)
    counts: list[int] = given.pop("nodes")
    plan = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    for nodes in counts:
        print(json.dumps(measure(nodes, plan)), flush=True)


if __name__ == "__main__":
    main()
