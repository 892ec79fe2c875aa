"""Processes that need a new token at the same moment, at a server that forgives nothing.

The server rotates refresh tokens without grace and revokes the whole family
when a spent one comes again. In each round every process asks at once: by turns
because the token has ended, and because a resource server refused it.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import attrs

from harbor_oauth.errors import HarborError
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.tokens import TokenSource
from harbor_oauth.transport import RequestsTransport
from tests.faults.ground import KEY, PATIENCE, Verdict, counts, sign_in, store_login, vault_in

_FORK = multiprocessing.get_context("fork")


@attrs.frozen
class Worker:
    """A process, and the line to it."""

    process: ForkProcess
    line: Connection


def work(home: Path, line: Connection, clock: Synchronized[float], together: Barrier) -> None:
    """Do what the line says until it says nothing."""

    def now() -> float:
        return clock.value

    vault = vault_in(home)
    source = TokenSource(vault, RequestsTransport(environ={}), clock=now, monotonic=now)
    while task := line.recv():
        kind, old = task
        if kind == "cold":
            vault.close()
            vault = vault_in(home)
            source = TokenSource(vault, RequestsTransport(environ={}), clock=now, monotonic=now)
        together.wait(PATIENCE)
        try:
            if kind == "rejected":
                source.rejected(KEY, Secret(old))
            line.send(("token", source.token(KEY).reveal()))
        except HarborError as error:
            line.send((type(error).__name__, str(error)))
    vault.close()


def start(number: int, home: Path, clock: Synchronized[float]) -> list[Worker]:
    """Start processes; before the server's threads exist, so that a fork copies none."""
    together = _FORK.Barrier(number)
    workers = []
    for _ in range(number):
        here, there = _FORK.Pipe()
        process = _FORK.Process(target=work, args=(home, there, clock, together), daemon=True)
        process.start()
        there.close()
        workers.append(Worker(process, here))
    return workers


def ask(workers: Sequence[Worker], task: object) -> list[tuple[str, str]]:
    """Give all workers a task at once and return their answers; fewer is a deadlock."""
    for worker in workers:
        worker.line.send(task)
    waiting = {worker.line for worker in workers}
    answers = []
    while waiting and (ready := wait(list(waiting), timeout=PATIENCE)):
        for line in ready:
            assert isinstance(line, Connection)
            waiting.discard(line)
            try:
                answers.append(line.recv())
            except EOFError:
                answers.append(("died", "a worker ended"))
    return answers


def end(workers: Sequence[Worker]) -> None:
    """End the workers."""
    for worker in workers:
        worker.line.send(None)
        worker.process.join(10)
        if worker.process.is_alive():
            worker.process.kill()
        worker.line.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rounds, then one with many processes."""
    options = counts(argv, __doc__, processes=(8, 8), rounds=(300, 30), crowd=(50, 50))
    verdict = Verdict("races")
    clock = _FORK.Value("d", 1_800_000_000.0)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        few = start(options.processes, home, clock)
        many = start(options.crowd, home, clock)
        try:
            with AuthorizationServer(clock=lambda: clock.value) as server:
                first = sign_in(server)
                store_login(vault_in(home), first)
                run(server, few, clock, options.rounds, verdict)
                crowded(server, many, clock, verdict)
        finally:
            end([*few, *many])
    return verdict.tell()


def run(
    server: AuthorizationServer,
    workers: Sequence[Worker],
    clock: Synchronized[float],
    rounds: int,
    verdict: Verdict,
) -> None:
    """Let all workers ask at once, again and again."""
    verdict.figures |= {"processes": len(workers), "rounds": rounds}
    token = ""
    for number in range(rounds):
        kind = ("token", "rejected", "cold", "rejected")[number % 4] if number else "token"
        # A 401 forces one refresh a minute; an hour ends the token.
        clock.value += 61.0 if kind == "rejected" else 3600.0
        before = server.count("token", grant_type="refresh_token")
        answers = ask(workers, (kind, token))
        judge(server, answers, len(workers), before, f"round {number} ({kind})", verdict)
        token = answers[0][1] if answers else ""
    verdict.figures["refreshes"] = server.count("token", grant_type="refresh_token")
    verdict.figures["reuse events"] = len(server.reuse_events)


def crowded(
    server: AuthorizationServer,
    workers: Sequence[Worker],
    clock: Synchronized[float],
    verdict: Verdict,
) -> None:
    """Let many processes that have opened nothing yet ask at once, once."""
    clock.value += 3600.0
    before = server.count("token", grant_type="refresh_token")
    answers = ask(workers, ("token", ""))
    judge(server, answers, len(workers), before, "the crowd", verdict)
    verdict.figures["crowd"] = len(workers)
    verdict.figures["crowd's refreshes"] = (
        server.count("token", grant_type="refresh_token") - before
    )


def judge(
    server: AuthorizationServer,
    answers: Sequence[tuple[str, str]],
    wanted: int,
    before: int,
    when: str,
    verdict: Verdict,
) -> None:
    """Hold one round to its goals."""
    for kind, text in answers:
        if kind != "token":
            verdict.count("forced logins" if kind == "LoginRequiredError" else "errors")
            verdict.want(goal=False, otherwise=f"{when}: {kind}: {text}")
    verdict.want(len(answers) == wanted, f"{when}: {wanted - len(answers)} never answered")
    tokens = {text for kind, text in answers if kind == "token"}
    verdict.want(len(tokens) == 1, f"{when}: {len(tokens)} different tokens")
    verdict.want(all(map(server.valid, tokens)), f"{when}: a token that is not valid")
    asked = server.count("token", grant_type="refresh_token") - before
    verdict.want(asked == 1, f"{when}: {asked} refreshes")
    verdict.want(not server.reuse_events, f"{when}: a spent token was sent")


if __name__ == "__main__":
    sys.exit(main())
