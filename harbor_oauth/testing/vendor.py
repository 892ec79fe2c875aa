"""A vendor at its own URLs, for what a plugin's tests have to say besides `ProviderConformance`.

The kit moves a provider to doubles on loopback; here nothing is moved and no
socket is used for a request, so that tests show the vendor's real addresses.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import OAuthProvider
from harbor_oauth.testing._clock import Clock
from harbor_oauth.testing._provider_answers import load_answers
from harbor_oauth.testing.rewriting import on_free_ports

__all__ = ["Vendor"]

_CODE: Final = "c0de"
_SOON: Final = 10.0
_LENGTH: Final = 43  # of 256 bits in base64url


class Vendor:
    """Stands at a vendor's own URLs: recorded answers go out, requests are kept.

    Example:
        >>> vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app")
        >>> def test_a_refresh(vendor):
        ...     vendor.play("api-token", "api-account", "api-refresh")
        ...     vendor.sign_in("acme/api")
        ...     vendor.clock.now += 3600
        ...     assert vendor.harbor.token("acme/api").reveal() == "recorded-access-2"
        ...     assert vendor.posted(TOKEN)[1]["refresh_token"] == "recorded-refresh"

    A URL gives its answers in turn, and the last one again and again; what has
    none is 404. Fixed redirect ports are exchanged for free ones.

    Args:
        provider: The plugin's provider.
        responses: The folder of recorded answers.
        home: An empty directory.
        client_id: A client of one's own, stored for the provider; None for none.
        client_secret: Its secret, if it has one.

    Attributes:
        harbor: A Harbor that reaches nothing else, with its vault in memory.
        clock: Its time, which stands still.
        requests: Everything that was sent, in order.
    """

    def __init__(
        self,
        provider: OAuthProvider,
        responses: Path,
        home: Path,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> None:
        """Set the scene; nothing is answered yet."""
        self.clock = Clock()
        self.requests: list[HttpRequest] = []
        self._recorded = {each.name: each for each in load_answers(responses, provider)}
        self._turns: defaultdict[str, deque[HttpResponse]] = defaultdict(deque)
        self._last: dict[str, HttpResponse] = {}
        self._challenges: set[str] = set()
        self.harbor = Harbor(
            home=home,
            environ={"HARBOR_VAULT": "memory"},
            transport=self,
            browser=_no_browser,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
            providers={provider.name: on_free_ports(provider)},
        )
        papers = {"client_id": client_id, "client_secret": client_secret}
        for name, value in papers.items():
            if value is not None:
                self.harbor.vault.set(f"oauth:{provider.name}:{name}", value)

    @classmethod
    def fixture(
        cls,
        provider: OAuthProvider,
        responses: Path,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> Callable[..., object]:
        """Make a pytest fixture that gives a `Vendor`; its name is that of the variable.

        Args:
            provider: The plugin's provider.
            responses: The folder of recorded answers.
            client_id: As for `Vendor`.
            client_secret: As for `Vendor`.
        """

        @pytest.fixture
        def vendor(tmp_path: Path) -> Iterator[Vendor]:
            papers = {"client_id": client_id, "client_secret": client_secret}
            with cls(provider, responses, tmp_path, **papers) as made:
                yield made

        return vendor

    def __enter__(self) -> Self:
        """Be ready already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the Harbor."""
        self.harbor.close()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Keep a request and give the answer whose turn it is: the Harbor's transport."""
        self.requests.append(request)
        if turns := self._turns[request.url]:
            self._last[request.url] = turns.popleft()
        return self._last.get(request.url) or HttpResponse(404, {}, b"", request.url)

    def play(self, *names: str, at: str = "") -> None:
        """Queue recorded answers, each at the URL that it came from.

        Args:
            names: The files' names, without ``.json``.
            at: Another URL, for what many servers answer alike.
        """
        for name in names:
            recorded = self._recorded[f"{name}.json"]
            url = at or recorded.url
            assert url, f"{recorded.name} does not say where it came from"
            self._turns[url].append(attrs.evolve(recorded.response(), url=url))

    def answer(self, url: str, body: object = None, status: int = 200) -> None:
        """Queue an answer that is not on record.

        Args:
            url: Where.
            body: A JSON value, or `bytes` to be sent as they are.
            status: The HTTP status.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        self._turns[url].append(HttpResponse(status, headers, content, url))

    def sign_in(self, grant: str) -> tuple[str, dict[str, str]]:
        """Consent as a person would, and bring the answer back.

        Args:
            grant: ``provider[/resource][@account]``.

        Returns:
            The authorization endpoint, and the parameters it was asked with but
            for ``state`` and ``code_challenge``, which no two sign-ins share.

        Raises:
            HarborError: The sign-in could not begin, or was not finished.
        """
        with self.harbor.begin_login(grant) as session:
            endpoint, _, query = session.url.partition("?")
            sent = dict(parse_qsl(query))
            state, challenge = sent.pop("state"), sent.pop("code_challenge")
            assert min(len(state), len(challenge)) >= _LENGTH
            self._challenges.add(challenge)
            answer = urlencode({"code": _CODE, "state": state})
            session.submit(f"{sent['redirect_uri']}?{answer}")
            session.wait(_SOON)
        return endpoint, sent

    def posted(self, url: str) -> list[dict[str, Any]]:
        """Return what was posted to a URL, forms and JSON alike, in order.

        The ``code_verifier`` of an exchange is left out: it is seen to fit its
        sign-in's challenge (RFC 7636 §4.6).
        """
        return [
            self._members(each)
            for each in self.requests
            if (each.method, each.url) == ("POST", url)
        ]

    def _members(self, request: HttpRequest) -> dict[str, Any]:
        body = (request.body or b"").decode()
        members: dict[str, Any] = json.loads(body) if body[:1] == "{" else dict(parse_qsl(body))
        if members.get("grant_type") == "authorization_code":
            digest = hashlib.sha256(members.pop("code_verifier").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            assert challenge in self._challenges, "the code verifier is of no sign-in"
        return members


def _no_browser(url: str) -> bool:
    raise AssertionError(f"a browser was to open {url.partition('?')[0]}: use Vendor.sign_in")
