"""What the kit sees of an import."""

from __future__ import annotations

from pathlib import Path

import pytest

from harbor_oauth.testing._provider_import import watch_import


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("code", "environment", "events", "clients"),
    [
        ("", (), (), ()),
        ("import attrs, json, base64, urllib.parse", (), (), ()),
        ("import os; os.environ.get('ACME_TOKEN')", ("ACME_TOKEN",), (), ()),
        ("import os; os.getenv('ACME_TOKEN')", ("ACME_TOKEN",), (), ()),
        ("import os; 'ACME_TOKEN' in os.environ", ("ACME_TOKEN",), (), ()),
        ("import os; dict.fromkeys(os.environ)", ("*",), (), ()),
        ("import os; os.environ.get('PYTHONPATH')", (), (), ()),
        ("import subprocess; subprocess.run(['true'])", ("PATH",), ("subprocess.Popen",), ()),
        ("open(__file__ + '.trace', 'w').close()", (), ("open to write",), ()),
        ("import http.client", (), (), ("http.client", "socket", "ssl")),
        ("import requests_oauthlib", (), None, None),
    ],
)
def test_what_is_seen(
    code: str,
    environment: tuple[str, ...],
    events: tuple[str, ...] | None,
    clients: tuple[str, ...] | None,
    site: Path,
) -> None:
    """Variables, sockets, processes, files to write, and modules that speak to a network."""
    (site / "imported_by_a_test.py").write_text(code)
    done = watch_import("imported_by_a_test")
    if clients is None:
        assert {"requests", "oauthlib", "urllib3"} <= set(done.clients)
        return
    assert set(done.environment) >= set(environment)
    assert (bool(done.environment), done.clients) == (bool(environment), clients)
    assert set(events or ()) <= set(done.events)
    assert bool(done.events) == bool(events)


def test_a_socket_is_seen(site: Path) -> None:
    """Whatever it is for."""
    (site / "imported_by_a_test.py").write_text("import socket; socket.socket().close()")
    assert "socket.__new__" in watch_import("imported_by_a_test").events


def test_an_import_that_fails_is_told(site: Path) -> None:
    """With its traceback."""
    (site / "imported_by_a_test.py").write_text("1 / 0")
    with pytest.raises(ImportError, match="ZeroDivisionError"):
        watch_import("imported_by_a_test")
