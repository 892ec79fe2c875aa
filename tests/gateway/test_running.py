"""The gateway that runs: found, told from a stranger, stopped."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, TransportError
from harbor_oauth.gateway.keys import Keys, prove
from harbor_oauth.gateway.running import Running, announced, find, is_ours, stop
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.secret import Secret

ADDRESS = "http://127.0.0.1:3100"

_ANNOUNCE = """
import signal, sys
from pathlib import Path
from harbor_oauth.gateway.running import announced
with announced(Path(sys.argv[1])) as listens:
    listens("http://127.0.0.1:3100")
    print("listens", flush=True)
    asked = signal.sigwait({signal.SIGTERM, signal.SIGINT})
    print("asked", asked, flush=True)
"""

Announce = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def announce(home: Path) -> Iterator[Announce]:
    """Start a process that says it is the gateway, until it is told to end."""
    with ExitStack() as stack:

        def start() -> subprocess.Popen[str]:
            # Blocked before it says that it listens, or the signal would kill it.
            code = _ANNOUNCE.replace(
                "with announced",
                "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})\n"
                "with announced",
                1,
            )
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "listens\n"
            return child

        yield start


def test_none_runs(home: Path) -> None:
    """Without a file there is none, and nothing is made by looking."""
    assert find(home) is None
    assert stop(home) is None
    assert not home.exists()


def test_what_runs_is_found(home: Path, announce: Announce) -> None:
    """By another process, for as long as it runs."""
    child = announce()
    found = find(home)
    assert found is not None
    assert (found.pid, found.address) == (child.pid, ADDRESS)
    assert stat.S_IMODE((home / "gateway.json").stat().st_mode) == 0o600


def test_when_it_listens_it_is_announced(home: Path) -> None:
    """Not before; and afterwards nothing is left of it."""
    with announced(home, clock=lambda: 5.0) as listens:
        assert find(home) is None
        listens(ADDRESS)
        assert find(home) == Running(os.getpid(), ADDRESS, 5.0)
    assert find(home) is None
    assert not (home / "gateway.json").exists()


def test_there_is_one_at_a_time(home: Path, announce: Announce) -> None:
    """The second says where the first is."""
    child = announce()
    with (
        pytest.raises(ConfigurationError, match=f"{ADDRESS}.*process {child.pid}"),
        announced(home),
    ):
        pytest.fail("two run")
    assert find(home) is not None


def test_a_killed_one_is_not_found(home: Path, announce: Announce) -> None:
    """Its file stays, its lock does not."""
    child = announce()
    child.kill()
    child.wait()
    assert (home / "gateway.json").exists()
    assert find(home) is None
    assert stop(home, kill=_nobody) is None


def test_one_that_starts_is_not_taken_for_a_killed_one(home: Path, announce: Announce) -> None:
    """The process id that the killed one left may be anybody's by now."""
    child = announce()
    child.kill()
    child.wait()
    with announced(home) as listens:
        assert find(home) is None
        assert stop(home, kill=_nobody) is None
        listens(ADDRESS)
        assert find(home) is not None


def test_a_look_does_not_stop_a_start(home: Path) -> None:
    """Whoever looks holds the lock for a moment."""
    home.mkdir(mode=0o700)
    look = FileLock(home / "gateway.lock")
    look.acquire()
    ends = threading.Timer(0.05, look.release)
    ends.start()
    with announced(home) as listens:
        listens(ADDRESS)
    ends.join()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"pid": "x", "address": "", "started_at": 1}']
)
def test_a_broken_file_is_no_gateway(home: Path, text: str) -> None:
    """It is told from none by whoever starts."""
    with announced(home) as listens:
        listens(ADDRESS)
        (home / "gateway.json").write_text(text)
        assert find(home) is None


def test_what_fails_inside_stays_what_it_is(home: Path) -> None:
    """A time limit of the gateway's own is not another gateway."""
    with pytest.raises(TimeoutError, match="its own"), announced(home):
        raise TimeoutError("its own")
    with announced(home):
        pass  # and the lock was given back


def test_a_directory_of_others_is_refused(home: Path) -> None:
    """With a sentence for people."""
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    with pytest.raises(ConfigurationError, match="open to other users"), announced(home):
        pytest.fail("it runs")


def test_stop_asks_and_waits(home: Path, announce: Announce) -> None:
    """It is told to end, not killed, and has ended when this returns."""
    child = announce()
    stopped = stop(home)
    assert stopped is not None
    assert stopped.pid == child.pid
    assert child.communicate()[0] == f"asked {int(signal.SIGTERM)}\n"
    assert child.returncode == 0
    assert find(home) is None


