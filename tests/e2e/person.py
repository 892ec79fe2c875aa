"""A person who agrees to everything, at a browser with cookies and forms but no scripts.

It stands in for Chromium where the server's side is under test: the pages of `oidc-provider`
and of `django-oauth-toolkit` work without scripts, and a visit takes milliseconds.
"""

from __future__ import annotations

import threading
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

import attrs
import requests

PAGES: Final = 20  # more than any way through the pages has
PATIENCE: Final = 30.0  # seconds for one page


class Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = given.get("action", "")
            self._inside = True
        elif tag == "input" and self._inside and "name" in given:
            self.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


@attrs.define(eq=False)
class Person:
    """Signs in and consents; `browser` is what `Harbor(browser=…)` takes.

    Attributes:
        pages: Each page that was seen, without its fragment.
        types: What goes into the fields of forms, by their names.
        leaves_out: Fields and buttons that are not sent.
    """

    pages: list[str] = attrs.field(factory=list)
    types: dict[str, str] = attrs.field(
        factory=lambda: {"login": "ada", "password": "any password does"}
    )
    leaves_out: frozenset[str] = frozenset()
    _visits: list[threading.Thread] = attrs.field(factory=list, init=False)

    def browser(self, url: str) -> bool:
        """Open a URL as `webbrowser.open` does: elsewhere, with True at once."""
        visit = threading.Thread(target=self.visit, args=(url,), daemon=True)
        self._visits.append(visit)
        visit.start()
        return True

    def leave(self) -> None:
        """Wait until every visit has ended."""
        for visit in self._visits:
            visit.join()

    def visit(self, url: str) -> str:
        """Go through the pages; return the last one's text."""
        with requests.Session() as session:
            session.trust_env = False
            page = session.get(url, timeout=PATIENCE)
            for _ in range(PAGES):
                self.pages.extend(urldefrag(seen.url).url for seen in (*page.history, page))
                form = Form(page.text)
                if form.action is None:
                    return page.text
                target = urljoin(page.url, form.action)
                assert urlsplit(target).hostname == "127.0.0.1", target
                typed = {name: self.types[name] for name in form.fields if name in self.types}
                sent = form.fields | typed
                for name in self.leaves_out:
                    sent.pop(name, None)
                page = session.post(target, sent, timeout=PATIENCE)
        raise AssertionError(f"no end after {PAGES} pages: {self.pages[-3:]}")
