"""Raw servers on loopback, their certificates, and what an error says of itself."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CANARY = "cnry-5f0c7d"
HOST = "idp.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script: TypeAlias = Callable[[socket.socket, threading.Event], None]


def says(octets: bytes) -> Script:
    """Answer with these octets."""
    return lambda connection, _: connection.sendall(octets)


FINE = says(OK)


@attrs.define(eq=False)
class Peer:
    """A server on 127.0.0.1 that keeps what it is sent and answers by script."""

    script: Script
    tls: ssl.SSLContext | None = None
    received: list[bytes] = attrs.field(factory=list)
    _stop: threading.Event = attrs.field(factory=threading.Event)
    _listener: socket.socket = attrs.field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.netloc}/token"

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):  # wakes the accept
            socket.create_connection(self._listener.getsockname(), 5).close()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            accepted, _ = self._listener.accept()
            accepted.settimeout(10)
            with accepted as connection, suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        if self.tls is None:
            self._answer(connection)
            return
        with self.tls.wrap_socket(connection, server_side=True) as secured:
            self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        if request := read_request(connection):
            self.received.append(request)
            self.script(connection, self._stop)


def read_request(connection: socket.socket) -> bytes:
    """Read one request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
        if data.startswith(b"\x16"):  # a TLS greeting, where none was expected
            break
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


MakePeer: TypeAlias = Callable[..., Peer]


def certificate(folder: Path, *names: str, days: int = 1) -> Path:
    """Write a self-signed certificate and its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if "127.0.0.1" in names else []
    hosts = [x509.DNSName(each) for each in names if each != "127.0.0.1"]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([*addresses, *hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def serving(path: Path) -> ssl.SSLContext:
    """Return a server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def shown(error: BaseException | None, seen: tuple[int, ...] = ()) -> str:
    """Return all that an error and whatever is linked to it say of themselves."""
    if error is None or id(error) in seen:
        return ""
    seen = (*seen, id(error))
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    linked = [error.__cause__, error.__context__, *vars(error).values(), *error.args]
    parts += [shown(each, seen) for each in linked if isinstance(each, BaseException)]
    return "\n".join(parts)


def tunnel(path: Path, inside: list[bytes]) -> Script:
    """Accept a CONNECT, then be the server at its other end."""

    def script(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with serving(path).wrap_socket(connection, server_side=True) as secured:
            inside.append(read_request(secured))
            secured.sendall(OK)

    return script
