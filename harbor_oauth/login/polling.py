"""Polling until a person has decided: never faster than told, ended by a deadline or a cancel."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final

from harbor_oauth.errors import (
    ConfigurationError,
    FlowCancelledError,
    FlowTimeoutError,
    HarborError,
    TransportError,
)
from harbor_oauth.protocol.device import Pace, Waiting, expired
from harbor_oauth.protocol.token import TokenResponse

__all__ = ["Polling"]

# Seconds after which `cancel` is heard.
_TICK: Final = 0.5


class Polling:
    """The polls of one device code (RFC 8628 §3.5).

    Args:
        poll: Asks once, and returns the tokens or why there are none yet.
        interval: Seconds between polls that the server asks for.
        life: Seconds until the code ends.
        monotonic: Seconds that never go back.
        sleep: Waits for that many seconds; never more than one at a time.
    """

    def __init__(
        self,
        poll: Callable[[], TokenResponse | Waiting],
        *,
        interval: float,
        life: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Count from now."""
        self._poll = poll
        self._monotonic = monotonic
        self._sleep = sleep
        self._pace = Pace(interval)
        self._next = monotonic() + interval
        self._ends = monotonic() + life
        self._over = False
        self._cancelled = threading.Event()

    def wait(self, timeout: float | None) -> TokenResponse:
        """Poll until there are tokens.

        Args:
            timeout: Seconds to wait; None waits until the code ends.

        Raises:
            AuthorizationResponseError: The person said no.
            FlowTimeoutError: Nobody confirmed the code in time.
            FlowCancelledError: `cancel` was called.
            TokenResponseError: The server refused for another reason.
            ProtocolError: The server breaks a rule.
        """
        if self._over:
            raise ConfigurationError("This sign-in is over.", next_step="Begin another.")
        deadline = math.inf if timeout is None else self._monotonic() + timeout
        while True:
            self._pause(min(self._next, self._ends, deadline))
            now = self._monotonic()
            if now >= self._ends:
                raise expired()
            if now < self._next:
                raise FlowTimeoutError(
                    f"Nobody confirmed the code within {timeout:g} seconds.",
                    next_step="Wait again, or sign in again for a new code.",
                )
            answer = self._ask()
            if answer is not None:
                return answer

    def _ask(self) -> TokenResponse | None:
        """Ask once; None means to ask again, at the pace that is set here."""
        try:
            outcome = self._poll()
        except TransportError as error:
            self._pace = self._pace.unanswered(error.retry_after)
        except HarborError:
            self._over = True
            raise
        else:
            if not isinstance(outcome, Waiting):
                self._over = True
                return outcome
            self._pace = self._pace.answered(outcome)
        self._next = self._monotonic() + self._pace.delay
        return None

    def _pause(self, until: float) -> None:
        """Sleep in short pieces, so that `cancel` is heard."""
        self.check_cancelled()
        while (left := until - self._monotonic()) > 0:
            self._sleep(min(left, _TICK))
            self.check_cancelled()

    def cancel(self) -> None:
        """End a wait, from any thread."""
        self._cancelled.set()

    def check_cancelled(self) -> None:
        """Raise if `cancel` was called.

        Raises:
            FlowCancelledError: It was.
        """
        if self._cancelled.is_set():
            raise FlowCancelledError("The sign-in was cancelled.")
