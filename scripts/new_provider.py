"""Write the beginnings of a provider's plugin.

python scripts/new_provider.py acme [--folder PATH]

What is left empty fails the conformance kit, each place in a test that names
it; docs/how-to/write-a-provider.md walks through them.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

PYPROJECT: Final = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "harbor-oauth-{name}"
version = "0.1.0"
description = "{title} for harbor_oauth."
readme = "README.md"
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = ">=3.11"
dependencies = ["harbor-oauth>={core},<{next_core}"]

[project.entry-points."harbor.providers"]
{name} = "{package}:PROVIDER"
"""

README: Final = """\
# harbor-oauth-{name}

{title} for harbor_oauth.

```console
$ harbor providers trust {name}
$ harbor dock {name}
```

## Your own app

1. Where it is registered, and which redirect URIs to enter.
2. `harbor chest set oauth:{name}:client_id YOUR-CLIENT-ID`
3. `harbor charter {name}/api`

## Facts

| fact | how sure | date and source |
| --- | --- | --- |
| Endpoints, PKCE, scopes, how long tokens live, how they are revoked | | |
"""

MODULE: Final = '''\
"""{title}: its API with an app of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

from typing import Final

from harbor_oauth.providers import (
    NativeServer,
    OAuthProvider,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

# Fill in what is empty; the kit says what is missing.
_API: Final = ""  # the API's origin, such as https://api.{name}.example

PROVIDER: Final = OAuthProvider(
    name="{name}",
    display_name="{title}",
    documentation="",  # the vendor's page about OAuth
    native_servers=(NativeServer(name="{name}", resource="api", url=""),),
    resources=(
        Resource(
            name="api",
            servers=(_API,),
            allowed_origins=(_API,),
            issuer="",  # the authorization server's identifier, or its origin
            # Pinned, because nothing publishes them; with discover=True (the
            # default) and no metadata they are found at the first server.
            discover=False,
            metadata=ServerMetadata(
                issuer="",
                authorization_endpoint="",
                token_endpoint="",
                # ("S256",) where the vendor checks PKCE, or ignores what it does not know.
                code_challenge_methods_supported=(),
            ),
            scopes=("",),
            # The ports an app is registered with; (0,) where the vendor takes any.
            redirect=RedirectRule(host="127.0.0.1", ports=(33418, 33419)),
            registration=(Registration.OWN_PAPERS,),
            # none, client_secret_basic or client_secret_post
            token_endpoint_auth_method="none",
            secret_required=False,
            revocation=Revocation(possible=False),
            manage_url="",  # where a person ends the app's access by hand
            registration_url="",  # where an app is registered
            registration_steps=(),  # what to do there, with the redirect URIs to enter
        ),
    ),
)
'''

TEST: Final = '''\
"""{title}, held to what every provider is held to."""

from __future__ import annotations

from pathlib import Path

from {package} import PROVIDER

from harbor_oauth.testing import ProviderConformance


class Test{camel}(ProviderConformance):
    """The kit: data, recorded answers and a round trip."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
'''

ANSWERS: Final = {
    "token": """\
{
  "kind": "token",
  "resource": "api",
  "url": "",
  "status": 200,
  "headers": {"content-type": "application/json"},
  "body": {
    "access_token": "recorded-access",
    "token_type": "bearer",
    "expires_in": 3600,
    "refresh_token": "recorded-refresh"
  },
  "expected": {
    "access_token": "recorded-access",
    "refresh_token": "recorded-refresh",
    "expires_in": 3600
  }
}
""",
    "error": """\
{
  "kind": "error",
  "resource": "api",
  "url": "",
  "status": 400,
  "headers": {"content-type": "application/json"},
  "body": {"error": "invalid_grant"},
  "expected": {"error": "invalid_grant"}
}
""",
}


def files(name: str) -> dict[str, str]:
    """Return the plugin's files: paths inside its folder to texts."""
    core = re.search(
        r'^version = "(\d+)\.(\d+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert core is not None  # noqa: S101 - it is our own file
    major, minor = map(int, core.groups())
    package = f"harbor_oauth_{name.replace('-', '_')}"
    words = {
        "name": name,
        "package": package,
        "title": name.replace("-", " ").title(),
        "camel": name.replace("-", " ").title().replace(" ", ""),
        "core": f"{major}.{minor}",
        "next_core": f"{major}.{minor + 1}",
    }
    test = f"tests/test_{name.replace('-', '_')}.py"
    return {
        "pyproject.toml": PYPROJECT.format(**words),
        "LICENSE": (ROOT / "LICENSE").read_text(encoding="utf-8"),
        "README.md": README.format(**words),
        f"{package}/__init__.py": MODULE.format(**words),
        f"{package}/py.typed": "",
        test: TEST.format(**words),
        **{f"tests/responses/api-{kind}.json": text for kind, text in ANSWERS.items()},
    }


def main(argv: list[str]) -> int:
    """Write the files; never over others."""
    parser = argparse.ArgumentParser(prog="new_provider.py", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the provider's name: a-z, 0-9 and -")
    parser.add_argument("--folder", type=Path, help="where to; plugins/harbor-oauth-NAME here")
    options = parser.parse_args(argv)
    if not _NAME.fullmatch(options.name):
        parser.error("a provider's name has 1 to 64 of a-z, 0-9 and -, not beginning with -")
    folder = options.folder or ROOT / "plugins" / f"harbor-oauth-{options.name}"
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    for path, text in files(options.name).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    print(f"Wrote {folder}")
    print(f"Next: python -m pip install -e {folder}; python -m pytest {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
