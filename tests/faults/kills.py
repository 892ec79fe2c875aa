"""Kill a process at a random moment after the server has sent it a new pair.

The server sends its answer, and 0 to 50 ms later the process is killed. Then
another process uses the grant. With a server that lets the last token come
again for half a minute, nobody may have to sign in. Without, the grant is lost
where the process died between the answer and the stored pair, which no client
can avoid; it has to be called an interrupted refresh.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - the type; the seed is given
from typing import TYPE_CHECKING, Final

import attrs
import requests.adapters  # noqa: F401 - the parent is warm
import truststore  # noqa: F401 - same

from harbor_oauth.errors import HarborError, LoginRequiredError
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.tokens import TokenSource
from harbor_oauth.transport import RequestsTransport
from tests.faults.ground import (
    KEY,
    PATIENCE,
    Child,
    Verdict,
    counts,
    fork,
    pair_of,
    seeded,
    sign_in,
    store_login,
    vault_in,
)

if TYPE_CHECKING:
    from werkzeug import Request, Response

_LONGEST: Final = 0.05
_GRACE: Final = 30.0
_ROOT: Final = Path(__file__).resolve().parents[2]
_COLD: Final = "import sys; from tests.faults.kills import main_victim; main_victim(sys.argv[1])"


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class TellingServer(AuthorizationServer):
    """A double that says when the last byte of a token answer was sent.

    Attributes:
        sent: Gets the refresh token that each answer was for.
        pairs: Every access and refresh token that belong together.
    """

    sent: queue.SimpleQueue[str] = attrs.field(factory=queue.SimpleQueue, init=False)
    pairs: list[tuple[str, str]] = attrs.field(factory=list, init=False)

    def _work(self, endpoint: str, request: Request) -> Response:
        response = super()._work(endpoint, request)
        if endpoint == "token":
            members = json.loads(response.get_data())
            if "access_token" in members:
                self.pairs.append((members["access_token"], members["refresh_token"]))
            # The server calls this when it has written the body.
            spent = request.form.get("refresh_token", "")
            response.call_on_close(lambda: self.sent.put(spent))
        return response


def victim(home: Path) -> None:
    """Refresh, then wait to be killed."""
    vault = vault_in(home)
    found = vault.grant(KEY)
    assert found is not None
    TokenSource(vault, RequestsTransport(environ={})).rejected(KEY, found[0].access_token)
    while True:
        signal.pause()


def main_victim(home: str) -> None:
    """Be a victim in an interpreter of its own."""
    victim(Path(home))


def survivor(home: Path) -> tuple[tuple[str, str], str, str]:
    """Use the grant as the next process does; return what was stored, the outcome, its text."""
    vault = vault_in(home)
    found = vault.grant(KEY)
    assert found is not None, "the grant is gone"
    stored = pair_of(found[0])
    source = TokenSource(vault, RequestsTransport(environ={}))
    try:
        source.rejected(KEY, found[0].access_token)
        return stored, "token", source.token(KEY).reveal()
    except LoginRequiredError as error:
        return stored, "login", error.message
    except HarborError as error:
        return stored, "error", f"{type(error).__name__}: {error}"


def forked(home: Path) -> Callable[[], object]:
    """Start a victim in a fork; return what kills it and waits."""
    child = fork(lambda: victim(home))
    return partial(_end_fork, child)


def _end_fork(child: Child) -> object:
    child.kill()
    return child.result()


def cold(home: Path) -> Callable[[], object]:
    """Start a victim in a new interpreter; return what kills it and waits."""
    process = subprocess.Popen([sys.executable, "-c", _COLD, str(home)], cwd=_ROOT)

    def end() -> object:
        process.kill()
        return process.wait()

    return end


def log_in(server: TellingServer, home: Path) -> None:
    """Sign in; a child stores the grant, for the parent of the forks opens no vault."""
    record = sign_in(server)
    fork(lambda: store_login(vault_in(home), record)).result()


def kill_rounds(
    server: TellingServer,
    home: Path,
    starts: Sequence[Callable[[Path], Callable[[], object]]],
    chance: Random,
    verdict: Verdict,
) -> None:
    """Kill one process a round, and use the grant in the next."""
    name = "with grace" if server.grace else "without grace"
    log_in(server, home)
    for number, start in enumerate(starts):
        stored = server.pairs[-1][1]
        end = start(home)
        try:
            while server.sent.get(timeout=PATIENCE) != stored:
                pass  # an answer of the round before
            threading.Event().wait(chance.uniform(0, _LONGEST))
        except queue.Empty:
            verdict.want(goal=False, otherwise=f"{name} {number}: the victim never asked")
        end()
        verdict.count(f"{name}: kills")
        newest = server.pairs[-1]
        outcome = fork(lambda: survivor(home)).result()
        if not judge(outcome, newest, server, f"{name} {number}", verdict):
            log_in(server, home)


def judge(
    outcome: Sequence[object] | None,
    newest: tuple[str, str],
    server: TellingServer,
    when: str,
    verdict: Verdict,
) -> bool:
    """Hold one round to its goals; return whether the grant still lives."""
    if outcome is None:
        verdict.want(goal=False, otherwise=f"{when}: the next process failed")
        return False
    stored, kind, text = outcome
    assert isinstance(stored, list)
    assert isinstance(text, str)
    name = when.rpartition(" ")[0]
    lost = tuple(stored) != newest
    verdict.count(f"{name}: died before it stored", int(lost))
    verdict.want(tuple(stored) in server.pairs, f"{when}: a mixed pair is stored")
    if kind == "token":
        verdict.want(server.valid(text), f"{when}: a token that is not valid")
        return True
    if kind == "error":
        verdict.want(goal=False, otherwise=f"{when}: {text}")
        return False
    verdict.count(f"{name}: forced logins")
    verdict.want(lost and not server.grace, f"{when}: an avoidable forced login: {text}")
    told = "interrupted" in text
    verdict.count(f"{name}: told as interrupted", int(told))
    verdict.want(told, f"{when}: not told as an interrupted refresh: {text}")
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Kill with grace, then without."""
    options = counts(argv, __doc__, kills=(2000, 200), cold=(50, 5))
    verdict = Verdict("kills")
    for grace in (_GRACE, 0.0):
        name = "with grace" if grace else "without grace"
        for figure in ("kills", "died before it stored", "forced logins", "told as interrupted"):
            verdict.figures[f"{name}: {figure}"] = 0
        starts = [forked] * options.kills + [cold] * options.cold
        with tempfile.TemporaryDirectory() as place, TellingServer(grace=grace) as server:
            kill_rounds(server, Path(place) / "home", starts, seeded(options.seed), verdict)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
