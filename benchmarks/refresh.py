"""A herd of requests that meets an expired token, beside the clients people use today.

    python3 dev.py bench refresh [-- --processes 4 --threads 16 --rounds 5]

Every thread of every process sends one request with the same grant at the same moment. The
server is this project's double: single-use refresh tokens, the family revoked when one is used
again, no grace, 50 ms for each answer. A request ends well if its token is good when all are
done. It prints whether the goals are met and fails nobody.

The resource server answers at once and inside the process, so that nothing but the way to the
token is measured. How each client is set up stands in `peers/clients.py`.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from benchmarks.peers.clients import (
    API,
    CLIENTS,
    DAY,
    SCOPES,
    Ask,
    Client,
    Clock,
    Grant,
    environment,
    harbor,
)
from harbor_oauth.client import Harbor
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.providers import OAuthProvider, Registration, Resource, ServerMetadata
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.vault import parse_grant_name

ANSWER_TIME: Final = 0.05
ACCOUNT: Final = base64.urlsafe_b64encode(b'{"uid": "ada", "utid": "bench"}').decode()


# --- in each process ----------------------------------------------------------
Answer: TypeAlias = tuple[str, str | None, float]
"""A token or nothing, the name of an error or None, and when it was there."""


def work(prepare: Callable[[Grant], Ask], pipe: Connection) -> None:
    """Answer for one process, task after task."""
    while task := pipe.recv():
        grant, threads = task
        ask = prepare(grant)
        pipe.send("ready")
        pipe.send(storm(ask, threads, pipe.recv()))


def storm(ask: Ask, threads: int, start: float) -> list[Answer]:
    """Ask once in each of that many threads, all at one moment of the monotonic clock."""

    def once(_: int) -> Answer:
        time.sleep(max(0.0, start - time.monotonic()))
        try:
            token, error = ask().removeprefix("Bearer "), None
        except Exception as raised:  # noqa: BLE001 - whatever it is, this request did not end well
            token, error = "", type(raised).__name__
        return token, error, time.monotonic()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(once, range(threads)))


# --- around them --------------------------------------------------------------
@attrs.frozen
class Outcome:
    """What one herd came to."""

    refreshes: int
    well: int
    reuses: int
    seconds: float
    errors: Counter[str]


class Field:
    """The server and the sign-ins."""

    def __init__(self, server: AuthorizationServer, home: Path) -> None:
        self._server, self._home, self._signed_in = server, home, 0
        added = server.add_client(token_endpoint_auth_method="client_secret_post")  # noqa: S106 - a method's name
        self._client = {"client_id": added.client_id, "client_secret": added.client_secret or ""}
        server.amend("token", client_info=ACCOUNT)  # how msal knows whose token it is
        credentials = ClientCredentials(
            added.client_id, Secret(added.client_secret or ""), "client_secret_post"
        )
        self._harbor = Harbor(
            home=home,
            environ=environment(home),
            browser=server.browser,
            clients={"bench": credentials},
            providers={"bench": provider(server)},
            clock=Clock(behind=DAY),  # so that what it stores is past its end
        )

    def grant(self, client: Client) -> Grant:
        """Sign in once more, for a client."""
        self._signed_in += 1
        name = f"bench@{self._signed_in}"
        self._harbor.login(name)
        key = self._harbor.vault.resolve(parse_grant_name(name))
        found = self._harbor.vault.grant(key) if key else None
        assert found is not None
        assert found[0].refresh_token is not None
        endpoint, refresh_token = found[0].token_endpoint, found[0].refresh_token.reveal()
        grant = Grant(name, self._home, self._client, endpoint, refresh_token)
        if client.store is not None:
            self._server.access_token_lifetime = 1
            client.store(grant)
            self._server.access_token_lifetime = 3600
        return grant

    def herd(self, grants: list[Grant], pipes: list[Connection], threads: int) -> Outcome:
        """Let processes ask at once: each for its grant, with that many threads."""
        for grant, pipe in zip(grants, pipes, strict=True):
            pipe.send((grant, threads))
        for pipe in pipes:
            pipe.recv()
        before, reuses = self._server.count("token"), len(self._server.reuse_events)
        answers = [lambda _: time.sleep(ANSWER_TIME)] * (len(pipes) * threads * 4)
        self._server.script("token", *answers)
        start = time.monotonic() + 0.1  # the same clock for all processes
        for pipe in pipes:
            pipe.send(start)
        done: list[Answer] = [answer for pipe in pipes for answer in pipe.recv()]
        return Outcome(
            refreshes=self._server.count("token") - before,
            well=sum(self._server.valid(token) is not None for token, _, _ in done),
            reuses=len(self._server.reuse_events) - reuses,
            seconds=max(at for _, _, at in done) - start,
            errors=Counter(error for _, error, _ in done if error),
        )


def provider(server: AuthorizationServer) -> OAuthProvider:
    """Return the double, as a provider with an app of one's own."""
    metadata = ServerMetadata(
        issuer=server.issuer,
        authorization_endpoint=f"{server.origin}/authorize",
        token_endpoint=f"{server.origin}/token",
        code_challenge_methods_supported=("S256",),
    )
    resource = Resource(
        name="api",
        servers=(API,),
        allowed_origins=(API,),
        issuer=server.issuer,
        metadata=metadata,
        discover=False,
        scopes=SCOPES,
        registration=(Registration.OWN_PAPERS,),
        token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
    )
    return OAuthProvider(name="bench", display_name="Bench", resources=(resource,))


