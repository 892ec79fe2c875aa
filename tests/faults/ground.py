"""What the fault programs share: counts, a verdict, a grant, a vault, workers, a model server.

Each program is run from the root of the source tree, `python -m tests.faults.NAME`,
prints one line of figures and ends with 1 if a goal was missed.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random  # noqa: TID251 - repeatable faults, not security
import signal
import sys
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs

from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.vault import GrantKey, GrantRecord, Vault, grant_record_name, open_vault

__all__ = [
    "KEY",
    "NAME",
    "PATIENCE",
    "Child",
    "ModelServer",
    "Verdict",
    "counts",
    "fork",
    "pair_of",
    "record_of",
    "seeded",
    "sign_in",
    "store_login",
    "vault_in",
]

KEY: Final = GrantKey("practice", "api", "default")
NAME: Final = grant_record_name(KEY)
PATIENCE: Final = 120.0
"""Seconds after which a program calls a deadlock what has not ended."""


# --- counts and verdict -----------------------------------------------------
def counts(
    argv: Sequence[str] | None, description: str | None, **each: tuple[int, int]
) -> argparse.Namespace:
    """Read the command line of a program.

    Args:
        argv: Its arguments; None for the process's own.
        description: What it does; the first line counts.
        **each: The name of each count, with its number in full and for CI.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--ci", action="store_true", help="the small counts")
    parser.add_argument("--seed", type=int, default=1)
    for name, (full, ci) in each.items():
        parser.add_argument(f"--{name}", type=int, help=f"{full}, with --ci {ci}")
    options = parser.parse_args(argv)
    for name, (full, ci) in each.items():
        if getattr(options, name) is None:
            setattr(options, name, ci if options.ci else full)
    return options


class Verdict:
    """Figures, and the goals that were missed."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._missed: list[str] = []
        self.figures: dict[str, object] = {}

    def want(self, goal: object, otherwise: str) -> None:
        """Note a goal that was missed."""
        if not goal:
            self._missed.append(otherwise)

    def count(self, figure: str, by: int = 1) -> None:
        """Add to a figure."""
        old = self.figures.get(figure, 0)
        assert isinstance(old, int)
        self.figures[figure] = old + by

    def tell(self) -> int:
        """Print the line and return the exit code."""
        told = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        say(f"{self._program}: {'MISSED' if self._missed else 'ok'}: {told}")
        for missed in self._missed[:20]:
            say(f"  {missed}")
        return 1 if self._missed else 0


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def seeded(seed: int) -> random.Random:
    """Return numbers that are the same in every run."""
    return random.Random(seed)  # noqa: S311 - as above


# --- a grant ----------------------------------------------------------------
def record_of(
    pair: tuple[str, str], *, origin: str = "http://127.0.0.1:9", client_id: str = "client"
) -> GrantRecord:
    """Return a grant of an hour from 1 800 000 000 on, with an access and a refresh token."""
    return GrantRecord(
        provider=KEY.provider,
        resource_name=KEY.resource,
        account_label=KEY.account,
        issuer=origin,
        token_endpoint=f"{origin}/token",
        revocation_endpoint=f"{origin}/revoke",
        client_id=client_id,
        token_endpoint_auth_method="none",
        redirect_uri="http://127.0.0.1/callback",
        allowed_origins=(origin,),
        access_token=Secret(pair[0]),
        refresh_token=Secret(pair[1]),
        obtained_at=1_800_000_000.0,
        expires_at=1_800_003_600.0,
    )


def pair_of(record: GrantRecord) -> tuple[str, str]:
    """Return a grant's access and refresh token."""
    return record.access_token.reveal(), (record.refresh_token or Secret("")).reveal()


