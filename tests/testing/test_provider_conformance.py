"""`ProviderConformance`, on a good provider and on one with each fault in turn."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from harbor_oauth.providers import OAuthProvider, Resource
from harbor_oauth.testing import ProviderConformance
from harbor_oauth.testing._provider_answers import load_answers

GOOD = """
import json
import logging

import attrs

from harbor_oauth.providers import (
    AccountLookup, HttpRequest, NativeServer, OAuthProvider, Quirks, RedirectRule, Registration,
    Resource, Revocation, ServerMetadata,
)


def who_am_i(token):
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    return HttpRequest("GET", "https://api.acme.example/me", headers)


def token_response(members):
    user = members.get("user")
    return {**user, **members} if isinstance(user, dict) else members


def revoke(issued):
    body = json.dumps({"token": issued.token.reveal()}).encode()
    return HttpRequest("POST", "https://api.acme.example/revoke", {}, body)


API = Resource(
    name="api",
    servers=("https://api.acme.example/v1",),
    allowed_origins=("https://api.acme.example",),
    issuer="https://acme.example",
    discover=False,
    metadata=ServerMetadata(
        issuer="https://acme.example",
        authorization_endpoint="https://acme.example/oauth",
        token_endpoint="https://api.acme.example/oauth/token",
        code_challenge_methods_supported=("S256",),
    ),
    refresh_endpoint="https://api.acme.example/oauth/refresh",
    scopes=("read", "write"),
    scope_separator=",",
    authorization_parameters={"prompt": "consent"},
    token_parameters={"audience": "acme"},
    token_headers={"Acme-Version": "1"},
    token_encoding="json",
    redirect=RedirectRule(host="localhost", ports=(33418,)),
    registration=(Registration.OWN_PAPERS,),
    token_endpoint_auth_method="client_secret_basic",
    secret_required=True,
    rotates=True,
    account=AccountLookup(who_am_i, lambda answer: json.loads(answer.body)["email"]),
    revocation=Revocation(own_api=revoke),
    registration_url="https://acme.example/apps",
    registration_steps=("Enter the redirect URI http://localhost:33418/callback.",),
    quirks=Quirks(token_response=token_response),
)
NATIVE = NativeServer(name="acme", resource="api", url="https://api.acme.example/v1")


def changed(**changes):
    return attrs.evolve(PROVIDER, resources=(attrs.evolve(API, **changes),))


def pinned(**changes):
    return changed(metadata=attrs.evolve(API.metadata, **changes))


PROVIDER = OAuthProvider(
    name="acme", display_name="Acme", resources=(API,), native_servers=(NATIVE,)
)
"""
TEST = """

from pathlib import Path

from harbor_oauth.testing import ProviderConformance


class TestAcme(ProviderConformance):
    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
"""
TOKEN = "https://api.acme.example/oauth/token"
RECORDED: dict[str, dict[str, Any]] = {
    "authorization": {"url": "https://acme.example/oauth?scope=read,write&prompt=consent"},
    "token": {
        "url": TOKEN,
        "status": 201,
        "body": {
            "user": {"access_token": "recorded-1", "refresh_token": "recorded-2"},
            "token_type": "bearer",
            "expires_in": 3600,
        },
        "expected": {"access_token": "recorded-1", "refresh_token": "recorded-2"},
    },
    "refresh": {
        "url": TOKEN.replace("token", "refresh"),
        "body": {"access_token": "recorded-3", "refresh_token": "r", "token_type": "bearer"},
        "expected": {"access_token": "recorded-3", "expires_in": None},
    },
    "account": {"body": {"email": "a@b.example"}, "expected": {"account": "a@b.example"}},
    "error": {
        "status": 403,
        "body": {"error": "invalid_grant"},
        "expected": {"error": "invalid_grant"},
    },
}


# The fault, and the tests that have to fail.
FAULTS: dict[str, tuple[str, set[str]]] = {
    "http endpoint": (
        'PROVIDER = pinned(token_endpoint="http://api.acme.example/oauth/token")',
        {"test_its_urls_are_https", "test_its_endpoints_are_the_recorded_ones"},
    ),
    "missing S256": (
        'PROVIDER = pinned(code_challenge_methods_supported=("plain",))',
        {"test_it_asks_for_s256"},
    ),
    "wrong token path": (
        'PROVIDER = pinned(token_endpoint="https://api.acme.example/oauth/tokens")',
        {"test_its_endpoints_are_the_recorded_ones"},
    ),
    "wrong refresh path": (
        "PROVIDER = changed(refresh_endpoint=None)",
        {"test_its_endpoints_are_the_recorded_ones"},
    ),
    "lost refresh token": (
        """