def test_stop_says_what_does_not_end(home: Path, announce: Announce) -> None:
    """And how it can be ended; it does not do so by itself."""
    child, asked = announce(), []
    with pytest.raises(ConfigurationError, match=f"kill -9 {child.pid}"):
        stop(home, patience=0.0, kill=lambda pid, number: asked.append((pid, number)))
    assert asked == [(child.pid, signal.SIGTERM)]
    assert child.poll() is None


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
def test_a_process_without_the_lock_is_never_signalled(home: Path, announce: Announce) -> None:
    """Even if the file names it while somebody holds the lock."""
    announce()
    state = json.loads((home / "gateway.json").read_text())
    (home / "gateway.json").write_text(json.dumps({**state, "pid": os.getpid()}))
    assert stop(home, kill=_nobody) is None


# --- whether it is ours ---------------------------------------------------------


def _answering(server: HTTPServer, answer: Callable[[str], str]) -> list[Request]:
    """Let a server answer challenges; returns what it is asked."""
    seen = []

    def handle(request: Request) -> Response:
        seen.append(request)
        return Response(
            "{}", headers={"X-Harbor-Proof": answer(request.headers["X-Harbor-Challenge"])}
        )

    server.expect_request("/ready").respond_with_handler(handle)
    return seen


def test_ours_knows_the_key(harbor: Harbor, httpserver: HTTPServer) -> None:
    """It proves that for a challenge that nobody has seen before."""
    keys = Keys(harbor.settings.home)
    address = httpserver.url_for("").rstrip("/")
    seen = _answering(httpserver, lambda asked: prove(keys.own(), asked, urlsplit(address).netloc))
    for _ in range(2):
        assert is_ours(address, keys.own(), harbor.transport)
    first, second = (request.headers["X-Harbor-Challenge"] for request in seen)
    assert first != second


@pytest.mark.parametrize("answer", ["", "x" * 43, "again"])
def test_a_squatter_does_not_get_the_key(
    harbor: Harbor, httpserver: HTTPServer, answer: str
) -> None:
    """It is found out, also if it sends back what it got, and it sees no key."""
    keys = Keys(harbor.settings.home)
    seen = _answering(httpserver, lambda asked: asked if answer == "again" else answer)
    assert not is_ours(httpserver.url_for("").rstrip("/"), keys.own(), harbor.transport)
    [request] = seen
    sent = f"{request.url}{request.headers}{request.get_data(as_text=True)}"
    assert keys.own().reveal() not in sent


def test_a_proof_that_was_fetched_elsewhere_does_not_do(
    harbor: Harbor, httpserver: HTTPServer
) -> None:
    """A squatter may ask the real gateway at its own port."""
    keys = Keys(harbor.settings.home)
    _answering(httpserver, lambda asked: prove(keys.own(), asked, "127.0.0.1:3100"))
    assert not is_ours(httpserver.url_for("").rstrip("/"), keys.own(), harbor.transport)


def test_an_old_proof_does_not_do(harbor: Harbor, httpserver: HTTPServer) -> None:
    """Nor one made with another key."""
    keys = Keys(harbor.settings.home)
    address = httpserver.url_for("").rstrip("/")
    old = prove(keys.own(), "c" * 32, urlsplit(address).netloc)
    _answering(httpserver, lambda _: old)
    assert not is_ours(address, keys.own(), harbor.transport)
    assert not is_ours(address, Secret("hgw_" + "a" * 43), harbor.transport)


def test_a_redirect_is_not_ours(harbor: Harbor, httpserver: HTTPServer) -> None:
    """It would be the other's proof."""
    keys = Keys(harbor.settings.home)
    httpserver.expect_request("/ready").respond_with_data("", 307, {"Location": "/other"})
    _answering(httpserver, lambda asked: prove(keys.own(), asked, "elsewhere"))
    assert not is_ours(httpserver.url_for("").rstrip("/"), keys.own(), harbor.transport)


def test_nobody_there_is_an_error(harbor: Harbor, free_port: int) -> None:
    """Not a stranger."""
    with pytest.raises(TransportError):
        is_ours(f"http://127.0.0.1:{free_port}", Secret("hgw_" + "a" * 43), harbor.transport)


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _nobody(pid: int, number: int) -> None:
    pytest.fail(f"signal {number} to {pid}")
