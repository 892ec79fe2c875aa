"""A grant in use: what a request's answers ask of Harbor and, if allowed, of a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.errors import LoginRequiredError, ScopeRequiredError
from harbor_oauth.sign_ins import HarborSignIns
from harbor_oauth.tokens.access_token import AccessToken

if TYPE_CHECKING:
    from harbor_oauth.protocol.challenge import Challenge

__all__ = ["Use"]


@attrs.frozen
class Use:
    """One grant of one Harbor, used by one caller; see `tokens.sending.GrantUse`.

    Attributes:
        harbor: Where the grant is.
        grant: Its name.
        interactive: Whether a person may be asked.
    """

    harbor: HarborSignIns
    grant: str
    interactive: bool = attrs.field(kw_only=True)

    def token(self) -> AccessToken:
        """Return a valid token; never interactive."""
        return self.harbor.token(self.grant)

    def rejected(self, token: AccessToken) -> bool:
        """Report a 401; say whether there is another token now."""
        return self.harbor.rejected(self.grant, token)

    def check(self, url: str) -> None:
        """Refuse a URL that the token must not be sent to."""
        try:
            self.harbor.check(self.grant, url)
        except LoginRequiredError:
            if not self.interactive:
                raise
            self.harbor.check_declared(self.grant, url)

    def proof(self, token: AccessToken, method: str, url: str) -> Mapping[str, str]:
        """Return the fields that go with a token bound to a key."""
        return self.harbor.proof(self.grant, token, method, url)

    def nonce(self, url: str, nonce: str) -> None:
        """Take note of what a server wants in the next proof."""
        self.harbor.take_nonce(url, nonce)

    def sign_in(self, challenge: Challenge | None, refused: AccessToken | None) -> None:
        """Ask a person to sign in, unless somebody did while this waited."""
        with self.harbor.one_question():
            if not self._replaced(refused):
                self.harbor.login(self.grant, challenge=challenge)

    def step_up(self, challenge: Challenge, refused: AccessToken, *, ask: bool) -> None:
        """Ask a person for the scopes a server wants besides those there are (SEP-2350 of MCP).

        Raises:
            ScopeRequiredError: Nobody may be asked, the ceiling forbids it, or
                it would not help.
        """
        with self.harbor.one_question():
            have = refused.scopes
            missing = tuple(scope for scope in challenge.scope or () if scope not in have)
            if missing and set(missing) <= set(self._scopes()):
                return  # granted while this waited
            ceiling = self.harbor.scope_ceiling(self.grant)
            barred = tuple(scope for scope in missing if ceiling and scope not in ceiling)
            if not missing or barred or not ask or not self.interactive:
                raise self._too_narrow(missing, have, barred)
            # A sign-in with a challenge keeps what was asked for before; what was
            # granted without being asked for is kept here.
            self.harbor.login(self.grant, scopes=(*have, *missing), challenge=challenge)
            if not set(missing) <= set(self._scopes()):
                raise self._too_narrow(missing, self._scopes(), ())

    def _replaced(self, refused: AccessToken | None) -> bool:
        try:
            token = self.token()
        except LoginRequiredError:
            return False
        return refused is None or token.secret != refused.secret

    def _scopes(self) -> tuple[str, ...]:
        return self.token().scopes

    def _too_narrow(
        self, missing: tuple[str, ...], have: tuple[str, ...], barred: tuple[str, ...]
    ) -> ScopeRequiredError:
        if barred:
            next_step = "The scope_ceiling in config.toml forbids them; raise it if you agree."
        elif missing:
            options = " ".join(f"--scope {scope}" for scope in (*have, *missing))
            next_step = f"Run: harbor charter {self.grant} {options}"
        else:
            next_step = "The grant has them already; ask whoever runs the server."
        wanted = " ".join(barred or missing) or "scopes it does not name"
        return ScopeRequiredError(
            f"The server wants more of {self.grant} than was granted: {wanted}.",
            grant=self.grant,
            missing=missing,
            have=have,
            next_step=next_step,
        )