def losing(members):
    return {"refresh_token": "lost", **token_response(members)}
PROVIDER = changed(quirks=Quirks(losing))
""",
        {"test_refresh_without_a_new_refresh_token"},
    ),
    "scope joined wrongly": (
        'PROVIDER = changed(scope_separator=" ")',
        {"test_sign_in"},
    ),
    "scopes joined already": (
        'PROVIDER = changed(scopes=("read,write",))',
        {"test_its_scopes_can_be_joined"},
    ),
    "secret sent twice": (
        'PROVIDER = changed(token_parameters={"client_secret": "s"})',
        {
            *("test_sign_in", "test_refresh", "test_refresh_without_a_new_refresh_token"),
            *("test_a_401_is_followed_by_one_refresh", "test_revocation"),
        },
    ),
    "secret sent twice in a revocation": (
        """
def revoke_twice(issued):
    secret = issued.client_secret.reveal()
    body = json.dumps({"client_secret": secret}).encode()
    headers = {"Authorization": "Basic " + secret, "Content-Type": "application/json"}
    return HttpRequest("POST", "https://api.acme.example/revoke", headers, body)
PROVIDER = changed(revocation=Revocation(own_api=revoke_twice))
""",
        {"test_revocation"},
    ),
    "quirk that raises": (
        """
def trusting(members):
    return {**members, **members.get("user", {})}
PROVIDER = changed(quirks=Quirks(trusting))
""",
        {"test_its_quirks_are_total"},
    ),
    "quirk that changes its argument": (
        """
def changing(members):
    members.update(token_response(members))
    return members
PROVIDER = changed(quirks=Quirks(changing))
""",
        {"test_its_quirks_change_nothing", "test_its_quirks_are_total"},
    ),
    "error misread": (
        """
def hiding(members):
    return {**token_response(members), "error": ""}
PROVIDER = changed(quirks=Quirks(hiding))
""",
        {"test_recorded_answer"},
    ),
    "token in a URL": (
        """
def in_url(token):
    return HttpRequest("GET", f"https://api.acme.example/me?token={token.reveal()}")
PROVIDER = changed(account=AccountLookup(in_url, API.account.account))
""",
        {"test_its_urls_are_https"},
    ),
    "token sent elsewhere": (
        """
def elsewhere(token):
    return HttpRequest("GET", "https://elsewhere.example/me")
PROVIDER = changed(account=AccountLookup(elsewhere, API.account.account))
""",
        {"test_its_origins_cover_its_servers"},
    ),
    "token in the log": (
        """
def logging_it(members):
    logging.getLogger("acme").debug("answer: %s", members)
    return token_response(members)
