"""A sign-in at the command line: whichever way works first.

The URL is printed, a browser is opened where there is one, the answer is waited
for on loopback, and at a terminal it may be pasted as well. `--device` asks for
a code to type elsewhere instead (RFC 8628).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import click

from harbor_oauth.cli.output import note, tell, warn
from harbor_oauth.cli.terminal import interactive
from harbor_oauth.cli.waiting import waiting

if TYPE_CHECKING:
    from harbor_oauth import Provider
    from harbor_oauth.client import DeviceSession, GrantStatus, Harbor, LoginSession

__all__ = ["SignIn", "sign_in_options", "warn_of_variable"]

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option("--device", is_flag=True, help="Confirm a code on another device instead."),
    click.option("--no-browser", is_flag=True, help="Print the URL; open no browser."),
    click.option(
        "--port",
        metavar="PORT",
        type=click.IntRange(1, 65535),
        help="Wait for the answer at this port; any free one otherwise.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=1),
        default=300,
        show_default=True,
        help="How long to wait for the sign-in.",
    ),
    click.option(
        "--scope", "scopes", metavar="SCOPE", multiple=True, help="Ask for this. Repeatable."
    ),
    click.option("--read-only", is_flag=True, help="Ask for what reading needs, and no more."),
)


def sign_in_options(command: _F) -> _F:
    """Give a command the options of a sign-in, which `SignIn` takes by the same names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@attrs.frozen
class SignIn:
    """Signs in as the options say.

    Attributes:
        harbor: What signs in and keeps the grant.
        device: Use the device grant.
        no_browser: Open none.
        port: The port to wait at; None for any.
        timeout: Seconds to wait for the person.
        scopes: What to ask for; empty for the default.
        read_only: Ask for the resource's scopes for reading.
    """

    harbor: Harbor
    device: bool = False
    no_browser: bool = False
    port: int | None = None
    timeout: float = 300.0
    scopes: tuple[str, ...] = ()
    read_only: bool = False

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Return the names of the options."""
        return tuple(field.name for field in attrs.fields(cls) if field.name != "harbor")

    def __attrs_post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if self.scopes and self.read_only:
            raise click.UsageError("--scope goes without --read-only.")
        if self.device and (self.port or self.no_browser):
            raise click.UsageError("--device goes without --port and --no-browser.")

    def __call__(
        self,
        grant: str,
        *,
        account: str | None = None,
        provider: Provider | None = None,
        scopes: Sequence[str] | None = None,
    ) -> GrantStatus:
        """Sign in; a person who has no client yet is led to one."""
        from harbor_oauth.cli.guided import with_papers

        what: dict[str, Any] = {"account": account, "provider": provider}
        what["scopes"] = self._scopes(grant, provider) or scopes
        if self.device:
            attempt = functools.partial(self._at_another_device, grant, what)
        else:
            attempt = functools.partial(self._in_a_browser, grant, what)
        return with_papers(self.harbor, grant, provider, attempt)

    def _scopes(self, grant: str, provider: Provider | None) -> tuple[str, ...]:
        if not self.read_only:
            return self.scopes
        from harbor_oauth.fleet.rules import read_only_scopes

        return read_only_scopes(self.harbor, grant, provider)

    # --- in a browser -----------------------------------------------------------

    def _in_a_browser(self, grant: str, what: dict[str, Any]) -> GrantStatus:
        @contextlib.contextmanager
        def present(session: LoginSession) -> Iterator[None]:
            if session.paste_only and not interactive():
                raise _no_terminal(grant)
            self._show(session)
            what = "Waiting for the browser. Or paste the URL it ends at, or the code: "
            if session.paste_only:
                what = "Then paste the URL the browser ends at, or the code: "
            with waiting(self.timeout, what, session.submit):
                yield

        return self.harbor.login(
            grant, timeout=self.timeout, port=self.port, present=present, **what
        )

    def _show(self, session: LoginSession) -> None:
        """Show the URL, and open a browser where there is one."""
        if self.no_browser:
            note("Sign in at this URL:")
        else:
            note("Your browser opens; sign in there. If it does not, open this URL:")
        note(f"  {session.url}")
        opened = not self.no_browser and self.harbor.open_browser(session.url)
        if not opened and not session.paste_only:
            self._advise(session)

    def _advise(self, session: LoginSession) -> None:
        from harbor_oauth.fleet.surroundings import advice, user_name

        if not self.no_browser:
            note("No browser could be opened here.")
        environ = self.harbor.settings.environ
        for line in advice(session.redirect_uri, environ, user=user_name(environ)):
            note(line)
        if session.offers_device_grant:
            note("This server also lets you confirm on another device: add --device.")

    # --- at another device --------------------------------------------------------

    def _at_another_device(self, grant: str, what: dict[str, Any]) -> GrantStatus:
        with contextlib.ExitStack() as stack:

            def show(session: DeviceSession) -> None:
                _show_codes(session)
                seconds = min(self.timeout, session.expires_in)
                stack.enter_context(waiting(seconds, "Waiting for you to confirm it."))

            return self.harbor.device_login(grant, show, timeout=self.timeout, **what)


def warn_of_variable(harbor: Harbor, grant: str) -> None:
    """Warn where a variable gives a grant's token, so that what is stored is not used."""
    from harbor_oauth.fleet.variables import set_variable

    if variable := set_variable(harbor, grant):
        warn(f"{variable} is set and answers first: the stored grant {grant} is not used.")
        note(f"To use it: unset {variable}", "next:")


def _show_codes(session: DeviceSession) -> None:
    """Show the code, where to type it, and a picture of that where there is a terminal.

    The URL with the code in it is never opened here: who did not see the code
    cannot tell whose sign-in it confirms (RFC 8628 §5.4).
    """
    note("On any device, open this URL:")
    note(f"  {session.verification_uri}")
    note("and type this code:")
    note(f"  {session.user_code}")
    if interactive():
        _show_picture(session.verification_uri_complete or session.verification_uri)


def _show_picture(url: str) -> None:
    import io
    import shutil

    import segno

    drawn = io.StringIO()
    segno.make(url, micro=False).terminal(drawn, compact=True, border=1)
    if max(map(len, drawn.getvalue().splitlines())) <= shutil.get_terminal_size().columns:
        tell(drawn.getvalue())


def _no_terminal(grant: str) -> Exception:
    from harbor_oauth.errors import LoginRequiredError

    return LoginRequiredError(
        "This provider sends the browser to a page of its own, whose URL a person has to paste; "
        "there is no terminal here to paste it into.",
        grant=grant,
        cause="absent",
        next_step="Run the same command at a terminal.",
    )
