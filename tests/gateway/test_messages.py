"""What MCP messages say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from harbor_oauth.gateway.messages import (
    header_parameters,
    is_request,
    mirrored,
    revision_of,
    single_line,
)

META = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, **META}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"method": "ping", "id": 1}, True),
        ({"method": "ping", "id": 0}, True),
        ({"method": "ping", "id": ""}, True),
        ({"method": "ping"}, False),
        ({"method": "ping", "id": None}, False),
        ({"result": {}, "id": 1}, False),
        ({}, False),
    ],
)
def test_what_wants_an_answer(message: dict[str, Any], wanted: bool) -> None:
    """A method and an id."""
    assert is_request(message) is wanted


@pytest.mark.parametrize(
    ("params", "revision"),
    [
        (META, "2026-07-28"),
        ({"_meta": {}}, None),
        ({"_meta": 1}, None),
        ({"_meta": {"io.modelcontextprotocol/protocolVersion": 1}}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_revision_is_in_the_message(params: object, revision: str | None) -> None:
    """From 2026-07-28 on."""
    assert revision_of({"params": params}) == revision


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (call("echo"), {"Mcp-Method": "tools/call", "Mcp-Name": "echo"}),
        (
            {"method": "resources/read", "params": {"uri": "file:///ä"}},
            {"Mcp-Method": "resources/read", "Mcp-Name": "=?base64?ZmlsZTovLy/DpA==?="},
        ),
        (
            {"method": "prompts/get", "params": {"name": " x"}},
            {"Mcp-Method": "prompts/get", "Mcp-Name": "=?base64?IHg=?="},
        ),
        (
            {"method": "tools/call", "params": {"name": "=?base64?eA==?="}},
            {"Mcp-Method": "tools/call", "Mcp-Name": "=?base64?PT9iYXNlNjQ/ZUE9PT89?="},
        ),
        ({"method": "tools/list", "params": {"name": "x"}}, {"Mcp-Method": "tools/list"}),
        ({"method": "ping"}, {"Mcp-Method": "ping"}),
    ],
)
def test_what_is_repeated(message: dict[str, Any], fields: dict[str, str]) -> None:
    """So that proxies need not read bodies; what no field carries goes as base64."""
    assert dict(mirrored(message, "2026-07-28", {})) == {
        "MCP-Protocol-Version": "2026-07-28",
        **fields,
    }


def test_arguments_that_a_tool_wants_repeated() -> None:
    """Nested ones too; what is not there, or is no scalar, is left out."""
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "price": {"type": "number", "x-mcp-header": "Price"},
            "bad": {"type": "string", "x-mcp-header": "no token"},
            "where": {"properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}},
        },
    }
    tools = [{"name": "deploy", "inputSchema": schema}, {"name": "plain", "inputSchema": {}}, 3]
    found = header_parameters({"tools": tools})
    assert set(found) == {"deploy"}
    message = call("deploy", region="eu", count=3, dry=True, where={"zone": "ü"}, price=1.5)
    fields = dict(mirrored(message, "2026-07-28", found["deploy"]))
    assert {name: value for name, value in fields.items() if "Param" in name} == {
        "Mcp-Param-Region": "eu",
        "Mcp-Param-Count": "3",
        "Mcp-Param-Dry": "true",
        "Mcp-Param-Zone": "=?base64?w7w=?=",
    }
    message = call("deploy", region=None, count=[1], where="x")
    assert not any("Param" in name for name, _ in mirrored(message, "2026-07-28", found["deploy"]))


@pytest.mark.parametrize("result", [None, [], {}, {"tools": 1}, {"tools": [{"name": 1}]}])
def test_a_strange_list_has_no_parameters(result: object) -> None:
    """Whatever a server sends."""
    assert header_parameters(result) == {}


def test_one_line() -> None:
    """White space between members may hold line breaks; strings hold none."""
    assert single_line(b'{"a":\r\n 1,\n"b": "x\\ny"}') == b'{"a":  1, "b": "x\\ny"}'
    assert single_line(b'{"a": 1}') == b'{"a": 1}'
