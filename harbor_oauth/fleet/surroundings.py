"""Where this process runs, as far as it matters to a sign-in's way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from harbor_oauth.platform.console import ReadKeys, keystrokes
from harbor_oauth.platform.machine import CONTAINER_FILES
from harbor_oauth.platform.places import configuration_directory
from harbor_oauth.protocol.limits import LARGEST_INPUT
from harbor_oauth.protocol.secret_text import one_line

__all__ = [
    "LARGEST_INPUT",
    "ReadKeys",
    "advice",
    "configuration_directory",
    "keystrokes",
    "one_line",
    "user_name",
]

_CONTAINER_VARIABLES: Final = ("container", "REMOTE_CONTAINERS", "CODESPACES")
_OVER_SSH: Final = (
    "This is a session over SSH. Let the machine with the browser reach this port; in another "
    "terminal there:"
)
_IN_CONTAINER: Final = (
    "This is a container, and port {port} is inside it. Sign in on the machine with the browser, "
    "then paste the URL of the page that cannot be shown."
)
_IN_WSL: Final = "This is WSL. If the page after the sign-in cannot be shown, paste its URL here."

_SSH_PORT: Final = "22"
_UNTOLD: Final = ("", "", "THIS_MACHINE", _SSH_PORT)


def advice(
    redirect_uri: str,
    environ: Mapping[str, str],
    *,
    user: str,
    exists: Callable[[str], bool] = os.path.exists,
) -> tuple[str, ...]:
    """Say how a browser elsewhere can reach the port that waits here.

    Args:
        redirect_uri: The loopback URI that is waited at.
        environ: The environment.
        user: The user's name on this machine.
        exists: Whether there is a file at a path.

    Returns:
        Lines for a person; none where the browser is on this machine.
    """
    port = urlsplit(redirect_uri).port
    if connection := environ.get("SSH_CONNECTION", "").split():
        return _OVER_SSH, f"  {_forward(port, connection, user)}"
    if any(map(environ.get, _CONTAINER_VARIABLES)) or any(map(exists, CONTAINER_FILES)):
        return (_IN_CONTAINER.format(port=port),)
    return (_IN_WSL,) if environ.get("WSL_DISTRO_NAME") else ()


def _forward(port: int | None, connection: list[str], user: str) -> str:
    """Return the command that forwards the port, from sshd's own account of the connection."""
    # The addresses and ports of the client and of the server (ssh(1)).
    _, _, host, ssh_port = connection if len(connection) == len(_UNTOLD) else _UNTOLD
    where = "" if ssh_port == _SSH_PORT else f"-p {ssh_port} "
    return f"ssh -N -L {port}:127.0.0.1:{port} {where}{user}@{host}"


def user_name(environ: Mapping[str, str]) -> str:
    """Return the user's name on this machine."""
    import getpass  # noqa: PLC0415 - late: needed where there is no browser

    try:
        return environ.get("USER") or getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id that nobody gave a name
        return "USER"
