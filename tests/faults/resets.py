"""Answers that break off after every byte, and everything else a network does.

A proxy on the way cuts the token answer after n bytes, for every n, with a
reset or an orderly close; once, so that the second attempt gets through, or
every time. And some thirty other failures, from a name that does not resolve to
a page of a captive portal. None may change a stored byte or cost the sign-in.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import logging
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harbor_oauth.errors import HarborError, LoginRequiredError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing import AuthorizationServer, TcpProxy, answers
from harbor_oauth.tokens import TokenSource
from harbor_oauth.transport import RequestsTransport
from harbor_oauth.vault import MemoryKeySource, MemoryStorage, Vault
from tests.faults.ground import KEY, NAME, PATIENCE, Verdict, counts, sign_in, store_login

_ATTEMPTS: Final = 5


@attrs.define
class Clock:
    """A clock that sleeping moves; the server's and the client's."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Ground:
    """A server that lets a lost answer be asked for again, a proxy before it, a vault."""

    def __init__(self, server: AuthorizationServer, proxy: TcpProxy, clock: Clock) -> None:
        self.server = server
        self.proxy = proxy
        self.clock = clock
        self.vault = Vault(MemoryStorage(), MemoryKeySource())
        record = sign_in(server)
        through = attrs.evolve(record, token_endpoint=f"{proxy.origin}/token")
        store_login(self.vault, through)
        self.send: Callable[[HttpRequest], HttpResponse] = RequestsTransport(environ={})

    def row(self) -> tuple[bytes, int]:
        """Return the stored bytes as they are in the storage."""
        row = self.vault.storage.get(NAME)
        assert row is not None
        return row.sealed, row.generation

    def refresh(self, send: Callable[[HttpRequest], HttpResponse] | None = None) -> str:
        """Refresh in a new process's way, and return the token."""
        self.clock.now += 3600.0
        source = TokenSource(
            self.vault,
            send or self.send,
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
        )
        found = self.vault.grant(KEY)
        assert found is not None
        source.rejected(KEY, found[0].access_token)
        return source.token(KEY).reveal()

    def survive(self, when: str, verdict: Verdict) -> None:
        """Want the sign-in to work now that the network does."""
        # Within the server's half minute of grace: an hour later only a person helps.
        self.clock.now -= 3600.0
        try:
            verdict.want(self.server.valid(self.refresh()), f"{when}: then a dead token")
        except HarborError as error:
            verdict.want(goal=False, otherwise=f"{when}: then {type(error).__name__}: {error}")
        verdict.want(not self.server.reuse_events, f"{when}: a spent token was sent too late")


# --- cut answers ------------------------------------------------------------
def answer_length(ground: Ground) -> int:
    """Return how many bytes a token answer has, its header included."""
    low, high = 1, 4096
    while low < high:
        middle = (low + high) // 2
        ground.proxy.cut_after(middle)
        # A cut at the very end cuts nothing.
        whole = failure(ground.refresh) is None
        ground.proxy.forward()
        ground.survive("measuring", Verdict(""))
        low, high = (low, middle) if whole else (middle + 1, high)
    return low


def failure(call: Callable[[], str]) -> object:
    """Return the error of a call, or None."""
    try:
        call()
    except HarborError as error:
        return error
    return None


def cut(ground: Ground, n: int, verdict: Verdict, *, reset: bool, once: bool) -> None:
    """Cut the answer after n bytes, the first time or every time."""
    when = f"cut {'by reset' if reset else 'by close'} after {n}{' once' if once else ''}"
    before, asked = ground.row(), ground.server.count("token")
    ground.proxy.cut_after(n, reset=reset)

    def send(request: HttpRequest) -> HttpResponse:
        try:
            return ground.send(request)
        finally:
            if once:
                ground.proxy.forward()

    error = failure(lambda: ground.refresh(send))
    attempts = ground.server.count("token") - asked
    ground.proxy.forward()
    verdict.want(not isinstance(error, LoginRequiredError), f"{when}: {error}")
    if once:
        verdict.want(error is None, f"{when}: {error}")
    elif error is not None:
        verdict.want(ground.row() == before, f"{when}: stored bytes changed")
        verdict.want(1 < attempts <= _ATTEMPTS, f"{when}: {attempts} attempts")
    verdict.count("cut answers")
    ground.survive(when, verdict)


