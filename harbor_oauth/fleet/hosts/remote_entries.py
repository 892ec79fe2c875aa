"""Reads a host's own entries that reach a server by URL, so that they can be docked.

An entry is taken over with all that narrows it, or left out with the reason. Its URL
is never shortened: a query may be what keeps it to one project, or to reading.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

import attrs

from harbor_oauth.fleet.hosts.host import Host
from harbor_oauth.fleet.references import announces_credential

__all__ = ["RemoteServer", "read_remote"]

# Members that say how the host starts or shows an entry, and nothing of its access.
_HARMLESS: Final = frozenset(
    {
        *("type", "transport", "url", "name", "description", "note", "version", "gallery", "icon"),
        *("timeout", "startup_timeout_sec", "startup_timeout_ms", "tool_timeout_sec", "required"),
        *("supports_parallel_tool_calls", "alwaysLoad", "dev"),
    }
)
_HEADERS: Final = frozenset({"headers", "http_headers", "env_http_headers"})
_FILTERS: Final = frozenset(
    {
        *("tools", "enabled_tools", "disabled_tools", "enabledTools", "disabledTools"),
        *("includeTools", "excludeTools", "allowedTools", "toolFilter", "tool_filter"),
    }
)
# What a filter holds that filters nothing. An empty list of allowed tools allows none.
_ALL_TOOLS: Final[Mapping[str, tuple[object, ...]]] = {
    **dict.fromkeys(_FILTERS, (None, ["*"])),
    **dict.fromkeys(("disabled_tools", "disabledTools", "excludeTools"), (None, [])),
}
_APPROVALS: Final = frozenset({"alwaysAllow", "autoApprove", "default_tools_approval_mode"})

# Options of mcp-remote that change nothing of what is reached; True for one with a value.
_OPTIONS: Final = {
    "--transport": True,
    "--host": True,
    "--auth-timeout": True,
    "--debug": False,
    "--silent": False,
    "--allow-http": False,
    "--enable-proxy": False,
}

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")
# Words that announce a credential; `project_ref` and `account_id` are none.
_SECRET_WORDS: Final = frozenset(
    {
        *("key", "apikey", "token", "secret", "password", "passwd", "pwd", "pass", "passphrase"),
        *("sig", "signature", "auth", "authorization", "code", "credential", "credentials"),
        *("jwt", "pat", "bearer", "session", "cookie", "hmac", "private"),
    }
)
_SECRET_ENDS: Final = ("apikey", "token", "secret", "password", "accesskey")
_IDENTIFIES: Final = re.compile(r"(?:^|[_\-.])(?:id|ids|ref|uuid|org|team|account|project)$")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Prefixes that vendors give their tokens; a JWT begins with `eyJ`, which is `{"` in base64.
_SECRET_VALUE: Final = re.compile(
    r"(?:(?:Bearer|Basic|token)\s+\S"
    r"|eyJ[\w-]{10,}|gh[pousr]_|github_pat_|glpat-|sk[-_]|[rps]k_(?:live|test)_|xox[a-z]-|xapp-"
    r"|lin_(?:api|oauth)_|napi_|sbp_|vcp_|ntn_|secret_|figd_|sntry[su]_|AKIA|AIza|ya29\.|ATATT"
    r"|shp[a-z]{2}_|hf_|npm_|pypi-|dop_v1_)",
)
_RANDOM: Final = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[\w+/=~.-]{24,}|[0-9a-f]{32,}")


@attrs.frozen
class RemoteServer:
    """A server that a host reaches by URL, and not through Harbor.

    Attributes:
        name: What it can be docked as: the entry's name, in the letters that
            a server's name may have.
        url: Its URL, whole. Empty where the entry cannot be docked.
        headers: The fields that the host sends to it; no secret is among them.
        entry: The entry's name in the host's file.
        refused: Why it cannot be docked as it is; empty where it can.
        next_step: What to do about that.
    """

    name: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    entry: str = ""
    refused: str = ""
    next_step: str = ""


class _RefusedError(Exception):
    """An entry cannot be docked with the meaning that it has for its host."""

    def __init__(self, reason: str, next_step: str = "") -> None:
        super().__init__(reason)
        self.next_step = next_step


def read_remote(known: Host, entry: str, members: object) -> RemoteServer | None:
    """Return the server that an entry reaches; None where it starts a program of its own.

    Args:
        known: The host.
        entry: The entry's name.
        members: What stands in the file under that name.
    """
    if not isinstance(members, dict):
        return None
    name = _server_name(entry)
    try:
        url, headers = _address(members)
        if url is None:
            return None
        _check_url(name, url)
        _check_headers(name, url, headers)
        by_hand = _with_secrets(name, url, headers, ["Authorization"])
        _check_members(known, _dock(name, url, headers), members, by_hand)
    except _RefusedError as refused:
        return RemoteServer(
            name, "", entry=entry, refused=str(refused), next_step=refused.next_step
        )
    if not name:
        return RemoteServer(
            name,
            "",
            entry=entry,
            refused="its name has no letter that a server's name may have",
            next_step=shlex.join(_dock("NAME", url, headers)),
        )
    return RemoteServer(name, url, headers, entry)


def _server_name(entry: str) -> str:
    """Return an entry's name in the letters of a server's name."""
    plain = unicodedata.normalize("NFKD", entry).casefold()
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")


def _address(members: Mapping[str, object]) -> tuple[str | None, dict[str, str]]:
    """Return the URL and the headers of an entry, or of one that starts `mcp-remote`."""
    url = members.get("url")
    if isinstance(url, str):
        headers: dict[str, str] = {}
        for key in sorted(_HEADERS & members.keys()):
            fields = _texts(key, members[key])
            if key == "env_http_headers":  # names of variables; as a value would name them
                fields = {header: f"${{{variable}}}" for header, variable in fields.items()}
            headers |= fields
        return url, headers
    args = members.get("args")
    listed = args if isinstance(args, list) else []
    words = [str(members.get("command", "")), *(word for word in listed if isinstance(word, str))]
    for position, word in enumerate(words):
        stem = Path(PureWindowsPath(word).name).stem if position == 0 else word
        if stem.partition("@")[0] == "mcp-remote":
            return _proxied(words[position + 1 :])
    return None, {}


def _proxied(words: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Read the arguments of `mcp-remote`."""
    url, headers = None, {}
    rest = iter(words)
    for word in rest:
        option, equals, _ = word.partition("=")
        if word == "--header":
            name, _, text = next(rest, "").partition(":")
            headers[name.strip()] = text.strip()
        elif option in _OPTIONS:
            if _OPTIONS[option] and not equals:
                next(rest, None)
        elif word.startswith("-"):
            raise _RefusedError(f"mcp-remote's option {option} has no equal here")
        elif url is None:
            url = word
        elif not word.isdecimal():  # the port of its callback
            raise _RefusedError("it starts mcp-remote with an argument that is not known")
    return url, headers


