"""The pages a person may see at the double: consent, a device's code, a refusal."""

from __future__ import annotations

from html import escape
from typing import Final

from werkzeug import Response

__all__ = ["code_page", "consent_page", "done_page", "error_page"]

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto }}
button {{ font: inherit; padding: .4rem 1.2rem; margin-right: .5rem }}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def consent_page(client_id: str, account: str, scopes: tuple[str, ...]) -> Response:
    """Ask the person; the form posts the decision to the same URL."""
    body = f"""<p>Signed in as <b>{escape(account)}</b>.
<b>{escape(client_id)}</b> asks for: {escape(", ".join(scopes)) or "no scope"}.</p>
<form method="post">
<button id="allow" name="decision" value="allow">Allow</button>
<button id="deny" name="decision" value="deny">Deny</button>
</form>"""
    return _page("Practice sign-in", body, 200)


def code_page() -> Response:
    """Ask for the code a device shows (RFC 8628 §3.3)."""
    body = """<form>
<label>The code your device shows <input name="user_code" autocomplete="off"></label>
<button id="continue">Continue</button>
</form>"""
    return _page("Connect a device", body, 200)


def done_page(text: str) -> Response:
    """Say what was decided, where there is no way back to a program."""
    return _page("Done", f"<p>{escape(text)}</p>", 200)


def error_page(text: str) -> Response:
    """Say what is wrong where no redirect may be made."""
    return _page("Request refused", f"<p>{escape(text)}</p>", 400)


def _page(title: str, body: str, status: int) -> Response:
    content = _PAGE.format(title=escape(title), body=body)
    return Response(content, status, content_type="text/html; charset=utf-8")
