"""Many processes that do everything to one vault, for ten minutes.

Each worker has a server of its own, which it docks, uses, renames and undocks;
all workers share four grants, which stay docked. Meanwhile access tokens are
expired at the server, the vault gets new data keys, its key moves between two
files, backups are written, and workers fork while their other thread refreshes.
The server rotates refresh tokens without grace and revokes the whole family
when a spent one comes again.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - the type; the seed is given
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError, LoginRequiredError, VaultError
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.undocking import undock
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.faults.ground import PATIENCE, Child, Verdict, counts, fork, seeded

SHARED: Final = ("shared-0", "shared-1", "shared-2", "shared-3")
LIFETIME: Final = 10.0
"""Seconds an access token lives."""

_GATE: Final = 75.0
"""Seconds after which whole-vault work must have ended or have been refused."""

_WEIGHTS: Final = {
    "use_shared": 40,
    "use_own": 20,
    "report_401": 8,
    "dock": 8,
    "undock": 4,
    "rename": 4,
    "fork": 6,
    "rekey": 2,
    "move": 2,
    "backup": 2,
}


@attrs.define
class Worker:
    """One process of the soak: a Harbor of its own, on the vault that all share.

    Attributes:
        number: Which worker it is.
        home: The configuration directory that all share.
        url: The MCP server's URL.
        random: Chooses what is done next.
        figures: How often each thing was done, and how often it was refused.
        faults: What must not happen; empty at the end of a good run.
    """

    number: int
    home: Path
    url: str
    random: Random
    figures: dict[str, int] = attrs.field(factory=dict)
    faults: list[str] = attrs.field(factory=list)
    _docked: bool = False
    _renamed: int = 0

    @property
    def name(self) -> str:
        """The server that this worker docks and undocks."""
        return f"own-{self.number}"

    def run(self, seconds: float) -> dict[str, Any]:
        """Work until the time is over; return the figures and faults."""
        environ = environment(self.home)
        until = time.monotonic() + seconds
        stop = threading.Event()
        with closing(Harbor(environ=environ, browser=browse)) as harbor:
            beside = threading.Thread(target=self._refresh_beside, args=(harbor, stop))
            beside.start()
            try:
                while time.monotonic() < until and len(self.faults) < 5:
                    kind = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
                    self._do(kind, harbor, environ)
            finally:
                stop.set()
                beside.join()
            if self._docked:
                self._do("undock", harbor, environ)
        return {"figures": self.figures, "faults": self.faults}

    def _do(self, kind: str, harbor: Harbor, environ: Mapping[str, str]) -> None:
        begun = time.monotonic()
        try:
            done = getattr(self, f"_{kind}")(harbor, environ)
        except HarborError as error:
            self._fault(kind, error)
            return
        took = time.monotonic() - begun
        self._count(f"{kind}" if done else f"{kind} refused")
        if took > PATIENCE:
            self.faults.append(f"{kind} took {took:.0f} s")

    def _fault(self, kind: str, error: BaseException) -> None:
        self.faults.append(f"worker {self.number}: {kind}: {type(error).__name__}: {error}")

    def _count(self, figure: str) -> None:
        self.figures[figure] = self.figures.get(figure, 0) + 1

    def _refresh_beside(self, harbor: Harbor, stop: threading.Event) -> None:
        """Use the shared grants from a second thread, so that forks meet a busy process."""
        random = Random(self.random.random())  # noqa: S311 - repeatable, not security
        while not stop.is_set():
            try:
                self._use(harbor, random.choice(SHARED))
            except HarborError as error:
                self._fault("the thread beside", error)
                return
            stop.wait(0.05)

    # --- one grant --------------------------------------------------------------

    def _use_shared(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        return self._use(harbor, self.random.choice(SHARED))

    def _use_own(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        return self._docked and self._use(harbor, self.name)

    def _use(self, harbor: Harbor, grant: str) -> bool:
        """Send a request as a program does: after a 401, once more with a new token."""
        for _ in range(3):  # other workers expire tokens at any moment
            token = harbor.token(grant)
            if post(self.url, token.reveal()) == http.client.OK:
                return True
            harbor.rejected(grant, token)
        # A token is refreshed at most once a minute because of a 401.
        self._count("401s in a row")
        return True

    def _report_401(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        grant = self.random.choice(SHARED)
        harbor.rejected(grant, harbor.token(grant))
        return True

    # --- the worker's own server --------------------------------------------------

    def _dock(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        dock_url(harbor, self.name, f"{self.url}?own={self.number}")
        self._docked = True
        return self._use(harbor, self.name)

    def _undock(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        if not self._docked:
            return False
        undock(harbor, self.name)
        self._docked = False
        try:
            harbor.token(self.name)
        except (LoginRequiredError, HarborError) as error:
            return isinstance(error, LoginRequiredError) or "provider" in str(error).lower()
        self.faults.append(f"worker {self.number}: a token of an undocked server")
        return False

    def _rename(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        """Give the grant another label and back, while other threads may refresh it."""
        if not self._docked:
            return False
        status = harbor.grant_status(self.name)
        assert status is not None
        self._renamed += 1
        renamed = harbor.rename_account(status.grant, f"label-{self._renamed}")
        harbor.token(renamed.grant)
        harbor.rename_account(renamed.grant, "default")
        return self._use(harbor, self.name)

    # --- the whole vault ------------------------------------------------------------

    def _rekey(self, _: Harbor, environ: Mapping[str, str]) -> bool:
        return self._command(environ, "chest", "rekey")

    def _move(self, _: Harbor, environ: Mapping[str, str]) -> bool:
        place = self.home.parent / f"key-{self.random.randrange(2)}"
        return self._command(environ, "chest", "move", "--to", "keyfile", "--key-file", str(place))

    def _backup(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        path = self.home.parent / f"backup-{self.number}"
        try:
            harbor.vault.backup(path, Secret("a passphrase of the soak"))
        except VaultError:
            return False
        path.unlink()
        return True

    def _command(self, environ: Mapping[str, str], *words: str) -> bool:
        """Run a command; say whether it was done, and not refused in words."""
        done = subprocess.run(
            [sys.executable, "-m", "harbor_oauth", *words],
            env=dict(environ),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        if "Traceback" in done.stderr:
            self.faults.append(f"worker {self.number}: {' '.join(words)}: {done.stderr}")
        if done.returncode:
            self._count(f"{words[1]}: {_shape(done.stderr)}")
        return done.returncode == 0

    # --- forks ----------------------------------------------------------------------

    def _fork(self, harbor: Harbor, _: Mapping[str, str]) -> bool:
        """Ask for a token in a child; a named error is an answer, a hanging child is not."""

        def child() -> str:
            signal.alarm(int(PATIENCE))  # a child that hangs is ended by its own alarm
            try:
                harbor.token(SHARED[0])
            except HarborError as error:
                return type(error).__name__
            return "token"

        answer = fork(child).result()
        if answer is None:
            self.faults.append(f"worker {self.number}: a forked child gave no answer")
        elif answer != "token":
            self._count(f"fork: {answer}")
        return bool(answer == "token")


def _shape(text: str) -> str:
    """Return the first line of an error, without what differs between two runs."""
    return re.sub(r"\d+|/\S+", "_", text.strip().split("\n")[0])[:80]


def browse(url: str) -> bool:
    """Stand in for the browser, in the background."""

    def follow() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            target = url
            for _ in range(5):
                parts = urlsplit(target)
                connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
                connection.request("GET", f"{parts.path}?{parts.query}", headers=_BROWSER)
                with connection.getresponse() as answer:
                    answer.read()
                    target = answer.headers.get("Location", "")
                connection.close()
                if not target:
                    return

    threading.Thread(target=follow, daemon=True).start()
    return True


_BROWSER: Final = {"Accept": "text/html", "Connection": "close"}


def post(url: str, token: str) -> int:
    """List the tools with a token; return the status."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    with closing(connection):
        connection.request(
            "POST",
            parts.path,
            json.dumps(message),
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json, text/event-stream",
                "Content-Type": "application/json",
                "Connection": "close",
            },
        )
        with connection.getresponse() as answer:
            answer.read()
            return answer.status


