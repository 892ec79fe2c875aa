"""Starts an entry the way a host would, and asks it for its tools.

A host knows nothing of the shell it was configured from: what works here works
there.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Final

from harbor_oauth import installation
from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    LoginRequiredError,
    UpstreamError,
)
from harbor_oauth.fleet.hosts.host import GATEWAY_HEADER, GatewayEntry, ProgramEntry
from harbor_oauth.fleet.tools import count_tools
from harbor_oauth.settings import ServerEntry

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["bare_environment", "check_start", "count_at_gateway", "list_tools"]

_REVISION: Final = "2025-11-25"
_PAGES: Final = 50
_GRACE: Final = 5.0
_LAST: Final = 4096

# Without the second line no program starts on Windows, or finds its user's files.
_VARIABLES: Final = {
    "win32": ("PATH", "PATHEXT", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "APPDATA"),
}
_POSIX: Final = ("HOME", "PATH")


def bare_environment(environ: Mapping[str, str], platform: str = sys.platform) -> dict[str, str]:
    """Return the least that a host passes on to what it starts."""
    names = _VARIABLES.get(platform, _POSIX)
    return {name: value for name in names if (value := environ.get(name)) is not None}


def check_start(
    entries: Iterable[ProgramEntry | GatewayEntry],
    environ: Mapping[str, str] | None = None,
    *,
    patience: float = 60.0,
) -> None:
    """Check that a host can start what entries name, before they are written.

    Args:
        entries: The entries. The gateway is not started by a host.
        environ: The host's environment; the process's own when left out.
        patience: Seconds that a program may take to name its version.

    Raises:
        ConfigurationError: One cannot be started, or lacks a library.
    """
    programs = [entry for entry in entries if isinstance(entry, ProgramEntry)]
    bridged = any("bridge" in entry.args for entry in programs)
    wanted = ("cli", "gateway") if bridged else ("cli",)
    if programs and (lacking := installation.missing_extras(wanted)):
        raise ConfigurationError(
            f"What the entry starts needs the extra '{lacking[0]}', which is not installed.",
            next_step=f"Run: {installation.current().add_extra(lacking[0])}",
        )
    bare = bare_environment(os.environ if environ is None else environ)
    # Entries differ in what comes last, the verb and the server.
    for command in dict.fromkeys((entry.command, *entry.args[:-2]) for entry in programs):
        _check_version(command, bare, patience)


def _check_version(command: tuple[str, ...], environ: Mapping[str, str], patience: float) -> None:
    try:
        done = subprocess.run(
            [*command, "--version"],
            env=dict(environ),
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - Path has no name for the root
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
    except OSError as error:
        raise _not_started(command[0], str(error.strerror)) from None
    except subprocess.TimeoutExpired:
        raise _not_started(command[0], "it does not answer") from None
    if done.returncode:
        raise _not_started(command[0], f"it ends with exit code {done.returncode}")


def _not_started(program: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{program} cannot be started: {why}.",
        next_step="Install Harbor again, then connect the host again.",
    )


def list_tools(
    entry: ProgramEntry,
    environ: Mapping[str, str] | None = None,
    *,
    patience: float = 60.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Start an entry's program, ask for its tools, and end it.

    Args:
        entry: The entry.
        environ: The host's environment, of which little is passed on; the
            process's own when left out.
        patience: Seconds for all of it.
        monotonic: Seconds that never go back.

    Returns:
        The names of the tools.

    Raises:
        LoginRequiredError: Somebody has to sign in first.
        UpstreamError: The server refused.
        ConfigurationError: The program cannot be started, ends, or does not answer.
    """
    env = {**bare_environment(os.environ if environ is None else environ), **entry.env}
    deadline = monotonic() + patience
    with tempfile.TemporaryFile() as said, _started(entry, env, said) as child:
        conversation = _Conversation(entry, child, said, lambda: deadline - monotonic())
        conversation.call(
            "initialize",
            {
                "protocolVersion": _REVISION,
                "capabilities": {},
                "clientInfo": {"name": "harbor-connect", "version": "1"},
            },
        )
        conversation.send({"method": "notifications/initialized"})
        return tuple(conversation.tools())


