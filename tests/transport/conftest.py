"""Peers that end with the test, and no environment but the test's own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.peers import FINE, HOST, MakePeer, Peer, Script, certificate


@pytest.fixture
def peer() -> Iterator[MakePeer]:
    """Make peers that end with the test, and the threads that wait for them too."""
    peers: list[Peer] = []

    def make(script: Script = FINE, tls: ssl.SSLContext | None = None) -> Peer:
        peers.append(Peer(script, tls))
        return peers[-1]

    yield make
    for each in peers:
        each.close()
    for thread in threading.enumerate():
        if thread.name == "harbor-http":
            thread.join(10)


@pytest.fixture
def refused() -> str:
    """Return a URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/token"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """Return a certificate for the loopback address and for HOST."""
    return certificate(tmp_path, "127.0.0.1", HOST)
