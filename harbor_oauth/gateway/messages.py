"""JSON-RPC messages of MCP on their way from standard input to HTTP.

From 2026-07-28 on a message names its revision itself, and repeats in header
fields what proxies are to see (MCP 2026-07-28, "Transports: Streamable HTTP").
Before, that was settled once by `initialize`. Pure: values in, values out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = [
    "Parameters",
    "header_parameters",
    "is_request",
    "mirrored",
    "revision_of",
    "single_line",
]

_REVISION: Final = "io.modelcontextprotocol/protocolVersion"
_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ANNOTATION: Final = "x-mcp-header"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_PLAIN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ENCODED: Final = re.compile(r"=\?base64\?.*\?=")
_TYPES: Final = frozenset({"string", "integer", "boolean"})

Parameters = Mapping[tuple[str, ...], str]
"""Paths of a tool's arguments to the last part of the header that repeats each."""


def is_request(message: Mapping[str, Any]) -> bool:
    """Say whether a message wants an answer."""
    return "method" in message and message.get("id") is not None


def revision_of(message: Mapping[str, Any]) -> str | None:
    """Return the revision that a message names itself; None up to 2025-11-25."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    revision = meta.get(_REVISION) if isinstance(meta, dict) else None
    return revision if isinstance(revision, str) else None


def mirrored(
    message: Mapping[str, Any], revision: str, parameters: Parameters
) -> list[tuple[str, str]]:
    """Return the header fields that repeat what a message says.

    Args:
        message: The message.
        revision: The revision that it names.
        parameters: What the tool that it calls wants repeated.
    """
    method = str(message.get("method", ""))
    fields = [("MCP-Protocol-Version", revision), ("Mcp-Method", method)]
    params = message.get("params")
    if not isinstance(params, dict):
        return fields
    name = params.get(_NAMED.get(method, ""))
    if isinstance(name, str):
        fields.append(("Mcp-Name", _field_value(name)))
    if method == "tools/call":
        for path, token in parameters.items():
            text = _as_text(_at(params.get("arguments"), path))
            if text is not None:
                fields.append((f"Mcp-Param-{token}", _field_value(text)))
    return fields


def header_parameters(result: object) -> dict[str, Parameters]:
    """Return what the tools of a `tools/list` result want repeated, by the tool's name."""
    tools = result.get("tools") if isinstance(result, dict) else None
    found: dict[str, Parameters] = {}
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            annotated = dict(_annotated(tool.get("inputSchema"), ()))
            if annotated:
                found[tool["name"]] = annotated
    return found


def single_line(message: bytes) -> bytes:
    """Return a message that has no line break, as standard output wants it.

    JSON has none inside of strings, so that each is only white space.
    """
    return b" ".join(message.splitlines()) if b"\n" in message or b"\r" in message else message


def _annotated(schema: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, each in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(each, dict):
            continue
        token = each.get(_ANNOTATION)
        if isinstance(token, str) and _TOKEN.fullmatch(token) and each.get("type") in _TYPES:
            yield (*path, name), token
        yield from _annotated(each, (*path, name))


def _at(node: object, path: tuple[str, ...]) -> object:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _as_text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
    return None


def _field_value(text: str) -> str:
    """Return a text as a field's value; what no field carries unharmed goes as base64."""
    if _PLAIN.fullmatch(text) and not _ENCODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="
