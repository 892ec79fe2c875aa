"""`ProviderConformance`: sign-in, refresh and revocation, with doubles in the vendor's place."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    HarborError,
    IssuerMismatchError,
    LoginRequiredError,
    StateMismatchError,
)
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import Registration
from harbor_oauth.testing import answers
from harbor_oauth.testing._provider_answer_tests import account_answer
from harbor_oauth.testing._provider_checks import (
    FLEETING,
    can_be_revoked,
    check_token_request,
    nothing_happened,
    refreshed_twice,
    secret_is_sent_once,
    split,
)
from harbor_oauth.testing._provider_rehearsal import CANARY, Rehearsal, rehearsed
from harbor_oauth.testing._provider_subject import (
    ProviderTests,
    cannot_sign_in,
    gives_no_new_refresh_tokens,
    gives_no_refresh_tokens,
    has_no_url,
    unless,
)

__all__ = ["SignInTests"]


class SignInTests(ProviderTests):
    """A round trip, and what it must not show."""

    def _rehearsed(
        self, resource: str, home: Path, way: Registration | None = None, *, secret: bool = True
    ) -> AbstractContextManager[Rehearsal]:
        """Set the scene."""
        subject = self.subject
        return rehearsed(subject.provider, resource, subject.answers, home, way, secret=secret)

    # --- a round trip -------------------------------------------------------------

    @unless(cannot_sign_in)
    def test_sign_in(
        self,
        resource: str,
        way: Registration,
        secret: bool,  # noqa: FBT001 - a parameter of the test
        tmp_path: Path,
    ) -> None:
        """By each way to come by a client: URL, redirect, code, tokens, account."""
        with self._rehearsed(resource, tmp_path, way, secret=secret) as rehearsal:
            account = account_answer(self.subject, resource)
            rehearsal.script_account(account)
            with rehearsal.begin() as session:
                self._check_authorization(rehearsal, session.url)
                self._check_redirect(rehearsal, session.redirect_uri)
            record = rehearsal.sign_in()
            (request,) = rehearsal.asked("authorization_code")
            check_token_request(rehearsal, request)
            token = rehearsal.harbor.token(rehearsal.grant)
            assert rehearsal.vendor.valid(token.reveal()), "the access token is not the vendor's"
            if account is not None and rehearsal.resource.account is not None:
                assert record.account == account.expected["account"]

    def _check_authorization(self, rehearsal: Rehearsal, url: str) -> None:
        resource, parts = rehearsal.resource, urlsplit(url)
        sent = dict(parse_qsl(parts.query))
        if resource.metadata is not None:
            pinned = resource.metadata.authorization_endpoint or ""
            assert parts.path == urlsplit(pinned).path
        for name, value in resource.authorization_parameters.items():
            assert sent[name] == value
        if resource.scopes is not None:
            assert set(split(sent.get("scope"), resource.scope_separator)) == set(resource.scopes)
        for each in self.subject.recorded(resource.name, "authorization"):
            wanted = {
                name: value
                for name, value in parse_qsl(urlsplit(each.url).query)
                if name not in FLEETING
            }
            assert {name: sent.get(name) for name in wanted} == wanted, each.name

    def _check_redirect(self, rehearsal: Rehearsal, redirect_uri: str) -> None:
        rule, parts = rehearsal.resource.redirect, urlsplit(redirect_uri)
        if rule.paste:
            assert redirect_uri == rule.paste_uri
        else:
            assert (parts.scheme, parts.hostname, parts.path) == ("http", rule.host, "/callback")
            assert rule.ports == (0,) or parts.port in rule.ports

    @unless(cannot_sign_in)
    def test_denial(self, resource: str, tmp_path: Path) -> None:
        """A person who says no gets an error that says so, and nothing is stored."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            rehearsal.vendor.deny = True
            with rehearsal.begin() as session, pytest.raises(AuthorizationResponseError) as caught:
                rehearsal.answer(session)
            assert caught.value.error == "access_denied"
            nothing_happened(rehearsal)

    @unless(cannot_sign_in)
    def test_wrong_state(self, resource: str, tmp_path: Path) -> None:
        """An answer to another sign-in is refused before its code is used."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            with rehearsal.begin() as session, pytest.raises(StateMismatchError):
                rehearsal.answer(session, state="another")
            nothing_happened(rehearsal)

    @unless(cannot_sign_in)
    def test_wrong_issuer(self, resource: str, tmp_path: Path) -> None:
        """An answer of another authorization server is refused (RFC 9207 §2.4)."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            with rehearsal.begin() as session, pytest.raises(IssuerMismatchError):
                rehearsal.answer(session, iss="https://another.example")
            nothing_happened(rehearsal)

    @unless(cannot_sign_in, gives_no_refresh_tokens, gives_no_new_refresh_tokens)
    def test_refresh(self, resource: str, tmp_path: Path) -> None:
        """Twice, at the endpoint for it, each time with the newest refresh token."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            first = rehearsal.sign_in().refresh_token
            assert first is not None, "the refresh token was lost"
            sent = refreshed_twice(rehearsal)
            assert sent[0] == first.reveal()
            assert sent[1] != sent[0], "the new refresh token was not used"
            assert rehearsal.vendor.reuse_events == []

    @unless(cannot_sign_in, gives_no_refresh_tokens)
    def test_refresh_without_a_new_refresh_token(self, resource: str, tmp_path: Path) -> None:
        """The old one stays: twice, with the same (RFC 6749 §6)."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            rehearsal.vendor.rotate = False
            first = rehearsal.sign_in().refresh_token
            assert first is not None, "the refresh token was lost"
            assert refreshed_twice(rehearsal) == [first.reveal()] * 2

    @unless(cannot_sign_in, has_no_url)
    def test_a_401_is_followed_by_one_refresh(self, resource: str, tmp_path: Path) -> None:
        """The request is repeated with the new token, or a person is asked to sign in."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            where = rehearsal.server if rehearsal.resource.discover else rehearsal.vendor
            word = "mcp" if rehearsal.resource.discover else "unknown"
            record = rehearsal.sign_in()
            assert rehearsal.resource.url is not None
            before = len(where.requests)
            where.script(word, answers.status(401), answers.json({}))
            request = HttpRequest("POST", rehearsal.resource.url, {}, b"{}")
            if record.refresh_token is None:
                with pytest.raises(LoginRequiredError):
                    rehearsal.harbor.request(rehearsal.grant, request)
                return
            assert rehearsal.harbor.request(rehearsal.grant, request).status == 200  # noqa: PLR2004 - OK
            used = [
                each.headers["authorization"]
                for each in where.requests[before:]
                if each.endpoint == word
            ]
            assert len(set(used)) == 2, used  # noqa: PLR2004 - the old and the new
            assert len(rehearsal.asked("refresh_token")) == 1

    @unless(cannot_sign_in)
    def test_revocation(self, resource: str, tmp_path: Path) -> None:
        """The vendor is told in its way, or nobody is and the result says so."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            record = rehearsal.sign_in()
            before = len(rehearsal.vendor.requests)
            rehearsal.vendor.script("unknown", *[answers.json({"ok": True})] * 2)
            result = rehearsal.harbor.logout(rehearsal.grant)
            told = rehearsal.vendor.requests[before:]
            assert rehearsal.harbor.status() == ()
            secret_is_sent_once(rehearsal)
            if not can_be_revoked(rehearsal.resource.revocation, record):
                assert (told, result.revoked) == ([], False)
                return
            assert result.revoked, result.reason
            assert told, "nobody was told"
            own = {each.endpoint for each in told} == {"unknown"}
            assert own or rehearsal.vendor.revoked

    # --- secrets --------------------------------------------------------------------

    @unless(cannot_sign_in)
    def test_no_secret_is_shown(
        self, resource: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not in a log with everything switched on, a repr, an error or a URL."""
        caplog.set_level(logging.DEBUG)
        shown: list[str] = []
        with self._rehearsed(resource, tmp_path) as rehearsal:
            harbor, grant = rehearsal.harbor, rehearsal.grant

            def attempt(action: Callable[[], object]) -> None:
                try:
                    shown.append(repr(action()))
                except HarborError as error:
                    shown.extend(traceback.format_exception(error))

            attempt(rehearsal.sign_in)
            for answer in (
                answers.status(500),
                answers.json({"error": "invalid_request"}, 400),
                answers.json({"access_token": f"{CANARY}-no\ntoken", "token_type": "Bearer"}),
            ):
                rehearsal.vendor.script("token", answer)
                attempt(lambda: harbor.rejected(grant, harbor.token(grant)))
            attempt(lambda: (harbor.token(grant), harbor.status(), harbor.__dict__))
            attempt(lambda: harbor.logout(grant))
            urls = [
                f"{each.path}?{each.query_string}"
                for each in rehearsal.vendor.requests
                if each.endpoint != "authorize"
            ]
        shown += [*urls, *(record.getMessage() for record in caplog.records)]
        assert shown
        leaked = [line for line in shown if CANARY in line]
        assert leaked == []
