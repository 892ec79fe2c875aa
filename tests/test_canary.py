"""No secret is seen anywhere but in the vault's own, sealed files."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError
from harbor_oauth.providers import discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer, answers

CANARY = "cnry"
ACCEPT = {"Accept": "application/json, text/event-stream"}


def spellings(secret: str) -> Iterator[bytes]:
    """Yield a secret as it is and as it would look after common encodings."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield base64.b64encode(secret.encode()).rstrip(b"=")
    yield secret.encode("utf-16-le")
    yield secret.encode().hex().encode()


def secrets_of(harbor: Harbor) -> list[str]:
    return [
        secret.reveal()
        for key in harbor.vault.keys()  # noqa: SIM118 - a vault is no mapping
        if key.endswith((":access_token", ":refresh_token", ":client_secret", "plain"))
        and (secret := harbor.vault.get(key))
    ]


def test_the_whole_life_of_a_grant_shows_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Sign in, use, refresh, fail in eight ways, sign out: with root logging at DEBUG."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    known: set[str] = set()
    shown: list[str] = []
    caplog.set_level(logging.DEBUG)
    with AuthorizationServer(canary=CANARY) as issuer, McpServer(issuer) as mcp:
        environ = {
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "TMPDIR": str(elsewhere),
        }
        harbor = Harbor(
            home=home,
            environ=environ,
            browser=issuer.browser,
            providers={"practice": discovered_provider("practice", mcp.url)},
        )

        def attempt(action: Callable[[], object]) -> None:
            try:
                shown.append(repr(action()))
            except HarborError as error:
                shown.extend(traceback.format_exception(error))
                shown.extend((repr(error), str(error.__dict__), str(error.args)))

        harbor.vault.set("plain", f"{CANARY}-plain-value")
        attempt(lambda: harbor.login("practice"))
        known.update(secrets_of(harbor))
        with harbor.session("practice") as session:
            attempt(lambda: session.post(mcp.url, json={}, headers=ACCEPT, timeout=10))
            shown.append(repr(session.__dict__))
        for answer in (
            answers.status(500),
            answers.html(f"{CANARY}-in-a-page"),
            answers.json({"error": "invalid_request", "error_description": "no"}, 400),
            answers.redirect(307, f"{mcp.url}/?leak=1"),
            answers.json(b'{"access_token": "cnry-broken', 200),
            answers.json({"access_token": f"{CANARY}-with\nnewline", "token_type": "Bearer"}),
            answers.oversized(300_000),
            answers.drop(),
        ):
            issuer.script("token", answer)
            attempt(lambda: harbor.rejected("practice", harbor.token("practice")))
        attempt(lambda: harbor.rejected("practice", harbor.token("practice")))
        known.update(secrets_of(harbor))
        shown.append(repr((harbor.token("practice"), harbor.status(), harbor.__dict__)))
        shown.append(repr([harbor.vault.grant(key) for key in harbor.vault.grants()]))
        shown.append(repr(harbor.vault.__dict__))
        stored = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
        attempt(lambda: harbor.logout("practice"))
        harbor.close()
    codes = {request.form["code"] for request in issuer.requests if request.form.get("code")} | {
        request.form["code_verifier"]
        for request in issuer.requests
        if request.form.get("code_verifier")
    }
    assert len(known) >= 5
    assert codes
    assert caplog.records  # the HTTP client's own, at least
    shown.extend(str((record.getMessage(), record.args)) for record in caplog.records)
    captured = capfd.readouterr()
    text = "\n".join([*shown, captured.out, captured.err]).encode("utf-8", "surrogateescape")
    for secret in known | codes | {f"{CANARY}-in-a-page", f"{CANARY}-with", f"{CANARY}-broken"}:
        for spelling in spellings(secret):
            assert spelling not in text
            for path, content in stored.items():
                assert spelling not in content, path.name
    assert list(elsewhere.iterdir()) == []


def test_argv_and_children_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process signs in; what it starts sees the URL and no token, secret or key."""
    home, report = tmp_path / "home", tmp_path / "report"
    spy = tmp_path / "spy.py"
    spy.write_text(
        "import os, pathlib, sys, urllib.request\n"
        "parent = os.getppid()\n"
        "seen = [sys.argv, dict(os.environ)]\n"
        "for name in ('cmdline', 'environ'):\n"
        "    seen.append(pathlib.Path(f'/proc/{parent}/{name}').read_bytes())\n"
        f"pathlib.Path({str(report)!r}).write_text(repr(seen))\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
        "opener.open(sys.argv[1], timeout=20).read()\n"
    )
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("reads /proc, which this system lacks; run it on Linux")
    program = (
        "import sys, harbor_oauth\n"
        "from harbor_oauth.providers import discovered_provider\n"
        "harbor = harbor_oauth.Harbor("
        "providers={'practice': discovered_provider('practice', sys.argv[1])})\n"
        "harbor.vault.set('plain', sys.stdin.read())\n"
        "print(harbor.login('practice').state)\n"
    )
    with AuthorizationServer(canary=CANARY) as issuer, McpServer(issuer) as mcp:
        environ = {
            "PATH": os.environ["PATH"],
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "BROWSER": f"{sys.executable} {spy} %s",
        }
        done = subprocess.run(
            [sys.executable, "-c", program, mcp.url],
            env=environ,
            input=f"{CANARY}-plain-value",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        url = mcp.url
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "active", "")
    key = (home / "vault.key").read_text().strip()
    seen = report.read_text()
    assert url in seen
    assert CANARY not in seen
    assert key not in seen
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and p not in {spy, report}]
    assert all(path.is_relative_to(home) for path in outside)
