"""What becomes of a docked server's answer, as a table."""

from __future__ import annotations

import pytest

from harbor_oauth.gateway.policy import Action, Attempt, Seen, decide

GRANT = Attempt(token=True)


@pytest.mark.parametrize(
    ("seen", "attempt", "action"),
    [
        # Answers that are handed on.
        (Seen(200, "json"), GRANT, Action.PASS),
        (Seen(200, "stream"), GRANT, Action.PASS),
        (Seen(202, None, empty=True), GRANT, Action.PASS),
        (Seen(404, "json"), GRANT, Action.PASS),
        (Seen(404, None, empty=True), GRANT, Action.PASS),
        (Seen(405, None), GRANT, Action.PASS_STATUS),
        (Seen(500, None), GRANT, Action.PASS_STATUS),
        (Seen(503, "json"), GRANT, Action.PASS),
        (Seen(429, "json"), Attempt(), Action.PASS),
        # A 403 never refreshes.
        (Seen(403, "json"), GRANT, Action.PASS),
        (Seen(403, None), GRANT, Action.PASS_STATUS),
        (Seen(403, "json", insufficient_scope=True), GRANT, Action.WIDEN),
        (Seen(403, "json", insufficient_scope=True), Attempt(), Action.PASS),
        (Seen(403, "json", wants_nonce=True), GRANT, Action.PASS),
        # Refused tokens.
        (Seen(401), GRANT, Action.RENEW),
        (Seen(401, "json"), GRANT, Action.RENEW),
        (Seen(401, insufficient_scope=True), GRANT, Action.RENEW),
        (Seen(401), Attempt(token=True, replayable=False), Action.RENEW),
        (Seen(401), Attempt(token=True, renewed=True), Action.REFUSED),
        (Seen(401), Attempt(token=True, secret=True, renewed=True), Action.REFUSED),
        (Seen(401), Attempt(secret=True), Action.REFUSED),
        (Seen(401), Attempt(), Action.SIGN_IN),
        # Proofs of possession.
        (Seen(401, wants_nonce=True), GRANT, Action.PROVE_AGAIN),
        (Seen(401, wants_nonce=True), Attempt(token=True, replayable=False), Action.REPEAT),
        (Seen(401, wants_nonce=True), Attempt(token=True, proved_again=True), Action.RENEW),
        (
            Seen(401, wants_nonce=True),
            Attempt(token=True, proved_again=True, renewed=True),
            Action.REFUSED,
        ),
        # What is never handed on.
        (Seen(200, None), GRANT, Action.UNREADABLE),
        (Seen(301, None, empty=True), GRANT, Action.REDIRECTED),
        (Seen(302, "json"), GRANT, Action.REDIRECTED),
        (Seen(304, None, empty=True), GRANT, Action.REDIRECTED),
        (Seen(307, None, empty=True), Attempt(), Action.REDIRECTED),
        (Seen(308, "stream"), GRANT, Action.REDIRECTED),
        (Seen(407, "json"), GRANT, Action.REFUSED),
    ],
)
def test_the_table(seen: Seen, attempt: Attempt, action: Action) -> None:
    """Every row is one fact."""
    assert decide(seen, attempt) is action


@pytest.mark.parametrize("attempt", [GRANT, Attempt(), Attempt(token=True, renewed=True)])
def test_a_401_is_never_handed_on(attempt: Attempt) -> None:
    """A host that saw one would sign in to the gateway."""
    handed_on = {Action.PASS, Action.PASS_STATUS}
    passed = {code for code in range(1000) if decide(Seen(code, "json"), attempt) in handed_on}
    assert passed == {*range(200, 300), *range(400, 600)} - {401, 407}


def test_only_a_401_leads_to_another_attempt() -> None:
    """What a server may have acted on is never sent twice."""
    again = {Action.RENEW, Action.PROVE_AGAIN}
    wanting = (Seen(status, "json", wants_nonce=True) for status in range(100, 600))
    assert {seen.status for seen in wanting if decide(seen, GRANT) in again} == {401}
