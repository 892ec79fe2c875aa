"""The answers: constants with strict fields and nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
import re
from http import HTTPStatus

import pytest

from harbor_oauth.receiver import page

PAGES = {"done": page.DONE, "failed": page.FAILED, "stray": page.STRAY}
OTHERS = {
    "redirect": page.see_other("/done"),
    "prefetch": page.NO_CONTENT,
    **{
        str(status.value): page.refusal(status, head=False)
        for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED)
    },
}


def split(response: bytes) -> tuple[str, dict[str, str], str]:
    """Return status line, fields and body."""
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines)
    return first, fields, body.decode()


@pytest.mark.parametrize("response", (PAGES | OTHERS).values(), ids=PAGES | OTHERS)
def test_every_answer_has_the_strict_fields(response: bytes) -> None:
    """Nothing is kept, sniffed, framed, referred to or run."""
    _, fields, _ = split(response)
    policy = fields.pop("Content-Security-Policy")
    assert re.sub("sha256-[^']+", "sha256-…", policy) == (
        "default-src 'none'; style-src 'sha256-…'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
    for name in ("Content-Length", "Content-Type", "Location", "Allow"):
        fields.pop(name, None)
    assert fields == {
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Connection": "close",
    }


@pytest.mark.parametrize("response", (PAGES | OTHERS).values(), ids=PAGES | OTHERS)
def test_the_length_is_the_body_s(response: bytes) -> None:
    """A 204 has neither (RFC 9110 §8.6)."""
    status, fields, body = split(response)
    if " 204 " in status:
        assert ("Content-Length" in fields, body) == (False, "")
    else:
        assert int(fields["Content-Length"]) == len(body.encode())


@pytest.mark.parametrize("response", PAGES.values(), ids=PAGES)
def test_a_page_needs_nothing_but_its_allowed_style(response: bytes) -> None:
    """No URL, script, link or image; the policy's digest is the style sheet's."""
    _, fields, body = split(response)
    style = re.search("<style>(.*)</style>", body, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in fields["Content-Security-Policy"]
    assert not re.search(r"//|\burl\(|@import|<(script|link|img|a|form|iframe|base)\b", body)
    assert not re.search(r"\b(style|on\w+|href|src)=", body)


@pytest.mark.parametrize("response", PAGES.values(), ids=PAGES)
def test_a_page_suits_light_and_dark_and_says_where_to_go(response: bytes) -> None:
    """It names a language, follows the system's colours and points back."""
    _, fields, body = split(response)
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in body
    assert "prefers-color-scheme: dark" in body
    assert re.search("go back to your terminal or application", body, re.IGNORECASE)


def test_the_redirect_has_no_body() -> None:
    """It only takes the code out of the address bar."""
    status, fields, body = split(page.see_other("/done"))
    assert (status, fields["Location"], body) == ("HTTP/1.1 303 See Other", "/done", "")
