"""The gateway and the bridge beside what people use today.

    python3 dev.py bench gateway [-- --seconds 2 --rounds 5 --mcp-proxy PATH --mcp-remote PATH]

The proxy is alone on one core; the upstream and the callers share another. Rounds are
interleaved, medians are printed, with the goals beside them; nothing fails. The upstream is a
bare asyncio server on loopback, without TLS, so that nothing but the proxy is measured.

- nginx adds a static header: the least that a proxy can do.
- FastMCP's proxy and mcp-proxy are Python; mcp-remote is Node, started both as a program and by
  npx, which is how its own documentation has it. mcp-proxy needs another major of
  the MCP SDK than FastMCP, so it comes from an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from benchmarks.gateway_parts.load import Caller, Target, calls, stdio
from benchmarks.gateway_parts.upstream import LARGE

ROOT: Final = Path(__file__).resolve().parents[1]
PROXY_CORE: Final = 0
OTHER_CORE: Final = 1
MIB: Final = 1024 * 1024

NGINX: Final = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 100000000;
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location /up {{
      rewrite ^/up(.*)$ /mcp$1 break;
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer static"; proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"""

FASTMCP: Final = """
import sys
from fastmcp.server import create_proxy
create_proxy(sys.argv[1]).run(
    transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="error"
)
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: list[str], port: int, environment: Mapping[str, str], core: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on one core until the block ends; wait until it listens."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 - no threads here
    ) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            else:
                raise RuntimeError(f"{command[0]} did not start")
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=30)


def memory(pid: int, field: str) -> int:
    """Return a figure of a process's memory in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


