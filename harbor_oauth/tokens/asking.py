"""A token request, made again at once while its answer may be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from harbor_oauth.errors import HarborError, MalformedResponseError, TransportError

__all__ = ["ask_while_lost"]

# When the same token is sent again after an ambiguous failure, in seconds
# after the one before. Servers that allow for a lost answer replay it for ten
# to sixty seconds, so what is not asked again soon is lost (kcap-cli #946).
_RESENDS: Final = (0.0, 1.0, 3.0, 7.0)
_LAST_RESEND: Final = 20.0

# An answer that is no token answer comes from something in between, which
# rarely changes its mind; a cut one is worth two more attempts.
_RESENDS_OF_MALFORMED: Final = 2

_Answer = TypeVar("_Answer")


def ask_while_lost(
    ask: Callable[[], _Answer],
    *,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    lost: list[HarborError],
) -> _Answer:
    """Make a request until it is answered, or until that gets too late.

    Args:
        ask: Makes the request once.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        lost: Gets the failure of each attempt whose answer may be lost.

    Raises:
        TransportError: No answer came.
        MalformedResponseError: None that makes sense.
        HarborError: What `ask` raises besides.
    """
    first = monotonic()
    pauses = iter(_RESENDS)
    malformed = 0
    while True:
        try:
            return ask()
        except TransportError as error:
            if not error.ambiguous or error.retry_after is not None:
                raise
            failure: HarborError = error
        except MalformedResponseError as error:
            malformed += 1
            if malformed > _RESENDS_OF_MALFORMED:
                raise
            failure = error
        lost.append(failure)
        pause = next(pauses, None)
        if pause is None or monotonic() + pause - first > _LAST_RESEND:
            raise failure
        if pause:
            sleep(pause)