def count_at_gateway(harbor: Harbor, entry: GatewayEntry) -> int | None:
    """Ask the gateway for a server's tools, with the key that a host will have.

    Returns:
        Their number, or None where no list of them came back.
    """
    fields = {GATEWAY_HEADER: entry.key.reveal()}
    return count_tools(harbor, ServerEntry(entry.server, url=entry.url, headers=fields))


@contextlib.contextmanager
def _started(
    entry: ProgramEntry, env: Mapping[str, str], said: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    try:
        # In the root, as desktop programs are: nothing may depend on where this was typed.
        child = subprocess.Popen(
            [entry.command, *entry.args],
            env=dict(env),
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - Path has no name for the root
            stdin=pipe,
            stdout=pipe,
            stderr=said,
        )
    except OSError as error:
        raise _not_started(entry.command, str(error.strerror)) from None
    with child:
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close its input, which ends a server (MCP 2025-11-25, "Shutdown"); else end it by force."""
    if child.stdin:
        with contextlib.suppress(OSError):
            child.stdin.close()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()


class _Conversation:
    """Asks and waits; a thread reads, for pipes have no deadline everywhere."""

    def __init__(
        self,
        entry: ProgramEntry,
        child: subprocess.Popen[bytes],
        said: IO[bytes],
        left: Callable[[], float],
    ) -> None:
        self._entry = entry
        self._child = child
        self._said = said
        self._left = left
        self._last_id = 0
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def tools(self) -> Iterator[str]:
        """Yield the names of the tools."""
        parameters: dict[str, object] = {}
        for _ in range(_PAGES):
            result = self.call("tools/list", parameters)
            for tool in result.get("tools") or ():
                yield str(tool.get("name")) if isinstance(tool, dict) else "?"
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return
            parameters = {"cursor": cursor}

    def call(self, method: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        """Send a request and return its result."""
        self._last_id += 1
        self.send({"id": self._last_id, "method": method, "params": dict(parameters)})
        while True:
            message = self._message()
            if message.get("id") != self._last_id or "method" in message:
                continue
            if isinstance(error := message.get("error"), dict):
                raise _refused(self._entry, error)
            result = message.get("result")
            return result if isinstance(result, dict) else {}

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message; a program that has ended is found out when it is read from."""
        stdin = self._child.stdin
        assert stdin is not None, "it was started so"  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError):
            stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            stdin.flush()

    def _message(self) -> Mapping[str, Any]:
        try:
            line = self._lines.get(timeout=max(self._left(), 0.0))
        except queue.Empty:
            raise self._failed("does not answer in time") from None
        if line is None:
            code = self._child.wait(_GRACE)
            raise self._failed(f"ended with exit code {code} before it answered")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise self._failed("wrote something that is no message to its standard output")
        return message

    def _read(self) -> None:
        stdout = self._child.stdout
        assert stdout is not None, "it was started so"  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError, ValueError):
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _failed(self, what: str) -> ConfigurationError:
        words = " ".join([self._entry.command, *self._entry.args])
        return ConfigurationError(
            f"The entry for {self._entry.server} {what}{self._last_words()}.",
            next_step=f"See for yourself: {words}",
        )

    def _last_words(self) -> str:
        """Return what Harbor said last; what a program of others says may hold secrets."""
        if "bridge" not in self._entry.args:
            return ""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(self._said.tell() - _LAST, 0))
        lines = self._said.read().decode("utf-8", "replace").split("\n")
        told = [line.strip() for line in lines if line.startswith("error:")]
        return f" ({told[-1].rstrip('.')})" if told else ""


def _refused(entry: ProgramEntry, error: Mapping[str, Any]) -> HarborError:
    """Return the error that a JSON-RPC error tells of; the gateway's own have `data`."""
    data = error.get("data")
    told: Mapping[str, Any] = data if isinstance(data, dict) else {}
    message = str(told.get("error_description") or error.get("message") or "no reason given")
    next_step = str(told.get("next") or "")
    if told.get("error") == "login_required":
        grant = str(told.get("grant") or entry.server)
        return LoginRequiredError(message, grant=grant, cause="absent", next_step=next_step)
    return UpstreamError(
        f"{entry.server} refused to list its tools: {message}", next_step=next_step
    )
