"""What the receiver answers: whole HTTP responses, made once, of constants only.

Nothing of a request is ever shown, so there is nothing to escape. A page has no
script, no link and no resource of its own; the policy allows its one style
sheet by digest.
"""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import Final

__all__ = ["DONE", "FAILED", "NO_CONTENT", "STRAY", "refusal", "see_other"]

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --line: #e3e6ea;
  --text: #1b1f24; --soft: #57606a; --sign: #1a7f4b; --tint: #e6f4ec; }
.no { --sign: #9a6700; --tint: #fbf1d9; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1215; --card: #181c20; --line: #2a3037;
    --text: #eceff2; --soft: #a3adb8; --sign: #57c98a; --tint: #17301f; }
  .no { --sign: #e0b04c; --tint: #332a14; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--text);
  font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: 100%; max-width: 27rem; padding: 2.5rem 2.25rem; text-align: center;
  background: var(--card); border: 1px solid var(--line); border-radius: 1rem; }
.sign { width: 3.25rem; height: 3.25rem; margin: 0 auto 1.25rem; border-radius: 50%;
  display: grid; place-items: center; font-size: 1.5rem; font-weight: 600;
  color: var(--sign); background: var(--tint); }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; line-height: 1.3; font-weight: 600; }
p { margin: 0; color: var(--soft); text-wrap: balance; }
p + p { margin-top: .5rem; }
"""

_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)

_SECURITY: Final = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Connection", "close"),
)


def _response(status: HTTPStatus, *fields: tuple[str, str], body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in (*fields, *_SECURITY)]
    if status is not HTTPStatus.NO_CONTENT:  # RFC 9110 §8.6
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _page(status: HTTPStatus, *, sign: str, kind: str, title: str, text: str, more: str) -> bytes:
    body = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main class="{kind}">
<div class="sign" aria-hidden="true">{sign}</div>
<h1>{title}</h1>
<p>{text}</p>
<p>{more}</p>
</main>
</body>
</html>
"""
    return _response(status, ("Content-Type", "text/html; charset=utf-8"), body=body.encode())


DONE: Final = _page(
    HTTPStatus.OK,
    sign="&#10003;",
    kind="yes",
    title="Sign-in received",
    text="Close this tab and go back to your terminal or application.",
    more="It carries on from here.",
)

FAILED: Final = _page(
    HTTPStatus.OK,
    sign="!",
    kind="no",
    title="Sign-in was not completed",
    text="Close this tab and go back to your terminal or application.",
    more="The reason is shown there.",
)

# A person sees it who comes back to the tab of an earlier sign-in.
STRAY: Final = _page(
    HTTPStatus.BAD_REQUEST,
    sign="?",
    kind="no",
    title="Not the awaited sign-in",
    text="This answer is not the one that is awaited, so it was not used.",
    more="Go back to your terminal or application and use its latest link.",
)

NO_CONTENT: Final = _response(HTTPStatus.NO_CONTENT)


def see_other(path: str) -> bytes:
    """Return the redirect that takes code and state out of the address bar (RFC 9700 §4.3.1).

    Args:
        path: One of our own paths; never a part of a request.
    """
    return _response(HTTPStatus.SEE_OTHER, ("Location", path))


def refusal(status: HTTPStatus, *, head: bool) -> bytes:
    """Return a fixed refusal in plain text.

    Args:
        status: A 4xx status.
        head: Whether the request was a HEAD, whose answer has no body.
    """
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        fields.append(("Allow", "GET"))  # RFC 9110 §15.5.6
    response = _response(status, *fields, body=f"{status.phrase}\n".encode())
    return response[: response.index(b"\r\n\r\n") + 4] if head else response
