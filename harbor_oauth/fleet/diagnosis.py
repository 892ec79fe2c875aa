"""What is wrong with this installation, and what to do about it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth import installation
from harbor_oauth.errors import ConfigurationError, HarborError, VaultNotInitializedError
from harbor_oauth.fleet.approvals import check_approved
from harbor_oauth.fleet.forecast import refusal
from harbor_oauth.fleet.hosts import OwnEntry, entries, own_command
from harbor_oauth.fleet.plugins import plugins
from harbor_oauth.fleet.providers import list_providers, outlooks
from harbor_oauth.platform.sockets import bind_loopback
from harbor_oauth.protocol.metadata import ServerMetadata

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.providers import Resource

__all__ = ["Finding", "diagnose", "diagnose_online"]

_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_USES: Final = {
    "cli": "sign-in codes",
    "gateway": "harbor lighthouse, bridge and connect",
    "testing": "harbor demo",
}
"""What an extra is for."""

_SLACK: Final = 300.0
"""Seconds by which clocks of machines may differ."""

_PINNED: Final = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
)


@attrs.frozen
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        state: ``ok``, ``warn`` or ``fail``.
        sentence: What was found.
        next_step: What to do; empty where nothing is to be done.
    """

    check: str
    state: str
    sentence: str
    next_step: str = ""


def diagnose(harbor: Harbor, now: float, executable: str = sys.executable) -> Iterator[Finding]:
    """Look at everything that this machine alone can tell.

    Args:
        harbor: What is looked at.
        now: Unix seconds, UTC.
        executable: The interpreter that runs this.

    Yields:
        What each check found. One that goes wrong is a finding, too.
    """
    yield from _guarded("configuration", lambda: _configuration(harbor))
    if "configuration" in _broken(harbor):
        return
    environ = harbor.settings.environ
    yield from _guarded("vault", lambda: _vault(harbor))
    yield from _guarded("grants", lambda: _grants(harbor))
    yield from _guarded("clock", lambda: _clock(harbor, now))
    yield from _proxy(environ)
    yield from _certificates(environ)
    yield from _port()
    yield from _guarded("plugins", lambda: _plugins(harbor))
    yield from _guarded("registration", lambda: _registration(harbor))
    yield from _guarded("agreements", lambda: _agreements(harbor))
    yield from _installation()
    yield from _command(environ, executable)
    yield from _hosts(entries(environ))


def diagnose_online(harbor: Harbor, providers: Iterable[str] | None = None) -> Iterator[Finding]:
    """Compare what plugins know of their vendors with what those publish now.

    Args:
        harbor: Sends the requests.
        providers: Whose vendors to ask; all that are installed when left out.

    Yields:
        A finding for each resource whose server is asked.
    """
    from harbor_oauth.flows import discover  # noqa: PLC0415 - late: loads what sends

    for name in harbor.provider_names() if providers is None else providers:
        try:
            resources = harbor.provider(name).resources
        except HarborError:
            continue  # told by the check of the plugins
        for resource in resources:
            if not resource.discover or resource.url is None:
                continue
            check = f"facts of {name}/{resource.name}"
            try:
                found = discover(harbor.transport, resource)
            except HarborError as error:
                yield Finding(check, "warn", error.message, error.next_step)
                continue
            if found is not None:
                yield _compared(check, resource, found.metadata)


