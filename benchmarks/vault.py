"""The vault beside what it is made of: bare SQLite, a dictionary, and a cold `keyring get`.

    python3 dev.py bench vault [-- --rounds 45 --grants 10000]

What is compared takes turns, so that a machine which gets busier slows both alike; each number
is a median. It prints whether the goals are met and fails nobody: time is not a test.

- A durable write: a grant record that changes each time, through `Vault`, beside an upsert of
  as many random bytes into a bare table, WAL and `synchronous=FULL` on both sides, in the same
  directory. `write` stores one value; `store_grant` is what a sign-in and a refresh call.
- A cached token, beside a dictionary look-up and one `time.monotonic()`.
- Many grants: their names, beside a bare SELECT of as many names from rows of the same size;
  and how far the memory of a process grows that lists them and holds a token of each.
- A cold process: `harbor token` with a key file vault, beside `keyring get` with a back end
  that reads one JSON file, which is the least a back end can do. No keychain is touched.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import TokenSource
from harbor_oauth.vault import GrantKey, GrantRecord, Vault, grant_record_name
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.sealing import seal, unseal_data_key
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Put

TOKEN_BYTES: Final = 1800  # of hexadecimal text twice as long: a large JWT
CALLS: Final = 20_000
KEY: Final = GrantKey("bench", "api", "default")
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))

KEYRING_BACKEND: Final = """
import json, pathlib
from keyring.backend import KeyringBackend

class Backend(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())[service]
    def set_password(self, service, username, password):
        raise NotImplementedError
    def delete_password(self, service, username):
        raise NotImplementedError
"""


def turns(rounds: int, works: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Let each work say how long it took, turn by turn; return the medians in seconds."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(work())
    return {name: statistics.median(values) for name, values in taken.items()}


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Return a work that says how many seconds it took."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return once


def show(base: str, medians: Mapping[str, float], goals: Mapping[str, float] | None = None) -> None:
    """Print medians as multiples of one of them, and the goals that stand for some."""
    for name, seconds in medians.items():
        ratio = seconds / medians[base]
        goal = (goals or {}).get(name)
        verdict = (
            "" if goal is None else f"  goal {goal:g}: {'met' if ratio <= goal else 'NOT met'}"
        )
        print(f"  {name:46}{_unit(seconds):>12}{ratio:>8.2f}{verdict}")


def _unit(seconds: float) -> str:
    return f"{seconds * 1e9:.0f} ns" if seconds < 1e-5 else f"{seconds * 1e3:.2f} ms"


def record(key: GrantKey) -> GrantRecord:
    """Return a grant of the usual size with tokens that nothing else has."""
    return GrantRecord(
        provider=key.provider,
        resource_name=key.resource,
        account_label=key.account,
        issuer="https://login.example",
        token_endpoint="https://login.example/token",  # noqa: S106 - a URL
        client_id="client",
        token_endpoint_auth_method="none",  # noqa: S106 - a method's name
        redirect_uri="http://127.0.0.1/callback",
        allowed_origins=("https://api.example",),
        access_token=Secret(secrets.token_hex(TOKEN_BYTES)),
        refresh_token=Secret(secrets.token_hex(32)),
        obtained_at=time.time(),
        expires_at=time.time() + 86400,
    )


def environment(home: Path) -> dict[str, str]:
    """Return the settings of the vault in a directory."""
    return {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")}


def no_network(request: HttpRequest) -> HttpResponse:
    """Refuse: nothing here needs a refresh."""
    raise AssertionError(request.url)


# --- a durable write ------------------------------------------------------------
def bare(path: Path) -> sqlite3.Connection:
    """Return a bare database with a table like the vault's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE records (name TEXT PRIMARY KEY, generation INTEGER, sealed BLOB,"
        " updated REAL) WITHOUT ROWID"
    )
    return connection


UPSERT: Final = "INSERT OR REPLACE INTO records VALUES (?, 1, ?, ?)"


def writes(home: Path, rounds: int) -> None:
    vault = Harbor(home=home, environ=environment(home)).vault
    name = grant_record_name(KEY)
    vault.store_grant(KEY, record(KEY), generation=0)
    stored = vault.storage.get(name)
    assert stored is not None
    size = len(stored.sealed)

    def plain() -> float:
        value = record(KEY).to_bytes()
        return timed(lambda: vault.write("plain", value, generation=vault.generation("plain")))()

    def grant() -> float:
        value, generation = record(KEY), vault.grant_generation(KEY)
        return timed(lambda: vault.store_grant(KEY, value, generation=generation))()

    with contextlib.closing(bare(home / "bare.db")) as connection:

        def upsert() -> float:
            row = (name, secrets.token_bytes(size), time.time())
            return timed(lambda: connection.execute(UPSERT, row))()

        base = "bare SQLite upsert"
        medians = turns(
            rounds * 5, {base: upsert, "Vault.write": plain, "Vault.store_grant": grant}
        )
    print(f"A durable write of {size} sealed bytes")
    show(base, medians, {"Vault.write": 2, "Vault.store_grant": 2})
    vault.close()


# --- a cached token -------------------------------------------------------------
def cached(home: Path, rounds: int) -> None:
    harbor = Harbor(home=home, environ=environment(home), transport=no_network)
    source = TokenSource(harbor.vault, no_network)
    scope = {"source": source, "key": KEY, "harbor": harbor, "known": {"bench": object()}}
    source.token(KEY)
    harbor.token("bench")

    def calls(statement: str) -> Callable[[], float]:
        timer = timeit.Timer(statement, "from time import monotonic", globals=dict(scope))
        return lambda: timer.timeit(CALLS) / CALLS

    base = "dictionary and monotonic()"
    statements = {
        base: "known['bench']; monotonic()",
        "TokenSource.token": "source.token(key)",
        "Harbor.token": "harbor.token('bench')",
    }
    medians = turns(rounds, {name: calls(text) for name, text in statements.items()})
    print("A cached token")
    show(base, medians, {"TokenSource.token": 10})
    harbor.close()