def environment(home: Path) -> dict[str, str]:
    """Return what the workers and their commands run with; it names no key file."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "HARBOR_HOME": str(home), "HARBOR_VAULT": "keyfile"}


def main(argv: Sequence[str] | None = None) -> int:
    """Let the workers work, then ask for every shared token from a cold process."""
    options = counts(argv, __doc__, processes=(16, 6), seconds=(600, 20))
    verdict = Verdict("soak")
    random = seeded(options.seed)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place).resolve() / "home"
        work, release = _held_workers(options.processes, options.seconds, home, random)
        with (
            AuthorizationServer(access_token_lifetime=LIFETIME) as issuer,
            McpServer(issuer) as mcp,
        ):
            prepare(home, mcp.url)
            release(mcp.url)
            stop = threading.Event()
            expiring = threading.Thread(target=_expire, args=(issuer, stop, options.seed))
            expiring.start()
            try:
                results = [child.result() for child in work]
            finally:
                stop.set()
                expiring.join()
            judge(results, home, mcp.url, verdict)
            verdict.figures["refreshes"] = issuer.count("token", grant_type="refresh_token")
            verdict.figures["reuse events"] = len(issuer.reuse_events)
            verdict.want(not issuer.reuse_events, f"spent tokens came again: {issuer.reuse_events}")
    return verdict.tell()


def _held_workers(
    number_of_workers: int, seconds: float, home: Path, random: Random
) -> tuple[list[Child], Callable[[str], None]]:
    """Fork the workers before the servers' threads exist; they wait for the URL."""
    lines = [os.pipe() for _ in range(number_of_workers)]
    work = []
    for number, (reading, _) in enumerate(lines):
        own = Random(random.random())  # noqa: S311 - repeatable, not security

        def wait(number: int = number, reading: int = reading, own: Random = own) -> object:
            for other, (_, writing) in enumerate(lines):
                os.close(writing)
                if other != number:
                    os.close(lines[other][0])
            with os.fdopen(reading, encoding="utf-8") as line:
                url = line.read()
            return Worker(number, home, url, own).run(seconds)

        work.append(fork(wait))
    for reading, _ in lines:
        os.close(reading)

    def release(url: str) -> None:
        for _, writing in lines:
            with os.fdopen(writing, "w", encoding="utf-8") as line:
                line.write(url)

    return work, release


