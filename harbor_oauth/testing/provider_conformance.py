"""What every provider is held to.

Subclass `ProviderConformance`, say which provider and where the vendor's
recorded answers are, and run it with pytest::

    class TestAcme(ProviderConformance):
        provider = PROVIDER
        responses = Path(__file__).parent / "responses"

The files are described in `harbor_oauth.testing._provider_answers`. No request
leaves the machine: the vendor is played by the doubles of this package, with
the paths, habits and recorded answers of the vendor's.
"""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.errors import (
    AuthorizationResponseError,
    HarborError,
    IssuerMismatchError,
    LoginRequiredError,
    StateMismatchError,
)
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import (
    OAuthProvider,
    Provider,
    Registration,
)
from harbor_oauth.registry import Registry
from harbor_oauth.testing import _provider_faults as faults
from harbor_oauth.testing import answers
from harbor_oauth.testing._provider_answers import (
    RecordedAnswer,
    load_answers,
    outcome,
)
from harbor_oauth.testing._provider_checks import (
    EXAMPLES,
    FLEETING,
    can_be_revoked,
    check_quirks,
    check_token_request,
    nothing_happened,
    objects,
    reads_alike,
    refreshed_twice,
    secret_is_sent_once,
    split,
)
from harbor_oauth.testing._provider_import import watch_import
from harbor_oauth.testing._provider_rehearsal import CANARY, Rehearsal, rehearsed, ways_of

__all__ = ["ProviderConformance"]