PROVIDER = changed(quirks=Quirks(logging_it))
""",
        {"test_no_secret_is_shown"},
    ),
    "account misread": (
        'PROVIDER = changed(account=AccountLookup(who_am_i, lambda answer: "somebody"))',
        {"test_recorded_answer", "test_sign_in"},
    ),
    "no word of how to register": (
        "PROVIDER = changed(registration_steps=())",
        {"test_it_says_how_to_come_by_a_client"},
    ),
    "a redirect URI nobody is told": (
        'PROVIDER = changed(redirect=RedirectRule(host="localhost", ports=(33418, 33419)))',
        {"test_it_says_how_to_come_by_a_client"},
    ),
    "name of another": (
        'PROVIDER = attrs.evolve(PROVIDER, native_servers=(attrs.evolve(NATIVE, name="slack"),))',
        {"test_its_names_are_legal"},
    ),
    "no endpoints": (
        "PROVIDER = changed(metadata=None)",
        {"test_its_constants_fit_each_other"},
    ),
}


SIGN_INS = {
    *("test_sign_in", "test_denial", "test_wrong_state", "test_wrong_issuer", "test_refresh"),
    *("test_refresh_without_a_new_refresh_token", "test_a_401_is_followed_by_one_refresh"),
    *("test_revocation", "test_no_secret_is_shown"),
}
# What is lacking: the change to the provider, to the recorded answers, the tests
# that are not run then, and the reason.
LACKS: dict[str, tuple[str, dict[str, Any], set[str], str]] = {
    "quirks": (
        "PROVIDER = changed(quirks=Quirks())",
        RECORDED,
        {"test_its_quirks_change_nothing", "test_its_quirks_are_total"},
        "it has no quirks",
    ),
    "new refresh tokens": (
        "PROVIDER = changed(rotates=False)",
        RECORDED,
        {"test_refresh"},
        "it gives no new refresh tokens",
    ),
    "new refresh tokens on record": (
        "",
        {**RECORDED, "refresh": {"body": {"access_token": "recorded-3"}}},
        {"test_refresh"},
        "it gives no new refresh tokens",
    ),
    "refresh tokens": (
        "",
        {"token": {"body": {"access_token": "recorded-1"}}},
        {"test_refresh", "test_refresh_without_a_new_refresh_token"},
        "it gives no refresh tokens",
    ),
    "answers": ("", {}, {"test_recorded_answer"}, "no answer is recorded"),
    "a server": (
        "PROVIDER = attrs.evolve(changed(servers=()), native_servers=())",
        RECORDED,
        {"test_a_401_is_followed_by_one_refresh"},
        "it names no server",
    ),
    "pinned endpoints": (
        "PROVIDER = changed(metadata=None, discover=True)",
        RECORDED,
        {"test_its_endpoints_are_the_recorded_ones"},
        "its endpoints are discovered",
    ),
    "S256": (
        "PROVIDER = pinned(code_challenge_methods_supported=())",
        RECORDED,
        SIGN_INS,
        "no sign-in without S256: Acme checks none",
    ),
    "whole data": (
        FAULTS["http endpoint"][0],
        RECORDED,
        SIGN_INS,
        "the provider's data has faults, which other tests name",
    ),
    "functions that work": (
        """
def broken(token):
    raise RuntimeError("the plugin's own")
PROVIDER = changed(account=AccountLookup(broken, API.account.account))
""",
        RECORDED,
        SIGN_INS,
        "the provider's data has faults, which other tests name",
    ),
}


NOT_INSTALLED = {"test_one_distribution_offers_it", "test_importing_it_touches_nothing"}
_LINE = re.compile(r"^(\w+)\.py::\w+::(\w+).* (PASSED|FAILED|SKIPPED|ERROR)", re.MULTILINE)


class Outcomes(NamedTuple):
    """The names of a module's tests by how they ended, and all that was printed."""

    passed: set[str]
    failed: set[str]
    skipped: set[str]
    output: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcomes]:
    """Run the kit on the good provider and on each faulty one, in one process of its own."""
    folder = tmp_path_factory.mktemp("kit")
    (folder / "responses").mkdir()
    for kind, answer in RECORDED.items():
        path = folder / "responses" / f"{kind}.json"
        path.write_text(json.dumps({"kind": kind, **answer}))
    modules = {fault: f"test_{number}" for number, fault in enumerate(["", *FAULTS])}
    for fault, module in modules.items():
        (folder / f"{module}.py").write_text(GOOD + FAULTS.get(fault, ("",))[0] + TEST)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "."]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    ended = _LINE.findall(done.stdout)

    def of(fault: str) -> Outcomes:
        names = {
            word: {name for module, name, end in ended if (module, end) == (modules[fault], word)}
            for word in ("PASSED", "FAILED", "SKIPPED", "ERROR")
        }
        assert names["PASSED"], done.stdout
        assert not names["ERROR"], done.stdout
        return Outcomes(names["PASSED"], names["FAILED"], names["SKIPPED"], done.stdout)

    return of


