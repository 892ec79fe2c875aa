"""`ProviderConformance`: recorded answers, and the functions that read them."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.testing._provider_answers import RecordedAnswer, outcome
from harbor_oauth.testing._provider_checks import EXAMPLES, check_quirks, objects, reads_alike
from harbor_oauth.testing._provider_subject import (
    ProviderTests,
    Subject,
    has_no_quirks,
    is_discovered,
    unless,
)

__all__ = ["AnswerTests", "account_answer"]


class AnswerTests(ProviderTests):
    """What the library reads in the vendor's answers, through the plugin's functions."""

    # --- recorded answers ---------------------------------------------------------

    def test_its_answers_are_recorded(self, resource: str) -> None:
        """A token answer, and the account look-up's, unless one of a resource like it is."""
        data = self.subject.provider.resource(resource)
        token = any(
            each.kind == "token"
            and reads_alike(self.subject.provider.resource(each.resource), data)
            for each in self.subject.recorded()
        )
        assert token, f"no recorded token answer of {resource} in {self.responses}"
        if data.account is not None:
            assert account_answer(self.subject, resource), (
                f"no recorded account answer of {resource}"
            )

    @unless(is_discovered)
    def test_its_endpoints_are_the_recorded_ones(self, resource: str) -> None:
        """Two people spelled each pinned endpoint, or one person did twice."""
        data = self.subject.provider.resource(resource)
        assert data.metadata is not None
        pinned = {
            "token": data.metadata.token_endpoint,
            "refresh": data.refresh_endpoint or data.metadata.token_endpoint,
            "authorization": data.metadata.authorization_endpoint,
        }
        for each in self.subject.recorded(resource, *pinned):
            endpoint, url = pinned[each.kind], each.url.partition("?")[0]
            assert url, f"{each.name} does not say where it came from"
            assert url == endpoint, f"{each.name} came from {url}, not from {endpoint}"

    def test_recorded_answer(self, recorded: RecordedAnswer) -> None:
        """The library reads what the file expects, through the plugin's functions."""
        found = outcome(self.subject.provider.resource(recorded.resource), recorded)
        assert recorded.expected, f"{recorded.name} expects nothing"
        read = {name: found.get(name) for name in recorded.expected}
        assert read == recorded.expected, f"{recorded.name}: {found}"

    # --- quirks -------------------------------------------------------------------

    @unless(has_no_quirks)
    def test_its_quirks_change_nothing(self, resource: str) -> None:
        """What they are given is afterwards what it was."""
        quirks = self.subject.provider.resource(resource).quirks
        for members in self._bodies(resource):
            for quirk in filter(None, (quirks.token_response, quirks.account)):
                before = copy.deepcopy(members)
                quirk(members)
                assert members == before, f"{quirk} changed its argument"

    @unless(has_no_quirks)
    def test_its_quirks_are_total(self, resource: str) -> None:
        """Whatever JSON object a server sends, only the library's own errors come of it."""
        data = self.subject.provider.resource(resource)

        @EXAMPLES
        @given(objects(self._bodies(resource)), st.sampled_from((200, 201, 400, 401, 403, 500)))
        def check(members: dict[str, Any], status: int) -> None:
            check_quirks(data, members, status)

        check()

    def _bodies(self, resource: str) -> list[dict[str, Any]]:
        recorded = self.subject.recorded(resource)
        return [copy.deepcopy(each.body) for each in recorded if isinstance(each.body, dict)]


def account_answer(subject: Subject, resource: str) -> RecordedAnswer | None:
    """Return an answer to the account look-up: the resource's, or one to the same look-up."""
    provider = subject.provider
    lookup = provider.resource(resource).account
    found = [
        each
        for each in subject.recorded("", "account")
        if provider.resource(each.resource).account == lookup
    ]
    return next(iter(found), None)