# --- the peers ----------------------------------------------------------------
@attrs.define
class Ground:
    """What runs, and what does not and why."""

    place: Path
    upstream: int
    options: argparse.Namespace
    missing: list[str] = attrs.field(factory=list)
    targets: dict[str, Target] = attrs.field(factory=dict)
    bridges: dict[str, list[str]] = attrs.field(factory=dict)
    pids: dict[str, int] = attrs.field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of ours: a docked server with a given token."""
        return {
            **os.environ,
            "HARBOR_HOME": str(self.place / "home"),
            "HARBOR_TOKEN_UP": "given",
        }

    def start(self, stack: contextlib.ExitStack) -> None:
        """Start every peer that is here."""
        self.targets["direct"] = Target(self.upstream, "/mcp")
        self._nginx(stack)
        self._ours(stack)
        self._fastmcp(stack)
        self._bridges()

    def _nginx(self, stack: contextlib.ExitStack) -> None:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx is None:
            self.missing.append("nginx: apt-get install nginx-light")
            return
        port, file = free_port(), self.place / "nginx.conf"
        file.write_text(NGINX.format(place=self.place, upstream=self.upstream, port=port))
        command = [nginx, "-p", str(self.place), "-c", str(file)]
        process = stack.enter_context(running(command, port, os.environ, PROXY_CORE))
        self.targets["nginx"] = Target(port, "/up")
        self.pids["nginx"] = process.pid

    def _ours(self, stack: contextlib.ExitStack) -> None:
        home = self.place / "home"
        home.mkdir(mode=0o700)
        url = f"http://127.0.0.1:{self.upstream}/mcp"
        (home / "config.toml").write_text(f'[servers.up]\nurl = "{url}"\ngrant = "up"\n')
        (home / "config.toml").chmod(0o600)
        harbor = [sys.executable, "-m", "harbor_oauth"]
        key = subprocess.check_output(
            [*harbor, "lighthouse", "key"], env=self.environment, text=True
        ).strip()
        audit = [] if self.options.audit else ["--no-audit"]
        port = free_port()
        command = [*harbor, "lighthouse", "--port", str(port), *audit]
        process = stack.enter_context(running(command, port, self.environment, PROXY_CORE))
        self.targets["ours"] = Target(port, "/up", {"X-Harbor-Key": key})
        self.pids["ours"] = process.pid
        self.bridges["ours"] = [*harbor, "bridge", "up"]

    def _fastmcp(self, stack: contextlib.ExitStack) -> None:
        python = self.options.fastmcp_python or sys.executable
        found = subprocess.run([python, "-c", "import fastmcp"], check=False, capture_output=True)
        if found.returncode:
            self.missing.append("FastMCP: pip install 'fastmcp>=4.1'")
            return
        port = free_port()
        url = f"http://127.0.0.1:{self.upstream}/mcp"
        command = [python, "-c", FASTMCP, url, str(port)]
        stack.enter_context(running(command, port, os.environ, PROXY_CORE))
        self.targets["FastMCP proxy"] = Target(port, "/mcp", session=True)

    def _bridges(self) -> None:
        url = f"http://127.0.0.1:{self.upstream}/mcp"
        for name, path, arguments, install in (
            (
                "mcp-remote",
                self.options.mcp_remote,
                [url, "--allow-http"],
                "npm install mcp-remote",
            ),
            (
                "mcp-proxy",
                self.options.mcp_proxy,
                ["--transport", "streamablehttp", url],
                "pip install mcp-proxy, in an environment of its own; name it with --mcp-proxy",
            ),
        ):
            program = path or shutil.which(name)
            if program is None:
                self.missing.append(f"{name}: {install}")
            else:
                self.bridges[name] = [program, *arguments]
        modules = Path(self.bridges.get("mcp-remote", [""])[0]).absolute().parents[1:2]
        npx = shutil.which("npx")
        if npx and modules and modules[0].name == "node_modules":  # as its own README starts it
            prefix = ["--prefix", str(modules[0].parent), "--no-install"]
            self.bridges["npx mcp-remote"] = [npx, *prefix, "mcp-remote", url, "--allow-http"]


# --- the measurements ---------------------------------------------------------
@attrs.define
class Figures:
    """Samples by name, and their medians."""

    samples: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))

    def add(self, name: str, value: float) -> None:
        self.samples[name].append(value)

    def __getitem__(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def __contains__(self, name: str) -> bool:
        return name in self.samples


async def http_round(ground: Ground, seconds: float, figures: Figures) -> None:
    """Measure every HTTP target once."""
    for name, target in ground.targets.items():
        for callers in (1, 32):
            rate, latency = await calls(target, callers, seconds)
            figures.add(f"{name} {callers}", rate)
            figures.add(f"{name} {callers} latency", latency)
    for name in ("nginx", "ours"):
        if name in ground.targets:
            await streams_round(name, ground, figures)


async def streams_round(name: str, ground: Ground, figures: Figures) -> None:
    """Measure first events and large bodies."""
    target = ground.targets[name]
    for _ in range(20):
        caller = Caller(target)
        await caller.open()
        figures.add(f"{name} event", await caller.first_event())
        caller.close()
    before = memory(ground.pids[name], "VmRSS")
    for what in ("download", "upload"):
        caller = Caller(target)
        await caller.open()
        work: Callable[[int], object] = getattr(caller, what)
        took = await work(LARGE)  # type: ignore[misc]  # both are coroutine functions
        figures.add(f"{name} {what}", LARGE / MIB / took)
        caller.close()
    figures.add(f"{name} growth", max(0, memory(ground.pids[name], "VmHWM") - before) / MIB)


def stdio_round(ground: Ground, seconds: float, figures: Figures) -> None:
    """Measure every bridge once."""
    for name, command in ground.bridges.items():
        environment = ground.environment if name == "ours" else dict(os.environ)
        environment["HOME"] = str(ground.place)  # mcp-remote writes there
        os.sched_setaffinity(0, {PROXY_CORE, OTHER_CORE})
        rate, first = stdio(command, environment, seconds)
        os.sched_setaffinity(0, {OTHER_CORE})
        figures.add(f"{name} bridge", rate)
        figures.add(f"{name} first", first)


# --- the report ---------------------------------------------------------------
def report(ground: Ground, figures: Figures) -> None:
    """Print medians and goals."""
    say(f"{'':16}{'1 caller':>12}{'latency':>12}{'32 callers':>12}")
    for name in ground.targets:
        latency = figures[f"{name} 1 latency"] * 1000
        rates = figures[f"{name} 1"], figures[f"{name} 32"]
        say(f"{name:16}{rates[0]:>10.0f}/s{latency:>9.3f} ms{rates[1]:>10.0f}/s")
    for name in ("nginx", "ours"):
        if f"{name} event" in figures:
            say(
                f"{name}: first event {figures[f'{name} event'] * 1000:.3f} ms; 100 MiB: "
                f"{figures[f'{name} download']:.0f} MiB/s down, "
                f"{figures[f'{name} upload']:.0f} MiB/s up, "
                f"memory growth {figures[f'{name} growth']:.1f} MiB"
            )
    for name in ground.bridges:
        say(
            f"{name}: {figures[f'{name} bridge']:.0f} calls/s, "
            f"first in {figures[f'{name} first']:.2f} s"
        )
    for missing in ground.missing:
        say(f"not here, not measured: {missing}")
    say("")
    goals(ground, figures)


def goals(ground: Ground, figures: Figures) -> None:
    """Print each goal with what was reached."""
    if "FastMCP proxy" in ground.targets:
        for callers in (1, 32):
            ratio = figures[f"ours {callers}"] / figures[f"FastMCP proxy {callers}"]
            goal(f"calls against FastMCP's proxy, {callers} callers", ratio, at_least=20)
    if "nginx" in ground.targets:
        goal(
            "requests against nginx, 32 callers",
            figures["ours 32"] / figures["nginx 32"],
            at_least=0.15,
        )
        bare = figures["direct 1 latency"]
        added = (figures["ours 1 latency"] - bare) / (figures["nginx 1 latency"] - bare)
        goal("added latency against nginx, 1 caller", added, at_most=5)
        goal("first event against nginx", figures["ours event"] / figures["nginx event"], at_most=5)
        for what in ("download", "upload"):
            goal(
                f"100 MiB {what} against nginx",
                figures[f"ours {what}"] / figures[f"nginx {what}"],
                at_least=0.5,
            )
        goal("memory growth, MiB", figures["ours growth"], at_most=32)
    if "mcp-remote" in ground.bridges:
        ratio = figures["ours bridge"] / figures["mcp-remote bridge"]
        goal("bridge calls against mcp-remote", ratio, at_least=4)
    for name in ("mcp-remote", "npx mcp-remote"):
        if name in ground.bridges:
            ratio = figures["ours first"] / figures[f"{name} first"]
            goal(f"time to the first result against {name}", ratio, at_most=0.5)


def goal(
    what: str, reached: float, *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Print a goal and whether it was reached."""
    met = reached >= at_least if at_least is not None else reached <= (at_most or 0)
    wanted = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    say(f"{'met' if met else 'SHORT':6}{what}: {reached:.2f} (goal {wanted})")


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--audit", action="store_true", help="write requests down, as by default")
    parser.add_argument("--fastmcp-python", help="a Python with FastMCP 4; this one when left out")
    parser.add_argument("--mcp-proxy", help="the program, where it is not on PATH")
    parser.add_argument("--mcp-remote", help="the program, where it is not on PATH")
    options = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})
    figures = Figures()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        port = free_port()
        upstream = [sys.executable, "-m", "benchmarks.gateway_parts.upstream", str(port)]
        stack.enter_context(running(upstream, port, os.environ, OTHER_CORE))
        ground = Ground(Path(place), port, options)
        ground.start(stack)
        say(
            f"proxies on core {PROXY_CORE}; upstream and callers on core {OTHER_CORE}; "
            "bridges on both"
        )
        say(f"{options.rounds} rounds of {options.seconds:g} s, interleaved; medians\n")
        for _ in range(options.rounds):
            asyncio.run(http_round(ground, options.seconds, figures))
            stdio_round(ground, options.seconds, figures)
        report(ground, figures)


if __name__ == "__main__":
    main()