def test_a_good_provider_passes(outcomes: Callable[[str], Outcomes]) -> None:
    """All that fails is that no distribution offers it; nothing is left out."""
    found = outcomes("")
    assert (found.failed, found.skipped) == (NOT_INSTALLED, set())
    assert "no installed distribution offers 'acme': install the plugin" in found.output


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str, outcomes: Callable[[str], Outcomes]) -> None:
    """By the tests that are about it, and no others; none is skipped."""
    found = outcomes(fault)
    assert found.failed - NOT_INSTALLED == FAULTS[fault][1], found.output
    assert found.skipped == set()
    if FAULTS[fault][0] in {change for change, *_ in LACKS.values()}:
        assert not SIGN_INS & found.passed


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., type[ProviderConformance]]:
    """Make the class that a plugin would have: the good provider's, with a change."""

    def make(
        change: str, recorded: dict[str, Any], without: dict[str, str] | None = None
    ) -> type[ProviderConformance]:
        (tmp_path / "acme.py").write_text(GOOD + change)
        for kind, answer in recorded.items():
            (tmp_path / f"{kind}.json").write_text(json.dumps({"kind": kind, **answer}))

        class Held(ProviderConformance):
            provider = runpy.run_path(str(tmp_path / "acme.py"))["PROVIDER"]
            responses = tmp_path
            without_s256: ClassVar = without or {}

        return Held

    return make


def collected(tests: type[ProviderConformance]) -> set[str]:
    """What pytest finds in a class: the callables of that name."""
    return {name for name in dir(tests) if name.startswith("test") and getattr(tests, name)}


@pytest.mark.parametrize("lack", LACKS)
def test_what_does_not_apply_is_left_out(
    lack: str, held: Callable[..., type[ProviderConformance]]
) -> None:
    """Those tests only, with the reason; a provider that has it gains them."""
    change, recorded, names, reason = LACKS[lack]
    tests = held(change, recorded, {"api": "Acme checks none"} if lack == "S256" else {})
    assert collected(ProviderConformance) - collected(tests) == names
    assert {name.partition("[")[0] for name in tests.left_out} == names
    assert set(tests.left_out.values()) == {reason}
    whole = held("", RECORDED)
    assert collected(whole) == collected(ProviderConformance)
    assert whole.left_out == {}


def test_a_test_is_left_out_for_one_resource(
    held: Callable[..., type[ProviderConformance]],
) -> None:
    """It is run for the other, and the reason says for which it is not."""
    change = """
PLAIN = attrs.evolve(API, name="plain", quirks=Quirks())
PROVIDER = attrs.evolve(PROVIDER, resources=(API, PLAIN))
"""
    recorded = {kind: {"resource": "api", **answer} for kind, answer in RECORDED.items()}
    tests = held(change, recorded)
    assert collected(tests) == collected(ProviderConformance)
    assert tests.left_out == {
        "test_its_quirks_change_nothing[plain]": "it has no quirks",
        "test_its_quirks_are_total[plain]": "it has no quirks",
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("{", "is not JSON"),
        ('{"kind": "tokens"}', "kind has to be one of"),
        ('{"kind": "token", "resource": "mcp"}', "resource has to be one of api"),
        ('{"kind": "token", "state": 200}', "unknown members state"),
    ],
)
def test_an_answer_that_is_none_is_refused(answer: str, message: str, tmp_path: Path) -> None:
    """With the file and what is wrong with it."""
    (tmp_path / "x.json").write_text(answer)
    resource = Resource("api", ("https://x.example",), ("https://x.example",))
    provider = OAuthProvider(name="x", display_name="X", resources=(resource,))
    with pytest.raises(ValueError, match=rf"x\.json.*{message}"):
        load_answers(tmp_path, provider)
