"""`harbor client-metadata`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from harbor_oauth.fleet.client_metadata import make_document

Cli = Callable[..., Any]
URL = "https://app.example/oauth/client.json"


def test_the_document_is_printed(cli: Cli) -> None:
    """To be piped into the file that is served."""
    code, out, err = cli("client-metadata", URL, "--name", "Acmé")
    assert (code, err) == (0, "")
    assert out == make_document(URL, "Acmé")
    document = json.loads(out)
    assert (document["client_id"], document["client_name"]) == (URL, "Acmé")


def test_the_document_is_written(cli: Cli, tmp_path: Path) -> None:
    """What was printed is what is written, and the name has a default."""
    file = tmp_path / "client.json"
    code, out, err = cli("client-metadata", URL, "--output", str(file))
    assert (code, out) == (0, "")
    assert err == f"Wrote {file}; serve it at {URL}\n"
    assert file.read_text(encoding="utf-8") == make_document(URL, "Harbor")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ((), 2, "Missing argument"),
        (("http://app.example/c",), 1, "not a plain absolute https URL"),
        (("https://app.example/",), 1, "has no path"),
        (("--check", "https://app.example/a/../c"), 1, "dot segment"),
        (("--check", URL, "--output", "x"), 2, "--check writes nothing"),
        ((URL, "--output", "/no/such/folder/file"), 1, "No such file"),
    ],
)
def test_bad_input_is_answered(cli: Cli, argv: tuple[str, ...], code: int, message: str) -> None:
    """Before anything is asked of anybody."""
    got, out, err = cli("client-metadata", *argv)
    assert (got, out) == (code, "")
    assert message in err


def test_check(cli: Cli, httpserver: HTTPServer) -> None:
    """What is in order ends with 0; each finding is a line, and the end is 1."""
    url = httpserver.url_for("/client.json")
    page = httpserver.expect_request("/client.json")
    page.respond_with_data(make_document(url, "Acme"), content_type="application/json")
    assert cli("client-metadata", "--check", url) == (0, "", f"{url} is in order.\n")

    wrong = json.loads(make_document(url, "Acme")) | {"client_id": URL, "client_secret": "cnry"}
    page.respond_with_json(wrong, content_type="text/plain")
    code, out, err = cli("client-metadata", "--check", url)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f"{url}: it is served as text/plain",
        f"{url}: its client_id is not the URL it is served at",
        f"{url}: it has a client_secret",
    ]


def test_check_follows_no_redirect(cli: Cli, httpserver: HTTPServer) -> None:
    """An authorization server does not either."""
    httpserver.expect_request("/here").respond_with_data(
        status=302, headers={"Location": httpserver.url_for("/there")}
    )
    url = httpserver.url_for("/here")
    code, out, _ = cli("client-metadata", "--check", url)
    assert (code, out) == (1, f"{url}: it is answered with status 302, not 200\n")
    assert [request.path for request, _ in httpserver.log] == ["/here"]


def test_check_of_a_server_that_is_down(cli: Cli, httpserver: HTTPServer) -> None:
    """It says nothing about the document: try again."""
    url = httpserver.url_for("/client.json")
    httpserver.stop()
    code, out, _ = cli("client-metadata", "--check", url)
    assert (code, out) == (75, "")
    httpserver.start()
