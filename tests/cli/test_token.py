"""`harbor token`, `exec` and `credentials`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.variables import token_variables
from harbor_oauth.providers import NativeServer, OAuthProvider, Resource
from harbor_oauth.settings import token_variable

Cli = Callable[..., Any]


@pytest.fixture
def token(cli: Cli) -> str:
    assert cli("dock", "practice").code == 0
    return str(cli("token", "practice").out.strip())


def test_each_form_of_a_token(cli: Cli, token: str) -> None:
    """The bare one, a header field, JSON, and lines for a shell."""
    assert cli("token", "practice", "--format", "plain").out == f"{token}\n"
    assert cli("token", "practice", "--format", "header").out == f"Authorization: Bearer {token}\n"
    assert cli("token", "practice", "--format", "env").out == (
        f"export HARBOR_TOKEN_PRACTICE={token}\n"
    )
    told = json.loads(cli("token", "practice", "--format", "json").out)
    assert told["access_token"] == token
    assert (
        cli("token", "practice", "--json").out == cli("token", "practice", "--format", "json").out
    )


def test_a_credential_process_s_answer(cli: Cli, token: str) -> None:
    """Version, token, and when it ends in RFC 3339."""
    told = json.loads(cli("credentials", "process", "practice").out)
    assert (told["Version"], told["AccessToken"]) == (1, token)
    assert told["Expiration"].endswith("Z")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_credential(
    cli: Cli, make_harbor: Callable[..., Harbor], harbor: Harbor, token: str, version: str
) -> None:
    """In the version that kubectl asks for."""
    asked = {"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential"}
    environ = {**harbor.settings.environ, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    told = json.loads(
        cli("credentials", "kubectl", "practice", with_=make_harbor(environ=environ)).out
    )
    assert told["apiVersion"] == asked["apiVersion"]
    assert told["kind"] == "ExecCredential"
    assert told["status"]["token"] == token
    assert told["status"]["expirationTimestamp"].endswith("Z")


def test_nonsense_from_kubectl_is_said(
    cli: Cli, make_harbor: Callable[..., Harbor], harbor: Harbor, token: str
) -> None:
    """And no token is given."""
    environ = {**harbor.settings.environ, "KUBERNETES_EXEC_INFO": "{"}
    ran = cli("credentials", "kubectl", "practice", with_=make_harbor(environ=environ))
    assert (ran.code, ran.out) == (1, "")
    assert "KUBERNETES_EXEC_INFO" in ran.err


@pytest.mark.parametrize(
    ("words", "variable"), [("practice", "HARBOR_TOKEN_PRACTICE"), ("practice=KEY", "KEY")]
)
def test_exec_hands_a_token_to_a_program(
    make_harbor: Callable[..., Harbor], words: str, variable: str, tmp_path: Path
) -> None:
    """Under Harbor's own name or the given one; the exit code is the program's."""
    harbor = make_harbor(clock=time.time)  # the other process looks at the real one
    harbor.login("practice")
    home = harbor.settings.home
    code = f"import os, sys; print(os.environ[{variable!r}]); sys.exit(7)"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "harbor_oauth", "exec", words, "--"),
            *(sys.executable, "-c", code),
        ],
        env={
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "HARBOR_VAULT": "keyfile",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"{harbor.token('practice').reveal()}\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "Name a grant"),
        (("practice",), 2, "Name a grant"),
        (("--", "true"), 2, "Name a grant"),
        (("practice=1X", "--", "true"), 2, "no name for a variable"),
        (("nobody", "--", "true"), 4, "nobody"),
        (("practice", "--", "no-such-program"), 127, "is not found"),
        (("practice", "--", "/etc/passwd"), 126, "cannot be executed"),
    ],
)
def test_exec_says_what_is_wrong(
    cli: Cli, token: str, words: tuple[str, ...], code: int, said: str
) -> None:
    """As a shell does."""
    ran = cli("exec", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_the_variables_of_a_provider_s_own_tools(make_harbor: Callable[..., Harbor]) -> None:
    """Those that its programs read, and Harbor's own as the last."""
    api, mcp = (
        Resource(
            name=name,
            servers=(f"https://{name}.example",),
            allowed_origins=(f"https://{name}.example",),
        )
        for name in ("api", "mcp")
    )
    program = NativeServer(
        name="tool",
        resource="api",
        command=("tool",),
        env={"TOOL_TOKEN": "vault:oauth:suite/api:access_token", "MODE": "fast"},
    )
    suite = OAuthProvider(
        name="suite", display_name="Suite", resources=(mcp, api), native_servers=(program,)
    )
    harbor = make_harbor(providers={"suite": suite})
    assert token_variables(harbor, "suite/api") == ("TOOL_TOKEN", "HARBOR_TOKEN_SUITE_API")
    assert token_variables(harbor, "suite") == ("HARBOR_TOKEN_SUITE",)
    assert token_variables(harbor, "nobody@work") == ("HARBOR_TOKEN_NOBODY_WORK",)


def test_harbor_s_own_variable_is_the_one_it_reads(make_harbor: Callable[..., Harbor]) -> None:
    """A Harbor in the child takes the token from there."""
    harbor = make_harbor(environ={token_variable("a-b/api@c.d"): "given"})
    given = harbor.settings.token_from_environment("a-b/api@c.d")
    assert given is not None
    assert given.reveal() == "given"
