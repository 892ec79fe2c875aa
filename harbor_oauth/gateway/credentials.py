"""What a request to a docked server is sent with, and what a refusal of it leads to.

Nothing waits on the event loop's thread: a token comes from memory, or from the
refresh that all who need it share; the rest is done in threads.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from harbor_oauth.errors import TransportError
from harbor_oauth.fleet.approvals import check_approved
from harbor_oauth.fleet.references import resolve
from harbor_oauth.gateway.targets import Target
from harbor_oauth.protocol.masking import Mask, credentials
from harbor_oauth.secret import Secret
from harbor_oauth.tokens.access_token import AccessToken

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Credentials", "Sent"]

_PATIENCE: Final = 20.0
"""Seconds that a request waits for an authorization server that is down."""

_PAUSE: Final = 1.0
_MOST_CHECKED: Final = 1024

_Answer = TypeVar("_Answer")


@attrs.frozen(repr=False)
class Sent:
    """What one attempt was sent with.

    Attributes:
        fields: Header names to values.
        tokens: The grants' tokens among them, by grant.
        secret: Whether another stored secret is among them.
        public: The names of the fields that stand in the entry as they are.
    """

    fields: Mapping[str, str]
    tokens: Mapping[str, AccessToken]
    secret: bool
    public: frozenset[str] = frozenset()

    @property
    def mask(self) -> Mask:
        """Masks every secret among them, in what the server says."""
        sealed = (value for name, value in self.fields.items() if name not in self.public)
        return _mask(
            (
                *(token.secret for token in self.tokens.values()),
                *(Secret(secret) for value in sealed for secret in credentials(value)),
            )
        )

    def __repr__(self) -> str:
        """Show the names; the values are secrets."""
        return f"Sent({', '.join(self.fields)})"


@functools.lru_cache(maxsize=64)
def _mask(secrets: tuple[Secret, ...]) -> Mask:
    """Return the mask for some secrets; the same ones go with request after request."""
    return Mask(secrets)


class Credentials:
    """Gives requests what their server's entry says.

    Args:
        harbor: Has the tokens and the vault.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        harbor: Harbor,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Ask for nothing yet."""
        self._harbor = harbor
        self._monotonic = monotonic
        self._sleep = sleep
        self._reports: dict[tuple[str, int], asyncio.Task[bool]] = {}
        self._checked: set[tuple[str, int, str]] = set()

    async def fields(self, target: Target, method: str, url: str, *, life: float) -> Sent:
        """Return the header fields for one attempt.

        Args:
            target: The server.
            method: The request's method.
            url: Its absolute URL.
            life: How many seconds a token should still live.

        Raises:
            LoginRequiredError: A person has to sign in.
            WrongResourceError: The URL is not one of the grant's origins.
            UnresolvedReferenceError: A header names nothing.
            TransportError: A token has to be refreshed, and the server is down.
            VaultError: The vault could not be read or written.
        """
        if target.grant is None and not target.references:
            return Sent(target.literals, {}, secret=False, public=frozenset(target.literals))
        # What can fail comes first, while no variable holds a secret: crash
        # reports show the variables of each frame that an error passes.
        tokens: dict[str, AccessToken] = {}
        for reference in target.references.values():
            if reference.grant is not None:
                tokens[reference.grant] = await self._token(reference.grant, target, life)
        proof: Mapping[str, str] = {}
        if target.grant is not None:
            token = tokens[target.grant] = await self._token(target.grant, target, life)
            if token.is_bound:
                proof = await asyncio.to_thread(
                    self._harbor.proof, target.grant, token, method, url
                )
        fields = await asyncio.to_thread(self._secrets, target) if target.secrets else {}
        fields = {**target.literals, **fields, **proof}
        for header, reference in target.references.items():
            if reference.grant is not None:
                fields[header] = reference.prefix + tokens[reference.grant].reveal()
        if target.grant is not None:
            fields["Authorization"] = tokens[target.grant].authorization
        public = frozenset(target.literals) - target.references.keys()
        return Sent(fields, tokens, target.secrets, public)

    async def refused(self, sent: Sent) -> bool:
        """Report that a server answered 401; say whether there is another token now.

        Raises:
            LoginRequiredError: A token cannot be refreshed.
            TransportError: The authorization server is down; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        reports = [await self._report(grant, token) for grant, token in sent.tokens.items()]
        return any(reports)

    async def _token(self, grant: str, target: Target, life: float) -> AccessToken:
        token = self._harbor.token_now(grant, life=life)
        if token is None:
            token = await self._patiently(lambda: self._harbor.token_async(grant, life=life))
        # A path that a caller adds never leaves the origin that is checked here.
        check = (grant, token.generation, target.url)
        if check not in self._checked:
            await asyncio.to_thread(self._harbor.check, grant, target.url)
            if len(self._checked) >= _MOST_CHECKED:
                self._checked.clear()
            self._checked.add(check)
        return token

    async def _report(self, grant: str, token: AccessToken) -> bool:
        now = self._harbor.token_now(grant)
        if now is not None and now.secret != token.secret:
            return True  # somebody else reported it
        # One thread for all who were refused the same token: a thousand would
        # leave none for the other grants.
        key = (grant, token.generation)
        task = self._reports.get(key)
        if task is None:
            task = self._reports[key] = asyncio.create_task(
                self._patiently(lambda: self._harbor.rejected_async(grant, token))
            )
            task.add_done_callback(lambda _: self._reports.pop(key, None))
        return await asyncio.shield(task)

    async def _patiently(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Wait a while for an authorization server that is down."""
        deadline = self._monotonic() + _PATIENCE
        while True:
            try:
                return await ask()
            except TransportError as error:
                pause = error.retry_after or _PAUSE
                if self._monotonic() + pause > deadline:
                    raise
            await self._sleep(pause)

    def _secrets(self, target: Target) -> dict[str, str]:
        check_approved(self._harbor, target.entry)
        return {
            header: resolve(self._harbor, target.entry.headers[header])
            for header, reference in target.references.items()
            if reference.grant is None
        }