class ProviderConformance:
    """The contract of a provider's plugin, as tests.

    Attributes:
        provider: The provider, or its entry point's name.
        responses: The folder of recorded answers.
        without_s256: Why the pinned metadata of a resource does not name S256,
            by the resource's name.
    """

    provider: ClassVar[Provider | str]
    responses: ClassVar[Path]
    without_s256: ClassVar[Mapping[str, str]] = {}

    # --- what the tests are about -------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat the tests for each resource, way to come by a client, and recorded answer."""
        provider, names = self._provider(), set(metafunc.fixturenames)
        if "way" in names:
            ways = [(each.name, *way) for each in provider.resources for way in ways_of(each)]
            ids = [
                f"{name}-{way.value}{'' if secret else ', public'}" for name, way, secret in ways
            ]
            metafunc.parametrize(("resource", "way", "secret"), ways, ids=ids)
        elif "resource" in names:
            metafunc.parametrize("resource", [each.name for each in provider.resources])
        if "recorded" in names:
            told = [each for each in self._recorded() if each.kind != "authorization"]
            metafunc.parametrize("recorded", told, ids=[each.name for each in told])

    def _provider(self) -> OAuthProvider:
        found = self.provider
        provider = Registry().provider(found) if isinstance(found, str) else found
        assert isinstance(provider, OAuthProvider), "the kit knows providers made of data only"
        return provider

    def _recorded(self, resource: str = "", *kinds: str) -> list[RecordedAnswer]:
        return [
            each
            for each in load_answers(self.responses, self._provider())
            if resource in ("", each.resource) and (not kinds or each.kind in kinds)
        ]

    def _rehearsed(
        self, resource: str, home: Path, way: Registration | None = None, *, secret: bool = True
    ) -> AbstractContextManager[Rehearsal]:
        """Set the scene; a provider whose data is faulty is not tried."""
        provider = self._provider()
        if faults.data_faults(provider, self.without_s256):
            pytest.skip("the provider's data has faults, which other tests name")
        if resource in self.without_s256:
            issuer = provider.resource(resource)
            pytest.skip(f"no sign-in without S256: {self.without_s256[issuer.name]}")
        return rehearsed(provider, resource, self._recorded(), home, way, secret=secret)

    # --- the registration ---------------------------------------------------------

    def test_one_distribution_offers_it(self) -> None:
        """Exactly one installed distribution has the entry point, and it names this object."""
        provider, registry = self._provider(), Registry()
        offered = [each for each in registry.installed() if each.name == provider.name]
        assert offered, f"no installed distribution offers {provider.name!r}: install the plugin"
        assert len(offered) == 1, f"more than one: {[each.distribution for each in offered]}"
        assert registry.provider(provider.name) is offered[0].entry_point.load()
        assert registry.provider(provider.name) == provider
        assert provider.name in offered[0].distribution

    def test_importing_it_touches_nothing(self) -> None:
        """No socket, no process, no file, no environment variable, no HTTP client."""
        claim = Registry().claim(self._provider().name)
        assert claim is not None, "no installed distribution offers it: install the plugin"
        done = watch_import(claim.entry_point.module)
        assert done.events == ()
        assert done.environment == ()
        assert done.clients == ()

    # --- the data -----------------------------------------------------------------

    def test_it_is_frozen(self) -> None:
        """Nobody can change the provider, or a part of it, at run time."""
        provider = self._provider()
        parts: list[Any] = [provider, *provider.native_servers, *provider.resources]
        for resource in provider.resources:
            parts += [resource.redirect, resource.revocation, resource.quirks, resource.metadata]
        for part in filter(None, parts):
            name = attrs.fields(type(part))[0].name
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(part, name, getattr(part, name))

    def test_its_names_are_legal(self) -> None:
        """The provider's, its resources' and its servers', and what they refer to."""
        _none(faults.name_faults(self._provider()))

    def test_its_urls_are_https(self) -> None:
        """Every one, also those of the requests it builds, which have no token in them."""
        _none(faults.url_faults(self._provider()))

    def test_its_origins_cover_its_servers(self) -> None:
        """A token goes where its resource says, and nowhere else."""
        _none(faults.origin_faults(self._provider()))

    def test_it_asks_for_s256(self) -> None:
        """Pinned metadata names it, or the test says why not."""
        _none(faults.pkce_faults(self._provider(), self.without_s256))

    def test_its_scopes_can_be_joined(self) -> None:
        """Legal characters, a legal separator, none that holds the other (RFC 6749 §3.3)."""
        _none(faults.scope_faults(self._provider()))

    def test_it_says_how_to_come_by_a_client(self) -> None:
        """Where an app of one's own is the only way, the steps and redirect URIs are there."""
        _none(faults.registration_faults(self._provider()))

    def test_its_constants_fit_each_other(self) -> None:
        """Encoding, client authentication, redirect rule, pinned endpoints."""
        _none(faults.constant_faults(self._provider()))

    # --- recorded answers ---------------------------------------------------------

    def test_its_answers_are_recorded(self, resource: str) -> None:
        """A token answer, and the account look-up's, unless one of a resource like it is."""
        data = self._provider().resource(resource)
        token = any(
            each.kind == "token" and reads_alike(self._provider().resource(each.resource), data)
            for each in self._recorded()
        )
        assert token, f"no recorded token answer of {resource} in {self.responses}"
        if data.account is not None:
            assert self._account_answer(resource), f"no recorded account answer of {resource}"

    def _account_answer(self, resource: str) -> RecordedAnswer | None:
        """Return an answer to the account look-up: the resource's, or one to the same look-up."""
        provider = self._provider()
        lookup = provider.resource(resource).account
        found = [
            each
            for each in self._recorded("", "account")
            if provider.resource(each.resource).account == lookup
        ]
        return next(iter(found), None)

    def test_its_endpoints_are_the_recorded_ones(self, resource: str) -> None:
        """Two people spelled each pinned endpoint, or one person did twice."""
        data = self._provider().resource(resource)
        if data.metadata is None:
            pytest.skip("its endpoints are discovered")
        pinned = {
            "token": data.metadata.token_endpoint,
            "refresh": data.refresh_endpoint or data.metadata.token_endpoint,
            "authorization": data.metadata.authorization_endpoint,
        }
        for each in self._recorded(resource, *pinned):
            endpoint, url = pinned[each.kind], each.url.partition("?")[0]
            assert url, f"{each.name} does not say where it came from"
            assert url == endpoint, f"{each.name} came from {url}, not from {endpoint}"

    def test_recorded_answer(self, recorded: RecordedAnswer) -> None:
        """The library reads what the file expects, through the plugin's functions."""
        found = outcome(self._provider().resource(recorded.resource), recorded)
        assert recorded.expected, f"{recorded.name} expects nothing"
        read = {name: found.get(name) for name in recorded.expected}
        assert read == recorded.expected, f"{recorded.name}: {found}"

    # --- quirks -------------------------------------------------------------------

    def test_its_quirks_change_nothing(self, resource: str) -> None:
        """What they are given is afterwards what it was."""
        quirks = self._provider().resource(resource).quirks
        for members in self._bodies(resource):
            for quirk in filter(None, (quirks.token_response, quirks.account)):
                before = copy.deepcopy(members)
                quirk(members)
                assert members == before, f"{quirk} changed its argument"

    def test_its_quirks_are_total(self, resource: str) -> None:
        """Whatever JSON object a server sends, only the library's own errors come of it."""
        data = self._provider().resource(resource)
        if data.quirks == type(data.quirks)():
            pytest.skip("it has none")

        @EXAMPLES
        @given(objects(self._bodies(resource)), st.sampled_from((200, 201, 400, 401, 403, 500)))
        def check(members: dict[str, Any], status: int) -> None:
            check_quirks(data, members, status)

        check()

    def _bodies(self, resource: str) -> list[dict[str, Any]]:
        recorded = self._recorded(resource)
        return [copy.deepcopy(each.body) for each in recorded if isinstance(each.body, dict)]

    # --- a round trip -------------------------------------------------------------

    def test_sign_in(
        self,
        resource: str,
        way: Registration,
        secret: bool,  # noqa: FBT001 - a parameter of the test
        tmp_path: Path,
    ) -> None:
        """By each way to come by a client: URL, redirect, code, tokens, account."""
        with self._rehearsed(resource, tmp_path, way, secret=secret) as rehearsal:
            account = self._account_answer(resource)
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
        for each in self._recorded(resource.name, "authorization"):
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

    def test_denial(self, resource: str, tmp_path: Path) -> None:
        """A person who says no gets an error that says so, and nothing is stored."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            rehearsal.vendor.deny = True
            with rehearsal.begin() as session, pytest.raises(AuthorizationResponseError) as caught:
                rehearsal.answer(session)
            assert caught.value.error == "access_denied"
            nothing_happened(rehearsal)

    def test_wrong_state(self, resource: str, tmp_path: Path) -> None:
        """An answer to another sign-in is refused before its code is used."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            with rehearsal.begin() as session, pytest.raises(StateMismatchError):
                rehearsal.answer(session, state="another")
            nothing_happened(rehearsal)

    def test_wrong_issuer(self, resource: str, tmp_path: Path) -> None:
        """An answer of another authorization server is refused (RFC 9207 §2.4)."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            with rehearsal.begin() as session, pytest.raises(IssuerMismatchError):
                rehearsal.answer(session, iss="https://another.example")
            nothing_happened(rehearsal)

    def test_refresh(self, resource: str, tmp_path: Path) -> None:
        """Twice, at the endpoint for it, each time with the newest refresh token."""
        rotates = self._provider().resource(resource).rotates
        with self._rehearsed(resource, tmp_path) as rehearsal:
            recorded = rehearsal.vendor.template("refresh")
            if rotates is False or (recorded and recorded.token("refresh_token") is None):
                pytest.skip("it gives no new refresh tokens")
            first = rehearsal.sign_in().refresh_token
            if first is None:
                pytest.skip("it gives no refresh tokens")
            sent = refreshed_twice(rehearsal)
            assert sent[0] == first.reveal()
            assert sent[1] != sent[0], "the new refresh token was not used"
            assert rehearsal.vendor.reuse_events == []

    def test_refresh_without_a_new_refresh_token(self, resource: str, tmp_path: Path) -> None:
        """The old one stays: twice, with the same (RFC 6749 §6)."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            rehearsal.vendor.rotate = False
            first = rehearsal.sign_in().refresh_token
            if first is None:
                pytest.skip("it gives no refresh tokens")
            assert refreshed_twice(rehearsal) == [first.reveal()] * 2

    def test_a_401_is_followed_by_one_refresh(self, resource: str, tmp_path: Path) -> None:
        """The request is repeated with the new token, or a person is asked to sign in."""
        with self._rehearsed(resource, tmp_path) as rehearsal:
            where = rehearsal.server if rehearsal.resource.discover else rehearsal.vendor
            word = "mcp" if rehearsal.resource.discover else "unknown"
            record = rehearsal.sign_in()
            if rehearsal.resource.url is None:
                pytest.skip("it names no server")
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


def _none(found: Iterable[str]) -> None:
    told = list(found)
    assert not told, "\n".join(["", *told])
