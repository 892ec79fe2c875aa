"""An entry is started as a host starts it, and says what is wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harbor_oauth.errors import ConfigurationError, LoginRequiredError, UpstreamError
from harbor_oauth.fleet.hosts import ProgramEntry, list_tools
from harbor_oauth.fleet.hosts.trial import bare_environment

SERVER = """
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        answer = {"result": {"protocolVersion": "2025-11-25"}}
    elif message["method"] == "tools/list" and not message["params"]:
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}))
        answer = {"result": {"tools": [{"name": os.getcwd()}], "nextCursor": "2"}}
    elif message["method"] == "tools/list":
        answer = {"result": {"tools": [{"name": name} for name in sorted(os.environ)]}}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""


def entry(code: str, *args: str) -> ProgramEntry:
    return ProgramEntry("linear", sys.executable, ("-c", code, *args), {"HARBOR_HOME": "/h"})


def test_a_server_is_asked_with_an_empty_environment(tmp_path: Path) -> None:
    """It sees HOME, PATH and what the entry sets, from the root; pages are followed."""
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin", "SECRET": "x", "HARBOR_VAULT": "memory"}
    root, *variables = list_tools(entry(SERVER), environ)
    assert root == "/"
    assert set(variables) - {"LC_CTYPE"} == {"HARBOR_HOME", "HOME", "PATH"}  # C locale coercion


def test_what_windows_needs_is_passed_on() -> None:
    """Without SYSTEMROOT no program starts there."""
    environ = {"SYSTEMROOT": "C", "PATH": "p", "USERPROFILE": "u", "TOKEN": "x"}
    assert bare_environment(environ, "win32") == {
        "SYSTEMROOT": "C",
        "PATH": "p",
        "USERPROFILE": "u",
    }


def test_a_program_that_is_gone() -> None:
    """The path is named."""
    with pytest.raises(ConfigurationError, match="/gone/harbor cannot be started: No such file"):
        list_tools(ProgramEntry("linear", "/gone/harbor", ("bridge", "linear")), {})


def test_a_program_that_ends() -> None:
    """Its code and Harbor's own last error are told, and the line to try by hand."""
    code = "import sys; print('noise\\nerror: no vault.\\nnext: x', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ConfigurationError) as raised:
        list_tools(entry(code, "bridge", "linear"), {})
    assert raised.value.message == (
        "The entry for linear ended with exit code 3 before it answered (error: no vault)."
    )
    assert raised.value.next_step.startswith(f"See for yourself: {sys.executable} -c ")
    with pytest.raises(ConfigurationError) as raised:
        list_tools(entry(code, "run", "linear"), {})
    assert "no vault" not in raised.value.message  # another's words may hold its secrets


def test_a_program_that_says_something_else() -> None:
    """What is no JSON-RPC message is not waited behind."""
    with pytest.raises(ConfigurationError, match="no message to its standard output"):
        list_tools(entry("print('hello')"), {})


def test_a_program_that_does_not_answer() -> None:
    """The time ends, and the program with it."""
    code = "import sys; sys.stdin.read()"
    with pytest.raises(ConfigurationError, match="does not answer in time"):
        list_tools(entry(code), {}, patience=0.0)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            {"message": "m", "data": {"error": "login_required", "grant": "linear@a", "next": "n"}},
            LoginRequiredError,
            "m n",
        ),
        ({"message": "nope"}, UpstreamError, "linear refused to list its tools: nope"),
        (
            {"message": "m", "data": {"error": "failed", "error_description": "d", "next": "n"}},
            UpstreamError,
            "linear refused to list its tools: d n",
        ),
    ],
)
def test_a_refusal(error: dict[str, object], kind: type[Exception], text: str) -> None:
    """The bridge's errors keep their class and their next step."""
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error})
    with pytest.raises(kind) as raised:
        list_tools(entry(f"import sys; print({answer!r}, flush=True); sys.stdin.read()"), {})
    assert str(raised.value) == text
