"""What the kit's tests are about, and which of them apply to it.

No test is skipped. One that does not apply is not collected, for one resource
or for all, and `ProviderTests.left_out` says so; a provider that gains what the
test is about gains the test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, TypeAlias, TypeVar

import attrs
import pytest

from harbor_oauth.providers import OAuthProvider, Provider, Resource
from harbor_oauth.registry import Registry
from harbor_oauth.testing import _provider_faults as faults
from harbor_oauth.testing._provider_answers import RecordedAnswer, load_answers, template_of
from harbor_oauth.testing._provider_rehearsal import ways_of
from harbor_oauth.trust import Agreements

__all__ = [
    "ProviderTests",
    "Subject",
    "cannot_sign_in",
    "gives_no_new_refresh_tokens",
    "gives_no_refresh_tokens",
    "has_no_quirks",
    "has_no_url",
    "is_discovered",
    "unless",
]

_MARK: Final = "harbor_unless"
_Test = TypeVar("_Test", bound=Callable[..., None])


@attrs.frozen
class Subject:
    """A provider, and what is on record about its vendor.

    Attributes:
        provider: The plugin's provider.
        answers: The recorded answers.
        without_s256: Why a resource's pinned metadata does not name S256, by name.
        is_whole: Whether the data has no fault, so that a sign-in can be tried.
    """

    provider: OAuthProvider
    answers: tuple[RecordedAnswer, ...]
    without_s256: Mapping[str, str]
    is_whole: bool

    @classmethod
    def of(
        cls, provider: Provider | str, responses: Path, without_s256: Mapping[str, str]
    ) -> Subject:
        """Find the provider, and read the answers.

        Raises:
            ValueError: An answer is not what it has to be.
        """
        if isinstance(provider, str):  # a plugin's own tests vouch for it
            found = Registry().provider(provider, Agreements(by_program=frozenset({provider})))
        else:
            found = provider
        assert isinstance(found, OAuthProvider), "the kit knows providers made of data only"
        try:
            is_whole = not faults.data_faults(found, without_s256)
        except Exception:  # noqa: BLE001 - a plugin's function; the test about it shows the traceback
            is_whole = False
        return cls(found, load_answers(responses, found), without_s256, is_whole)

    def recorded(self, resource: str = "", *kinds: str) -> list[RecordedAnswer]:
        """Return the recorded answers about a resource, or all, of some kinds, or all."""
        return [
            each
            for each in self.answers
            if resource in ("", each.resource) and (not kinds or each.kind in kinds)
        ]


# --- when a test does not apply ---------------------------------------------------

# Tells why a test says nothing about a resource; None where it does.
Condition: TypeAlias = Callable[[Subject, Resource], str | None]


def unless(*conditions: Condition) -> Callable[[_Test], _Test]:
    """Leave a test of the kit out for the resources that a condition gives a reason for."""

    def mark(test: _Test) -> _Test:
        setattr(test, _MARK, conditions)
        return test

    return mark


def cannot_sign_in(subject: Subject, resource: Resource) -> str | None:
    """Faulty data is not tried: the tests of the data name what is wrong."""
    if not subject.is_whole:
        return "the provider's data has faults, which other tests name"
    reason = subject.without_s256.get(resource.name)
    return reason and f"no sign-in without S256: {reason}"


def is_discovered(_: Subject, resource: Resource) -> str | None:
    """Nothing is pinned that a second witness could confirm."""
    return "its endpoints are discovered" if resource.metadata is None else None


def has_no_quirks(_: Subject, resource: Resource) -> str | None:
    """There is no function to try."""
    return "it has no quirks" if resource.quirks == type(resource.quirks)() else None


def has_no_url(_: Subject, resource: Resource) -> str | None:
    """There is no server to send a request to."""
    return "it names no server" if resource.url is None else None


def gives_no_refresh_tokens(subject: Subject, resource: Resource) -> str | None:
    """As far as the recorded answer to a code says."""
    answer = template_of(subject.recorded(resource.name), "token")
    none = answer is not None and answer.token("refresh_token") is None
    return "it gives no refresh tokens" if none else None


def gives_no_new_refresh_tokens(subject: Subject, resource: Resource) -> str | None:
    """As the plugin says, or the recorded answer to a refresh."""
    answer = template_of(subject.recorded(resource.name), "refresh")
    none = answer is not None and answer.token("refresh_token") is None
    return "it gives no new refresh tokens" if none or resource.rotates is False else None


# --- the tests' common ground -----------------------------------------------------


class ProviderTests:
    """Tests about one provider, collected as far as they apply.

    Attributes:
        provider: The provider, or its entry point's name.
        responses: The folder of recorded answers.
        without_s256: Why the pinned metadata of a resource does not name S256,
            by the resource's name.
        left_out: Why a test is not run: ``test``, or ``test[resource]`` where it
            is for others, to the reason.
    """

    provider: ClassVar[Provider | str]
    responses: ClassVar[Path]
    without_s256: ClassVar[Mapping[str, str]] = {}
    left_out: ClassVar[Mapping[str, str]] = {}
    subject: ClassVar[Subject]

    def __init_subclass__(cls) -> None:
        """Leave out what does not apply, once it is known what the tests are about."""
        super().__init_subclass__()
        if not (hasattr(cls, "provider") and hasattr(cls, "responses")):
            return  # one of the kit's own rooms
        cls.subject = Subject.of(cls.provider, cls.responses, cls.without_s256)
        left_out: dict[str, str] = {}
        for name in dir(cls):
            test = getattr(cls, name)
            if not name.startswith("test") or not callable(test):
                continue
            reasons = _reasons(test, cls.subject)
            left_out |= {f"{name}{where}": why for where, why in reasons.items() if why}
            if reasons and all(reasons.values()):
                setattr(cls, name, None)  # pytest does not collect it
        cls.left_out = left_out

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat the tests for each resource, way to come by a client, and recorded answer."""
        names = set(metafunc.fixturenames)
        reasons = _reasons(metafunc.function, self.subject)
        resources = [
            each for each in self.subject.provider.resources if not reasons.get(f"[{each.name}]")
        ]
        if "way" in names:
            ways = [(each.name, *way) for each in resources for way in ways_of(each)]
            ids = [
                f"{name}-{way.value}{'' if secret else ', public'}" for name, way, secret in ways
            ]
            metafunc.parametrize(("resource", "way", "secret"), ways, ids=ids)
        elif "resource" in names:
            metafunc.parametrize("resource", [each.name for each in resources])
        if "recorded" in names:
            told = _told(self.subject)
            metafunc.parametrize("recorded", told, ids=[each.name for each in told])


def _reasons(test: Callable[..., object], subject: Subject) -> dict[str, str | None]:
    """Return what a test is repeated for, to why it is left out there, or None."""
    parameters = inspect.signature(test).parameters
    if "recorded" in parameters:
        return {"": None if _told(subject) else "no answer is recorded"}
    if "resource" not in parameters:
        return {}
    conditions: tuple[Condition, ...] = getattr(test, _MARK, ())
    return {
        f"[{each.name}]": next(filter(None, (why(subject, each) for why in conditions)), None)
        for each in subject.provider.resources
    }


def _told(subject: Subject) -> list[RecordedAnswer]:
    """Return the recorded answers that are answers."""
    return [each for each in subject.answers if each.kind != "authorization"]