# --- other failures ---------------------------------------------------------
def with_answers(*each: answers.Answer) -> Callable[[Ground], Any]:
    """Return a failure that is what the server answers, however often it is asked."""

    @contextlib.contextmanager
    def failing(ground: Ground) -> Iterator[None]:
        ground.server.script("token", *(each * _ATTEMPTS))
        try:
            yield None
        finally:
            ground.server._scripts["token"].clear()  # some were not asked for

    return failing


def at(url: Callable[[], contextlib.AbstractContextManager[str]]) -> Callable[[Ground], Any]:
    """Return a failure in which requests go somewhere else."""

    @contextlib.contextmanager
    def failing(ground: Ground) -> Iterator[Callable[[HttpRequest], HttpResponse]]:
        with url() as elsewhere:
            yield lambda request: ground.send(attrs.evolve(request, url=elsewhere))

    return failing


@contextlib.contextmanager
def refused() -> Iterator[str]:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}/token"


@contextlib.contextmanager
def unresolved() -> Iterator[str]:
    """The name means nothing; no resolver outside is asked."""
    resolve = socket.getaddrinfo

    def fail(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = fail
    try:
        yield "https://auth.invalid/token"
    finally:
        socket.getaddrinfo = resolve


@contextlib.contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Whoever connects is talked to like this."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        talk(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/token"
        finally:
            over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            thread.join(PATIENCE)


def untrusted() -> contextlib.AbstractContextManager[str]:
    """A TLS server whose certificate nobody signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(certificate())
        context.load_cert_chain(file.name)

    def talk(connection: socket.socket) -> None:
        connection.settimeout(5)
        with context.wrap_socket(connection, server_side=True):
            pass

    return as_https(listening(talk))


def no_tls() -> contextlib.AbstractContextManager[str]:
    """A server that does not speak TLS at all."""
    return as_https(listening(says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")))


@contextlib.contextmanager
def as_https(server: contextlib.AbstractContextManager[str]) -> Iterator[str]:
    """Ask a server for TLS."""
    with server as url:
        yield url.replace("http:", "https:")


def certificate() -> bytes:
    """Return a key and a certificate of its own for 127.0.0.1, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem + built.public_bytes(serialization.Encoding.PEM)


def says(data: bytes) -> Callable[[socket.socket], None]:
    """Return what reads a request and says this."""

    def talk(connection: socket.socket) -> None:
        connection.settimeout(5)
        connection.recv(65536)
        connection.sendall(data)

    return talk


def silent(connection: socket.socket) -> None:
    """Say nothing until the client gives up."""
    connection.settimeout(5)
    while connection.recv(65536):
        pass


def impatient(failing: Callable[[Ground], Any]) -> Callable[[Ground], Any]:
    """Shorten the deadline of each attempt."""

    @contextlib.contextmanager
    def quick(ground: Ground) -> Iterator[Callable[[HttpRequest], HttpResponse]]:
        with failing(ground) as send:
            yield lambda request: send(attrs.evolve(request, timeout=0.1))

    return quick


def raw(data: bytes) -> Callable[[Ground], Any]:
    """Return a failure in which these bytes are the answer."""
    return at(lambda: listening(says(data)))


_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
_JSON: Final = b'{"access_token": "a", "token_type": "Bearer", "refresh_token": "r"}'

FAILURES: Final[dict[str, Callable[[Ground], Any]]] = {
    "500": with_answers(answers.status(500)),
    "502 with a page": with_answers(answers.html(status=502)),
    "503": with_answers(answers.status(503)),
    "503 with Retry-After": with_answers(answers.status(503, {"Retry-After": "7"})),
    "504": with_answers(answers.status(504)),
    "429 with Retry-After": with_answers(answers.status(429, {"Retry-After": "3"})),
    "429 with a date": with_answers(
        answers.status(429, {"Retry-After": "Fri, 15 Jan 2027 08:00:05 GMT"})
    ),
    "408": with_answers(answers.status(408)),
    "403 of a firewall": with_answers(answers.html(status=403)),
    "404": with_answers(answers.status(404)),
    "a captive portal's page": with_answers(answers.html()),
    "a captive portal's redirect": with_answers(answers.redirect(302, "http://127.0.0.1:9/")),
    "a redirect that keeps the body": with_answers(answers.redirect(307, "http://127.0.0.1:9/")),
    "an empty 200": with_answers(answers.status(200)),
    "204": with_answers(answers.status(204)),
    "an error of a framework": with_answers(answers.json({"error": "internal"}, 500)),
    "temporarily_unavailable": with_answers(
        answers.json({"error": "temporarily_unavailable"}, 400)
    ),
    "server_error": with_answers(answers.json({"error": "server_error"}, 400)),
    "a list": with_answers(answers.json([])),
    "an empty token": with_answers(answers.json({"access_token": "", "token_type": "Bearer"})),
    "no token type": with_answers(answers.json({"access_token": "a"})),
    "a token with a NUL": with_answers(
        answers.json({"access_token": "a\0b", "token_type": "Bearer"})
    ),
    "truncated JSON": with_answers(answers.json(_JSON[:-5])),
    "deep JSON": with_answers(answers.json(b'{"a":' * 5000 + b"1" + b"}" * 5000)),
    "NUL bytes": with_answers(answers.json(b"\0" * 100)),
    "an oversized answer": with_answers(answers.oversized(300_000)),
    "no answer": with_answers(answers.drop()),
    "garbage for gzip": raw(_OK + b"Content-Encoding: gzip\r\n\r\nnot gzip"),
    "a gzip bomb": raw(_OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b" " * 10_000_000)),
    "less than announced": raw(_OK + b"Content-Length: 999\r\n\r\n" + _JSON),
    "a huge header": raw(_OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n" + _JSON),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a time-out": impatient(at(lambda: listening(silent))),
    "a refused connection": at(refused),
    "a name that does not resolve": at(unresolved),
    "a certificate nobody trusts": at(untrusted),
    "no TLS": at(no_tls),
}


def fail(ground: Ground, name: str, verdict: Verdict) -> None:
    """Let one kind of failure happen to a refresh."""
    before = ground.row()
    with FAILURES[name](ground) as send:
        error = failure(lambda: ground.refresh(send))
    verdict.want(error is not None, f"{name}: no error")
    verdict.want(not isinstance(error, LoginRequiredError), f"{name}: {error}")
    verdict.want(ground.row() == before, f"{name}: stored bytes changed")
    verdict.count("kinds of failure")
    ground.survive(name, verdict)


def main(argv: Sequence[str] | None = None) -> int:
    """Cut at every byte, then fail in every other way."""
    options = counts(argv, __doc__, every=(1, 1), ways=(4, 2))
    logging.disable(logging.CRITICAL)
    verdict = Verdict("resets")
    clock = Clock()
    with AuthorizationServer(clock=clock, grace=30) as server:
        if options.ci:
            server.amend("token", scope=None, expires_in=None)  # the shortest answer
        port = int(server.origin.rpartition(":")[2])
        with TcpProxy("127.0.0.1", port) as proxy:
            ground = Ground(server, proxy, clock)
            for name in FAILURES:
                fail(ground, name, verdict)
            length = answer_length(ground)
            verdict.figures["bytes of the answer"] = length
            ways = [(True, False), (False, True), (False, False), (True, True)]
            for reset, once in ways[: options.ways]:
                for n in range(0, length + 1, options.every):
                    cut(ground, n, verdict, reset=reset, once=once)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
