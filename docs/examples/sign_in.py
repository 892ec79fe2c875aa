"""Sign in to an MCP server that is known by its URL only.

    python docs/examples/sign_in.py https://wiki.example/mcp

The server itself says who its authorization server is, and a client is registered there.
"""

from __future__ import annotations

import contextlib
import sys

from harbor_oauth import Harbor, HarborError
from harbor_oauth.providers import discovered_provider


def main(url: str) -> int:
    """Sign in, say what came of it, and sign out again."""
    # app= keeps this program's grants apart from those of `harbor` and other programs.
    with contextlib.closing(Harbor(app="example")) as harbor:
        try:
            status = harbor.login(
                "wiki",
                provider=discovered_provider("wiki", url),
                on_url=lambda link: print(f"If no browser opens, sign in at: {link}"),
            )
            print(f"Signed in to {status.grant}; it may: {' '.join(status.scopes)}")
            print(f"The token masks itself: {harbor.token('wiki')!r}")
            print(f"Signed out; told the server: {harbor.logout('wiki').revoked}")
        except HarborError as error:
            print(f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