# --- checks ------------------------------------------------------------------------


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn an error of a check into its finding."""
    try:
        yield from look()
    except HarborError as error:
        yield Finding(check, "fail", error.message, error.next_step)


def _broken(harbor: Harbor) -> tuple[str, ...]:
    try:
        harbor.settings  # noqa: B018 - reads the file
    except HarborError:
        return ("configuration",)
    return ()


def _configuration(harbor: Harbor) -> Iterator[Finding]:
    path = harbor.settings.config_path
    docked = len(harbor.settings.servers)
    said = f"{path} is sound; {docked} servers are docked." if path.exists() else "There is none."
    yield Finding("configuration", "ok", said)


def _vault(harbor: Harbor) -> Iterator[Finding]:
    try:
        harbor.vault.open()
    except VaultNotInitializedError as error:
        yield Finding("vault", "warn", error.message, error.next_step)
        return
    yield Finding("vault", "ok", f"It opens, and its key is guarded by: {harbor.vault.key_kind()}.")


def _grants(harbor: Harbor) -> Iterator[Finding]:
    grants = harbor.status()
    for status in grants:
        again = f"harbor charter {status.grant} --again"
        if status.state != "active":
            cause = status.cause or status.state
            yield Finding("grants", "fail", f"{status.grant} needs a sign-in: {cause}.", again)
        elif refused := refusal(status):
            said = f"{status.grant} cannot be refreshed: {refused}."
            yield Finding("grants", "fail", said, again)
        elif status.trouble:
            said = f"The server of {status.grant} could not be used: {status.trouble}."
            yield Finding("grants", "warn", said, f"harbor why {status.grant}")
        lacking = sorted(set(status.requested_scopes) - set(status.scopes))
        if status.scopes and lacking:
            said = f"{status.grant} was not given {' '.join(lacking)}, which was asked for."
            yield Finding("scopes", "warn", said, again)
    if all(
        status.state == "active" and not status.refused and not status.trouble for status in grants
    ):
        yield Finding("grants", "ok", f"{len(grants)} grants, none of which needs a sign-in.")


def _clock(harbor: Harbor, now: float) -> Iterator[Finding]:
    ahead = [
        status.grant
        for status in harbor.status()
        if status.obtained_at is not None and status.obtained_at > now + _SLACK
    ]
    if ahead:
        said = f"This clock is behind the one that {', '.join(ahead)} was signed in with."
        yield Finding("clock", "warn", said, "Set the clock: timedatectl set-ntp true")
    else:
        yield Finding("clock", "ok", "It is not behind any sign-in.")


def _proxy(environ: Mapping[str, str]) -> Iterator[Finding]:
    used = next((name for name in _PROXIES if environ.get(name)), None)
    if used is None:
        yield Finding("proxy", "ok", "None is set.")
        return
    spared = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if "127.0.0.1" in spared or spared.strip() == "*":
        yield Finding("proxy", "ok", f"{used} is set, and this machine is spared from it.")
    else:
        said = f"{used} is set, and other programs may send what is for this machine through it."
        yield Finding("proxy", "warn", said, "export NO_PROXY=127.0.0.1,localhost")


def _certificates(environ: Mapping[str, str]) -> Iterator[Finding]:
    absent = [name for name in _CERTIFICATES if environ.get(name) and not _exists(environ[name])]
    for name in absent:
        yield Finding(
            "certificates", "fail", f"{name} names {environ[name]}, which is not there.",
            f"unset {name}",
        )  # fmt: skip
    if not absent:
        yield Finding("certificates", "ok", "Those of the system, or files that are there.")


def _exists(path: str) -> bool:
    return Path(path).exists()


def _port() -> Iterator[Finding]:
    try:
        listeners = bind_loopback("127.0.0.1", 0)
    except OSError as error:
        said = f"No port on 127.0.0.1 can be opened: {error.strerror}."
        yield Finding("port", "fail", said, "Sign in with --device, or paste the answer.")
        return
    for listener in listeners:
        listener.close()
    yield Finding("port", "ok", "A sign-in can wait at 127.0.0.1.")


def _plugins(harbor: Harbor) -> Iterator[Finding]:
    listed = list_providers(harbor)
    for each in listed:
        if each.problem is not None:
            yield Finding("plugins", "warn", each.problem.message, each.problem.next_step)
    for plugin in plugins(harbor):
        yield Finding("plugins", "ok", str(plugin))
        if plugin.problem is not None:
            yield Finding("plugins", "warn", plugin.problem.message, plugin.problem.next_step)
    sound = [each for each in listed if each.problem is None]
    shipped = ", ".join(f"{each.name} ({each.distribution or 'given'})" for each in sound)
    yield Finding("plugins", "ok", f"{len(sound)} can be used: {shipped or 'none'}.")


def _registration(harbor: Harbor) -> Iterator[Finding]:
    docked = {entry.grant for entry in harbor.settings.servers.values() if entry.grant}
    providers = {grant.partition("@")[0].partition("/")[0] for grant in docked}
    lacking = 0
    for name in sorted(providers & set(harbor.provider_names())):
        for outlook in outlooks(harbor, name):
            if outlook.missing and outlook.grant in docked:
                lacking += 1
                said = f"{outlook.grant} lacks {outlook.missing}."
                yield Finding("registration", "warn", said, "\n".join(outlook.steps))
    if not lacking:
        yield Finding("registration", "ok", "Every docked server's provider knows a client.")


def _agreements(harbor: Harbor) -> Iterator[Finding]:
    waiting = 0
    for entry in harbor.settings.servers.values():
        try:
            check_approved(harbor, entry)
        except ConfigurationError as error:
            waiting += 1
            yield Finding("agreements", "warn", error.message, error.next_step)
    if not waiting:
        yield Finding("agreements", "ok", "Every docked server is as it was docked.")


def _installation() -> Iterator[Finding]:
    """Check for the libraries that the documented commands import."""
    here = installation.current()
    lacking = installation.missing_extras(("cli", "gateway", "testing"))
    for extra in lacking:
        said = f"The extra '{extra}' is not installed whole: {_USES[extra]} cannot work."
        yield Finding("installation", "warn", said, here.add_extra(extra))
    if not lacking:
        said = f"All that the commands need is installed ({here.kind}, {here.prefix})."
        if installation.missing_extras(("desktop",)):
            said += f" The window is not; to add it: {here.add_extra('desktop')}"
        yield Finding("installation", "ok", said)


def _command(environ: Mapping[str, str], executable: str) -> Iterator[Finding]:
    found = shutil.which("harbor", path=environ.get("PATH"))
    own = own_command(executable)
    beside = Path(executable).with_name("harbor.exe" if sys.platform == "win32" else "harbor")
    if found is None:
        said = "No `harbor` is on PATH; this one is " + " ".join(own)
        yield Finding("command", "warn", said, f"export PATH={Path(own[0]).parent}:$PATH")
    elif beside.exists() and not _same(found, str(beside)):
        said = f"`harbor` on PATH is {found}, and not this one, {beside}."
        yield Finding("command", "warn", said, "Remove one of them.")
    elif others := _other_owners():
        said = f"{', '.join(others)} takes the command `harbor` in this environment too."
        yield Finding("command", "warn", said, f"Use {own[0]}, or install one of them elsewhere.")
    else:
        yield Finding("command", "ok", f"`harbor` on PATH is {found}.")


def _other_owners() -> list[str]:
    """Return the other distributions here whose `harbor` may have replaced this one's."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads all metadata; doctor only

    return sorted(
        script.dist.name if script.dist else script.value
        for script in entry_points(group="console_scripts", name="harbor")
        if script.value != "harbor_oauth.cli:main"
    )


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _hosts(found: Iterator[OwnEntry]) -> Iterator[Finding]:
    gone = 0
    listed = list(found)
    for entry in listed:
        if entry.command is not None and not entry.command.exists():
            gone += 1
            said = f"{entry.name} in {entry.path} starts {entry.command}, which is gone."
            step = f"harbor connect {entry.host} {entry.server}"
            yield Finding("hosts", "fail", said, step)
    if not gone:
        yield Finding("hosts", "ok", f"{len(listed)} entries, and what each starts is there.")


def _compared(check: str, resource: Resource, now: ServerMetadata) -> Finding:
    """Compare the pinned metadata, or the pinned issuer alone, with what is published."""
    changed = []
    if resource.metadata is not None:
        for field in _PINNED:
            pinned, published = getattr(resource.metadata, field), getattr(now, field)
            if pinned is not None and pinned != published:
                changed.append(f"{field} is {published}, not {pinned}")
    elif resource.issuer is not None and resource.issuer != now.issuer:
        changed.append(f"issuer is {now.issuer}, not {resource.issuer}")
    if changed:
        said = f"The vendor has changed: {'; '.join(changed)}."
        return Finding(check, "warn", said, "Update the provider's distribution.")
    return Finding(check, "ok", "As published now.")
