"""The one place that speaks HTTP for the library itself.

Hardened where clients are lenient: no redirect is followed, nothing is taken
from `.netrc`, the whole exchange has one deadline, the answer has a size
limit, a server that names another cannot send us where only we can go, and no
error text holds a header, a body or a query.
"""

from __future__ import annotations

from harbor_oauth.transport.client import (
    CONNECT_TIMEOUT,
    RequestsTransport,
    system_trust_adapter,
)

__all__ = ["CONNECT_TIMEOUT", "RequestsTransport", "system_trust_adapter"]