def sign_in(server: AuthorizationServer) -> GrantRecord:
    """Sign in at a double as a browser and a client would, and return the grant."""
    client = server.add_client()
    verifier = "v" * 64
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uris[0],
        "state": "state",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    headers, _ = _exchange(server.origin, "GET", f"/authorize?{urlencode(asked)}")
    redeemed = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(headers["location"]).query)["code"][0],
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uris[0],
        "code_verifier": verifier,
    }
    _, body = _exchange(server.origin, "POST", "/token", urlencode(redeemed))
    answer = json.loads(body)
    pair = answer["access_token"], answer["refresh_token"]
    return record_of(pair, origin=server.origin, client_id=client.client_id)


def _exchange(
    origin: str, method: str, target: str, body: str | None = None
) -> tuple[Mapping[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=30)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, target, body, {**form, "Connection": "close"})
        with connection.getresponse() as answer:
            return {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# --- a vault ----------------------------------------------------------------
def vault_in(home: Path) -> Vault:
    """Return the vault of a directory, whose key is in a file beside it."""
    return open_vault(home, choice="keyfile", key_file=home / "vault.key")


def store_login(vault: Vault, record: GrantRecord) -> None:
    """Store a grant over whatever is there, as a sign-in does."""
    vault.store_grant(KEY, record, generation=vault.grant_generation(KEY))


# --- workers ----------------------------------------------------------------
@attrs.frozen
class Child:
    """A forked worker."""

    pid: int
    _pipe: int

    def kill(self) -> None:
        """End it with no chance to do anything."""
        os.kill(self.pid, signal.SIGKILL)

    def result(self) -> Any:
        """Wait for it; return what its work returned, or None if it was killed."""
        with os.fdopen(self._pipe, "rb") as pipe:
            data = pipe.read()
        os.waitpid(self.pid, 0)
        return json.loads(data) if data else None


def fork(work: Callable[[], object]) -> Child:
    """Do work in a child; what it returns comes back as JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    code = 1
    try:
        os.close(reading)
        data = json.dumps(work()).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)
        code = 0
    except BaseException:  # noqa: BLE001 - told here, for the child ends without a word
        traceback.print_exc()
    finally:
        os._exit(code)


# --- a server ---------------------------------------------------------------
class ModelServer:
    """A strict token endpoint as a transport, without a network: one grant, no grace.

    A revocation ends the token it names and nothing else, so that a pair that
    nobody revoked stays visible as one that still works.
    """

    def __init__(self, *, expires_in: object = 3600, reuse_revokes: bool = False) -> None:
        self.expires_in = expires_in
        self.reuse_revokes = reuse_revokes
        self.pairs: list[tuple[str, str]] = []
        self.live: set[str] = set()
        self.refreshes = 0
        self.reuses = 0
        self.refused = 0

    def issue(self) -> tuple[str, str]:
        """Return a new access and refresh token, as a sign-in gets them."""
        number = len(self.pairs)
        pair = f"access-{number}", f"refresh-{number}"
        self.pairs.append(pair)
        self.live.update(pair)
        return pair

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a token or a revocation request."""
        form = {k: v[0] for k, v in parse_qs((request.body or b"").decode()).items()}
        if request.url.endswith("/revoke"):
            self.live.discard(form["token"])
            return HttpResponse(200, {}, b"", request.url)
        self.refreshes += 1
        spent = form["refresh_token"]
        if spent not in self.live:
            return self._refuse(spent, request.url)
        self.live.difference_update(next(pair for pair in self.pairs if pair[1] == spent))
        access, refresh = self.issue()
        members = {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        if self.expires_in is None:
            del members["expires_in"]
        return _json(200, members, request.url)

    def _refuse(self, spent: str, url: str) -> HttpResponse:
        self.refused += 1
        if any(spent == refresh for _, refresh in self.pairs):
            self.reuses += 1
            if self.reuse_revokes:
                self.live.clear()
        return _json(400, {"error": "invalid_grant"}, url)


def _json(status: int, members: Mapping[str, object], url: str) -> HttpResponse:
    # Python writes NaN as NaN, as careless servers do.
    return HttpResponse(
        status, {"content-type": "application/json"}, json.dumps(members).encode(), url
    )