def _check_members(
    known: Host, dock: Sequence[str], members: Mapping[str, object], extra: str
) -> None:
    """Refuse an entry with a switch, a filter or a credential that docking would lose.

    Args:
        known: The host.
        dock: The command that docks it without them.
        members: The entry.
        extra: The command that stores a secret for it.
    """
    command = shlex.join(dock)
    if members.get("disabled") or not members.get("enabled", True):
        raise _RefusedError(f"it is switched off in {known.title}", command)
    started = set() if "url" in members else {"command", "args", "env"}
    for key, value in members.items():
        if key in {"enabled", "disabled", *started, *_HARMLESS, *_HEADERS}:
            continue
        if key in _FILTERS:
            if value not in _ALL_TOOLS[key]:
                raise _RefusedError(f"{key!r} keeps it to some tools, which Harbor does not")
        elif not value:
            continue
        elif key in _APPROVALS:
            raise _RefusedError(
                f"{key!r} decides which tools run unasked, and stays there", command
            )
        elif key == "scopes" and isinstance(value, list):
            scopes = [word for scope in value for word in ("--scope", str(scope))]
            raise _RefusedError("it asks for scopes of its own", shlex.join([*dock, *scopes]))
        elif announces_credential(key) or key == "bearer_token_env_var":
            raise _RefusedError(f"{key!r} names a secret, which is taken over by hand", extra)
        else:
            raise _RefusedError(f"{key!r} has no equal in Harbor", command)