# --- many grants ----------------------------------------------------------------
def fill(vault: Vault, home: Path, grants: int) -> int:
    """Store many grants in a few transactions; return the size of a sealed one."""
    assert isinstance(vault.storage, SqliteStorage)
    vault.open()
    meta = vault.storage.meta()
    assert meta is not None
    source = KeyFileKeySource(home / "vault.key")
    data_key = unseal_data_key(source.load(meta.vault_id, meta.key_parameters), meta)
    changes = []
    for key in keys(grants):
        name, value = grant_record_name(key), record(key).to_bytes()
        sealed = seal(
            data_key, value, vault_id=meta.vault_id, name=name, generation=1, entropy=os.urandom
        )
        changes.append(Put(name, sealed, 1, time.time()))
    vault.storage.apply(changes)
    return len(changes[0].sealed)


def keys(grants: int) -> list[GrantKey]:
    return [GrantKey("bench", "api", f"account-{number}") for number in range(grants)]


def many(home: Path, rounds: int, grants: int) -> None:
    vault = Harbor(home=home, environ=environment(home)).vault
    size = fill(vault, home, grants)
    with contextlib.closing(bare(home / "bare.db")) as connection:
        rows = [(grant_record_name(key), secrets.token_bytes(size), 1.0) for key in keys(grants)]
        connection.execute("BEGIN")
        connection.executemany(UPSERT, rows)
        connection.execute("COMMIT")
        select = timed(lambda: connection.execute("SELECT name FROM records").fetchall())
        base = "bare SELECT of the names"
        works = {
            base: select,
            "Vault.names": timed(vault.names),
            "Vault.grants": timed(vault.grants),
        }
        medians = turns(rounds, works)
    print(f"{grants} grants of {size} sealed bytes")
    show(base, medians, {"Vault.names": 3})
    vault.close()
    command = [sys.executable, __file__, "--memory-of", str(home), "--grants", str(grants)]
    grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    show_memory(grown)


def show_memory(grown: str) -> None:
    """Print what a process of its own found, in bytes; nothing where it cannot know."""
    for line in grown.splitlines() or []:
        size, _, text = line.partition(" ")
        mebibytes = int(size) / 2**20
        verdict = "met" if mebibytes < 60 else "NOT met"
        print(f"  {text:46}{mebibytes:>8.1f} MiB{'':8}  goal 60: {verdict}")


def peak() -> int:
    """Return the most bytes of memory this process has had; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def memory(home: Path, grants: int) -> None:
    """Print how far this process grows, from one grant on."""
    if not sys.platform.startswith("linux"):
        return
    harbor = Harbor(home=home, environ=environment(home), transport=no_network)
    source = TokenSource(harbor.vault, no_network)
    source.token(keys(1)[0])  # everything is imported and opened
    before = peak()
    listed = harbor.vault.grants()
    assert len(listed) == grants
    print(f"{peak() - before} memory growth: names listed")
    for key in listed:
        harbor.vault.grant(key)
    print(f"{peak() - before} memory growth: and each opened once")
    secret = sum(len(source.token(key).reveal()) for key in listed)
    print(f"{peak() - before} memory growth: and all held, {secret / 2**20:.0f} MiB of it tokens")
    harbor.close()


# --- a cold process -------------------------------------------------------------
def cold(home: Path, rounds: int) -> None:
    """Time `harbor token` and `keyring get` from start to end."""
    harbor = Harbor(home=home, environ=environment(home))
    harbor.vault.store_grant(KEY, record(KEY), generation=0)
    harbor.close()
    (home / "bench_keyring.py").write_text(KEYRING_BACKEND, encoding="utf-8")
    (home / "bench_keyring.json").write_text('{"bench": "secret"}', encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ |= {"PYTHONPYCACHEPREFIX": str(home / "bytecode"), "HARBOR_HOME": str(home)}
    environ |= environment(home)
    backend = {"PYTHONPATH": str(home), "PYTHON_KEYRING_BACKEND": "bench_keyring.Backend"}
    base = "python -c pass"
    commands = {
        base: ([sys.executable, "-c", "pass"], environ),
        "harbor token": ([str(SCRIPTS / "harbor"), "token", "bench"], environ),
        "keyring get, file back end": (
            [str(SCRIPTS / "keyring"), "get", "bench", "user"],
            environ | backend,
        ),
    }

    def runs(command: list[str], env: dict[str, str]) -> Callable[[], float]:
        run = timed(lambda: subprocess.run(command, check=True, capture_output=True, env=env))
        run()  # compiles what it imports
        return run

    print("A cold process")
    show(base, turns(rounds, {name: runs(*command) for name, command in commands.items()}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="turns of each, 15 at least")
    parser.add_argument("--grants", type=int, default=10_000)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of is not None:
        memory(asked.memory_of, asked.grants)
        return
    rounds = max(15, asked.rounds)
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as directory:
        homes = [Path(directory, name) for name in ("one", "many", "cold")]
        for home in homes:
            home.mkdir(mode=0o700)
        writes(homes[0], rounds)
        cached(homes[0], rounds)
        many(homes[1], rounds, asked.grants)
        cold(homes[2], rounds)


if __name__ == "__main__":
    main()
