"""A real `django-oauth-toolkit` for the end-to-end tests: no discovery, terse errors.

One person is always signed in, one public client must use PKCE, one view wants a token. Prints
one JSON line when it listens; ends when its standard input ends. `$HARBOR_E2E_DJANGO` holds
its settings: `{"access_token_seconds": 3600}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

CLIENT_ID: Final = "harbor-e2e"
PAGES: Final = "tests.e2e.django_pages"


def configure(access_token_seconds: int) -> None:
    """Set Django up, and make the person and the client."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
        # The tables as they are now, instead of their history one change at a time.
        MIGRATION_MODULES=dict.fromkeys(["auth", "contenttypes", "oauth2_provider"]),
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", f"{PAGES}.as_ada"],
        OAUTH2_PROVIDER={
            "ACCESS_TOKEN_EXPIRE_SECONDS": access_token_seconds,
            "PKCE_REQUIRED": True,
            "SCOPES": {"read": "Read", "write": "Write"},
        },
        ROOT_URLCONF=PAGES,
        SECRET_KEY="only for one test",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from django.contrib.auth.models import User
    from oauth2_provider.models import get_application_model

    User.objects.create_user("ada")
    get_application_model().objects.create(
        client_id=CLIENT_ID,
        client_type="public",
        authorization_grant_type="authorization-code",
        name="Harbor",
        redirect_uris="http://127.0.0.1/callback",
    )


class Quiet(WSGIRequestHandler):
    """Logs nothing: a request line may hold a code."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


def main() -> None:
    """Serve on a free loopback port until standard input ends."""
    given = json.loads(os.environ["HARBOR_E2E_DJANGO"])
    # The database is this thread's own, so every request is answered in this thread.
    configure(given["access_token_seconds"])
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:

        def end_with_input() -> None:
            sys.stdin.read()
            server.shutdown()

        threading.Thread(target=end_with_input, daemon=True).start()
        said = {"origin": f"http://127.0.0.1:{server.server_port}", "client_id": CLIENT_ID}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