def _check_url(name: str, url: str) -> None:
    """Refuse a URL that is none, is filled in by the host, or may hold a secret."""
    if found := _PLACEHOLDER.search(url):
        step = f"With the value in its place: {shlex.join(_dock(name, 'URL'))}"
        raise _RefusedError(f"its URL holds {found[0]}, which the host fills in", step)
    parts = _parts(url)
    secrets = _secrets(parts.query)
    # Only what authenticates is left out of what is proposed; what narrows is not.
    kept = [pair for pair in parts.query.split("&") if not _secrets(pair)]
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, host, parts.path, "&".join(kept), ""))
    if "@" in parts.netloc:
        step = _with_secrets(name, bare, {}, ["Authorization"], scheme="Basic ")
        raise _RefusedError("its URL holds a user or a password", step)
    if secrets:
        raise _RefusedError(
            f"its parameter {secrets[0]!r} may be a secret, which config.toml does not hold",
            _with_secrets(name, bare, {}, ["HEADER"]),
        )
    if parts.fragment:
        reason = "its URL has a fragment, which no server sees"
        raise _RefusedError(reason, shlex.join(_dock(name, bare)))


def _parts(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"https", "http"} and parts.hostname and parts.port != 0:
            return parts
    raise _RefusedError("its URL is not an http or https URL")


def _check_headers(name: str, url: str, headers: Mapping[str, str]) -> None:
    """Refuse headers that the host fills in, or that may be a secret."""
    secret = [
        header
        for header, value in headers.items()
        if announces_credential(header) or _may_be_secret(header, value)
    ]
    others = {
        header: "VALUE" if _PLACEHOLDER.search(value) else value
        for header, value in headers.items()
        if header not in secret
    }
    if secret:
        raise _RefusedError(
            f"its header {secret[0]!r} may be a secret, which is taken over by hand",
            _with_secrets(name, url, others, secret),
        )
    for header, value in headers.items():
        if found := _PLACEHOLDER.search(value):
            step = shlex.join(_dock(name, url, others))
            reason = f"its header {header!r} holds {found[0]}, which the host fills in"
            raise _RefusedError(reason, step)
        if "vault:" in value:  # would read a secret that the file's author only named
            raise _RefusedError(f"its header {header!r} names a secret of this vault")


def _texts(key: str, value: object) -> dict[str, str]:
    value = value or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise _RefusedError(f"{key!r} is not a table of texts")
    return value


def _secrets(query: str) -> list[str]:
    """Return the names of a query's parameters that may be secrets."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return [name for name, value in pairs if _may_be_secret(name, value)]


def _may_be_secret(name: str, value: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    joined = "".join(words)
    if _SECRET_VALUE.match(value):
        return True
    if set(words) & _SECRET_WORDS or joined.endswith(_SECRET_ENDS):
        return True
    identifies = _IDENTIFIES.search("_".join(words))
    return not identifies and _RANDOM.fullmatch(value) is not None


def _dock(name: str, url: str, headers: Mapping[str, str] | None = None) -> list[str]:
    words = ["harbor", "dock", "--name", name or "NAME", "--url", url]
    for header, value in (headers or {}).items():
        words += ["-H", f"{header}: {value}"]
    return words


def _with_secrets(
    name: str, url: str, headers: Mapping[str, str], secret: Sequence[str], *, scheme: str = ""
) -> str:
    """Return the commands that hand secrets over by their names in the vault."""
    keys = {
        header: re.sub(r"[^a-z0-9]+", "-", f"{name or 'name'}-{header}".lower()).strip("-")
        for header in secret
    }
    fields = dict(headers)
    for header, key in keys.items():
        before = scheme or ("Bearer " if header.lower().endswith("authorization") else "")
        fields[header] = f"{before}vault:{key}"
    stored = [f"harbor chest set {key}" for key in keys.values()]
    return "\n".join([*stored, shlex.join(_dock(name, url, fields))])
