"""How long the gateway waits, and how much it takes."""

from __future__ import annotations

import attrs

from harbor_oauth.protocol.limits import KIB, MIB

__all__ = ["KIB", "MIB", "Limits"]


@attrs.frozen
class Limits:
    """Every limit, each with a value that no honest use comes near.

    Attributes:
        header_seconds: For a caller to send its request's head.
        body_seconds: For a caller to send the next piece of a body.
        connect_seconds: For a connection to a docked server.
        first_byte_seconds: For a server to begin its answer; a tool may work
            for minutes before it says anything.
        idle_seconds: Between two pieces of an answer.
        stream_idle_seconds: Between two pieces of a stream of events.
        drain_seconds: For running requests when the gateway stops.
        held_bytes: The largest body that can be sent a second time.
        judged_bytes: The largest answer that a provider is asked to judge.
        in_flight: Requests at once; more get a 503.
        life_seconds: How long a token should still live when a stream begins.
    """

    header_seconds: float = 5.0
    body_seconds: float = 30.0
    connect_seconds: float = 10.0
    first_byte_seconds: float = 300.0
    idle_seconds: float = 60.0
    stream_idle_seconds: float = 3600.0
    drain_seconds: float = 10.0
    held_bytes: int = 4 * MIB
    judged_bytes: int = MIB
    in_flight: int = 4096
    life_seconds: float = 300.0
