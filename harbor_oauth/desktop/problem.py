"""What went wrong, as a person is told it."""

from __future__ import annotations

import logging
from typing import Final

import attrs

from harbor_oauth.errors import (
    BrowserError,
    ClientRequiredError,
    ConfigurationError,
    FlowCancelledError,
    FlowError,
    FlowTimeoutError,
    HarborError,
    LoginRequiredError,
    OAuthResponseError,
    ProtocolError,
    ProviderInvalidError,
    ProviderNotFoundError,
    ProviderUntrustedError,
    ReceiverBindError,
    ScopeRequiredError,
    TransportError,
    VaultError,
    VaultLockedError,
    VaultNotInitializedError,
)

__all__ = ["Problem", "problem_of"]

_PROGRAMS: Final = ("harbor ", "pip ", "python ")
_log: Final = logging.getLogger(__name__)

# The first class that fits decides, so the narrow ones come first. The last word is
# the page where a person can do something about it.
_TITLES: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (VaultNotInitializedError, "There is no vault yet", "chest"),
    (VaultLockedError, "The vault is locked", "chest"),
    (VaultError, "The vault cannot be used", "chest"),
    (LoginRequiredError, "A sign-in is needed", "papers"),
    (ScopeRequiredError, "More access is needed", "papers"),
    (ClientRequiredError, "An app of your own is needed", "papers"),
    (ProviderNotFoundError, "The provider is not installed", ""),
    (ProviderUntrustedError, "Nobody has agreed to this provider yet", ""),
    (ProviderInvalidError, "The provider cannot be used", ""),
    (FlowTimeoutError, "The sign-in took too long", ""),
    (FlowCancelledError, "The sign-in was cancelled", ""),
    (ReceiverBindError, "The sign-in cannot be waited for", ""),
    (BrowserError, "The browser did not open", ""),
    (FlowError, "The sign-in did not end well", ""),
    (OAuthResponseError, "The provider refused", ""),
    (ProtocolError, "The server broke a rule", ""),
    (TransportError, "The server cannot be reached", ""),
    (ConfigurationError, "The set-up needs a change", ""),
)


@attrs.frozen
class Problem:
    """One thing that went wrong.

    Attributes:
        title: What it is, in a few words.
        sentence: What happened.
        next_step: What the person can do now; empty when nothing helps.
        page: The key of the page where it is done; empty when there is none.
        error: What was raised, for a page that knows more to do about it.
    """

    title: str
    sentence: str
    next_step: str = ""
    page: str = ""
    error: BaseException | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def is_command(self) -> bool:
        """Whether the next step is to be run in a terminal."""
        return self.next_step.startswith(_PROGRAMS)


def problem_of(error: BaseException) -> Problem:
    """Say what an error means to a person.

    What nobody foresaw is logged by its class and place alone: its text could hold
    a secret.
    """
    if isinstance(error, HarborError):
        title, page = _title(error)
        step = error.next_step.removeprefix("Run: ")
        return Problem(title, error.message, step, page, error)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        sentence = f"{error.strerror}{where}."
        return Problem("The system refused", sentence, error=error)
    _log.error("%s at %s", type(error).__name__, _place(error))
    return Problem(
        "Something unexpected happened",
        f"Harbor met a fault of its own ({type(error).__name__}). Nothing was lost.",
        "Try again; if it comes back, report it with the log.",
        error=error,
    )


def _title(error: HarborError) -> tuple[str, str]:
    for kind, title, page in _TITLES:
        if isinstance(error, kind):
            return title, page
    return "That did not work", ""


def _place(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    return ", ".join(f"{frame.name}:{frame.lineno}" for frame in frames[-4:])