def prepare(home: Path, url: str) -> None:
    """Make the vault and dock the servers that all workers share."""
    with closing(Harbor(environ=environment(home), browser=browse)) as harbor:
        harbor.init_vault("keyfile", key_file=home.parent / "key-0")
        for name in SHARED:
            dock_url(harbor, name, f"{url}?{name}")


def _expire(issuer: AuthorizationServer, stop: threading.Event, seed: int) -> None:
    """Let the server expire all access tokens early, again and again."""
    random = seeded(seed + 1)
    while not stop.wait(random.uniform(3, 30)):
        issuer.expire_access_tokens()


def judge(results: Sequence[Any], home: Path, url: str, verdict: Verdict) -> None:
    """Hold the run to its goals: no grant lost, no fault, every worker at its end."""
    total: dict[str, int] = {}
    for number, result in enumerate(results):
        verdict.want(result is not None, f"worker {number} died or never ended")
        for figure, count in (result or {}).get("figures", {}).items():
            total[figure] = total.get(figure, 0) + count
        for fault in (result or {}).get("faults", ()):
            verdict.count("faults")
            verdict.want(goal=False, otherwise=fault)
    verdict.figures |= {"processes": len(results)} | dict(sorted(total.items()))
    lost = 0
    with closing(Harbor(environ=environment(home))) as harbor:
        for name in SHARED:
            try:
                token = harbor.token(name)
                if post(url, token.reveal()) != http.client.OK:
                    harbor.rejected(name, token)
                    lost += post(url, harbor.token(name).reveal()) != http.client.OK
            except HarborError:
                verdict.want(goal=False, otherwise=f"{name}: {traceback.format_exc(limit=0)}")
                lost += 1
    verdict.figures["lost"] = lost
    verdict.want(lost == 0, f"{lost} shared grants were lost")


if __name__ == "__main__":
    sys.exit(main())
