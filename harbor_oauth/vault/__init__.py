"""Where grants, clients and secrets are kept: a storage joined to a key source.

``names`` and ``records`` are pure. Nothing here loads a keychain's or a
cipher's library before it is needed.
"""

from __future__ import annotations

from harbor_oauth.vault.keys import KeySource, MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import (
    DEFAULT_ACCOUNT,
    GrantKey,
    GrantName,
    client_record_name,
    grant_record_name,
    papers_record_name,
    parse_grant_name,
    parse_key,
)
from harbor_oauth.vault.opening import open_vault, set_vault_aside
from harbor_oauth.vault.records import ClientRecord, GrantRecord
from harbor_oauth.vault.sealed import Write
from harbor_oauth.vault.storage import (
    Append,
    ClearIntent,
    Delete,
    Event,
    Intent,
    Lease,
    PutIntent,
    Storage,
)
from harbor_oauth.vault.vault import Vault

__all__ = [
    "DEFAULT_ACCOUNT",
    "Append",
    "ClearIntent",
    "ClientRecord",
    "Delete",
    "Event",
    "GrantKey",
    "GrantName",
    "GrantRecord",
    "Intent",
    "KeySource",
    "Lease",
    "MemoryKeySource",
    "MemoryStorage",
    "PutIntent",
    "Storage",
    "Vault",
    "Write",
    "client_record_name",
    "grant_record_name",
    "open_vault",
    "papers_record_name",
    "parse_grant_name",
    "parse_key",
    "set_vault_aside",
]