def compare(
    client: Client, field: Field, *, processes: int, threads: int, rounds: int
) -> tuple[list[Outcome], list[Outcome]]:
    """Return the outcomes of single refreshes and of herds, which took turns."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(processes)]
    workers = [context.Process(target=work, args=(client.prepare, far)) for _, far in pairs]
    pipes = [near for near, _ in pairs]
    for worker in workers:
        worker.start()
    try:
        field.herd([field.grant(client) for _ in pipes], pipes, 1)  # warms up
        singles, herds = [], []
        for _ in range(rounds):
            singles.append(field.herd([field.grant(client)], pipes[:1], 1))
            herds.append(field.herd([field.grant(client)] * processes, pipes, threads))
    finally:
        for pipe in pipes:
            pipe.send(None)
        for worker in workers:
            worker.join()
    return singles, herds


# --- the report ---------------------------------------------------------------
def median(outcomes: list[Outcome]) -> float:
    return statistics.median(outcome.seconds for outcome in outcomes)


def report(
    client: Client, singles: list[Outcome], herds: list[Outcome], requests_each: int
) -> None:
    """Print one client's line, with the worst herd's counts and the medians of the times."""
    refreshes = max(herd.refreshes for herd in herds)
    well = min(herd.well for herd in herds)
    reuses = sum(herd.reuses > 0 for herd in herds)
    single, herd = median(singles), median(herds)
    print(
        f"{client.name:36}{refreshes:>10}{f'{well} of {requests_each}':>12}"
        f"{f'{reuses} of {len(herds)}':>10}{single * 1000:>7.0f} ms{herd * 1000:>7.0f} ms"
        f"{herd / single:>7.2f}"
    )
    errors = sum((herd.errors for herd in herds), Counter[str]())
    for error, count in errors.most_common(3):
        print(f"    {count / len(herds):.0f} a herd got {error}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=16, help="of each process")
    parser.add_argument("--rounds", type=int, default=5, help="herds of each client")
    options = parser.parse_args()
    each = options.processes * options.threads
    print(
        f"{options.processes} processes x {options.threads} threads, {options.rounds} herds each\n"
    )
    print(
        f"{'':36}{'refreshes':>10}{'end well':>12}{'reuse in':>10}"
        f"{'single':>10}{'herd':>10}{'ratio':>7}"
    )
    with (
        AuthorizationServer(scopes=SCOPES) as server,
        tempfile.TemporaryDirectory(prefix="harbor-bench-") as home,
    ):
        field = Field(server, Path(home))
        for client in CLIENTS:
            if client.name is None:
                print(f"{' + '.join(client.distributions):36}{'not installed':>22}")
                continue
            singles, herds = compare(
                client,
                field,
                processes=options.processes,
                threads=options.threads,
                rounds=options.rounds,
            )
            report(client, singles, herds, each)
            if client.prepare is harbor:
                ours = singles, herds
    print()
    singles, herds = ours
    goals = {
        "harbor_oauth sends one refresh a herd": all(herd.refreshes == 1 for herd in herds),
        "all its requests end well": all(herd.well == each for herd in herds),
        "no refresh token is used twice": all(herd.reuses == 0 for herd in herds),
        "a herd takes at most twice a single refresh": median(herds) <= 2 * median(singles),
    }
    for goal, met in goals.items():
        print(f"{goal:48}{'met' if met else 'NOT met'}")


if __name__ == "__main__":
    main()
