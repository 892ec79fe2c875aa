"""The configuration file and the environment."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.secret import Secret
from harbor_oauth.settings import Settings, home_directory, load_settings
from harbor_oauth.vault.names import parse_grant_name

FULL = """
version = 1
future = "kept for a later version"

[harbor]
vault = "keyfile"
key_file = "/keys/harbor"
client_metadata_url = "https://example.com/client.json"
future = 1

[servers.remote]
url = "https://mcp.example.com/mcp"
grant = "remote"
headers = { X-Key = "vault:key" }
future = []

[servers.local]
command = "server"
args = ["--stdio", "a b"]
env = { TOKEN = "vault:oauth:x:access_token" }
enabled = false

[issuers."https://as.example.com"]
allow_missing_s256 = true

[issuers."https://other.example.com"]
allow_missing_s256 = false

[grants."remote"]
scope_ceiling = ["read", "files:write"]
future = 1

[grants."linear/mcp@me@example.com"]
future = 1

[providers.slack]
trusted = { distribution = "x", version = "1" }
"""


def load(home: Path, text: str | bytes | None = None, **environ: str) -> Settings:
    if text is not None:
        (home / "config.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings({"HARBOR_HOME": str(home), **environ})


# --- reading ------------------------------------------------------------------


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    """Neither the file nor its directory is made."""
    home = tmp_path / "absent"
    settings = load(home)
    assert settings == Settings(home=home, environ={"HARBOR_HOME": str(home)})
    assert settings.config_path == home / "config.toml"
    assert not home.exists()


def test_everything_is_read(tmp_path: Path) -> None:
    """Unknown keys and tables are passed over."""
    settings = load(tmp_path, FULL)
    assert settings.vault == "keyfile"
    assert settings.key_file == Path("/keys/harbor")
    assert settings.client_metadata_url == "https://example.com/client.json"
    assert settings.issuers_without_s256 == {"https://as.example.com"}
    assert dict(settings.scope_ceilings) == {"remote": ("read", "files:write")}
    remote, local = settings.servers["remote"], settings.servers["local"]
    assert (remote.name, remote.url, remote.command) == (
        "remote",
        "https://mcp.example.com/mcp",
        None,
    )
    assert (remote.grant, remote.enabled, dict(remote.headers)) == (
        "remote",
        True,
        {"X-Key": "vault:key"},
    )
    assert (local.command, local.args, local.enabled) == ("server", ("--stdio", "a b"), False)
    assert dict(local.env) == {"TOKEN": "vault:oauth:x:access_token"}
    assert (tmp_path / "config.toml").read_text() == FULL


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """What was read is what every part sees."""
    settings = load(tmp_path, FULL)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.vault = "memory"  # type: ignore[misc]  # that is the point
    for mapping in (
        settings.servers,
        settings.environ,
        settings.scope_ceilings,
        settings.servers["remote"].headers,
    ):
        with pytest.raises(TypeError):
            mapping["x"] = "y"  # type: ignore[index]  # that is the point


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    """And the file before the default; empty is the same as unset."""
    assert load(tmp_path).vault is None
    assert load(tmp_path, FULL).vault == "keyfile"
    assert load(tmp_path, FULL, HARBOR_VAULT="").vault == "keyfile"
    assert load(tmp_path, FULL, HARBOR_VAULT="memory").vault == "memory"
    named = load(tmp_path, FULL, HARBOR_VAULT_KEY_FILE="/other")
    assert named.key_file == Path("/other")
    assert load(tmp_path, FULL).passphrase_file is None
    assert load(tmp_path, HARBOR_VAULT_PASSPHRASE_FILE="/p").passphrase_file == Path("/p")


def test_the_argument_comes_before_the_environment(tmp_path: Path) -> None:
    """`home` names the directory to read from."""
    (tmp_path / "config.toml").write_text('[harbor]\nvault = "memory"\n')
    settings = load_settings({"HARBOR_HOME": "/nonexistent"}, home=tmp_path)
    assert (settings.home, settings.vault) == (tmp_path, "memory")


def test_the_process_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a copy of it is kept: later changes have no effect."""
    monkeypatch.setenv("HARBOR_HOME", str(tmp_path))
    monkeypatch.setenv("HARBOR_TOKEN_X", "before")
    settings = load_settings()
    os.environ["HARBOR_TOKEN_X"] = "after"
    assert settings.home == tmp_path
    assert settings.token_from_environment("x") == Secret("before")


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HARBOR_HOME`, absolute, or a directory in the user's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert home_directory({}) == tmp_path / ".harbor"
    assert home_directory({"HARBOR_HOME": ""}) == tmp_path / ".harbor"
    assert home_directory({"HARBOR_HOME": "~/h"}) == tmp_path / "h"
    assert home_directory({"HARBOR_HOME": "h"}) == tmp_path / "h"
    with pytest.raises(ConfigurationError, match="HARBOR_HOME"):
        home_directory({"HARBOR_HOME": "~no-such-user-here/h"})


def test_a_file_counts_its_paths_from_its_own_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not count from where a program was started."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = '[harbor]\nkey_file = "keys/harbor"\n'
    assert load(tmp_path, text).key_file == tmp_path / "keys" / "harbor"


@pytest.mark.parametrize("variable", ["HARBOR_VAULT_KEY_FILE", "HARBOR_VAULT_PASSPHRASE_FILE"])
def test_a_variable_names_a_whole_path(tmp_path: Path, variable: str) -> None:
    """A relative one would be another file in each folder."""
    with pytest.raises(ConfigurationError, match=f"{variable} is not an absolute path"):
        load(tmp_path, "", **{variable: "keys/harbor"})


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    assert load(tmp_path, "\ufeff[harbor]\nvault = 'memory'\n").vault == "memory"


# --- names in the environment ---------------------------------------------------


@pytest.mark.parametrize(
    ("grant", "variable"),
    [
        ("linear", "HARBOR_TOKEN_LINEAR"),
        ("linear/api", "HARBOR_TOKEN_LINEAR_API"),
        ("slack@me@example.com", "HARBOR_TOKEN_SLACK_ME_EXAMPLE_COM"),
        ("my-server", "HARBOR_TOKEN_MY_SERVER"),
        ("caf\u00e9", "HARBOR_TOKEN_CAF_"),
    ],
)
def test_a_token_from_the_environment(tmp_path: Path, grant: str, variable: str) -> None:
    """Upper case, every other character an underscore; empty is the same as unset."""
    settings = load(tmp_path, **{variable: "cnry-token"})
    assert settings.token_from_environment(grant) == Secret("cnry-token")
    assert load(tmp_path, **{variable: ""}).token_from_environment(grant) is None
    assert settings.token_from_environment("other") is None


def test_a_client_from_the_environment(tmp_path: Path) -> None:
    """The secret may be missing, the id may not."""
    both = {"HARBOR_MY_APP_CLIENT_ID": "id", "HARBOR_MY_APP_CLIENT_SECRET": "cnry-secret"}
    assert load(tmp_path, **both).client_from_environment("my-app") == (
        "id",
        Secret("cnry-secret"),
    )
    only_id = load(tmp_path, HARBOR_MY_APP_CLIENT_ID="id", HARBOR_MY_APP_CLIENT_SECRET="")
    assert only_id.client_from_environment("my-app") == ("id", None)
    only_secret = load(tmp_path, HARBOR_MY_APP_CLIENT_SECRET="cnry-secret")
    assert only_secret.client_from_environment("my-app") is None
    assert only_id.client_from_environment("other") is None


def test_settings_show_no_environment(tmp_path: Path) -> None:
    """It holds tokens."""
    assert "cnry" not in repr(load(tmp_path, FULL, HARBOR_TOKEN_X="cnry-token"))


# --- what is wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("harbor = 1", "harbor is not a table"),
        ("servers = []", "servers is not a table"),
        ("issuers = 'x'", "issuers is not a table"),
        ("[harbor]\nvault = 1", "harbor.vault is not a string"),
        ("[harbor]\nkey_file = []", "harbor.key_file is not a string"),
        ("[harbor]\npassphrase_file = {}", "harbor.passphrase_file is not a string"),
        ("[harbor]\nclient_metadata_url = true", "harbor.client_metadata_url is not a string"),
        (
            "[harbor]\nclient_metadata_url = 'http://cnry.example/c'",
            "document (it is not a plain absolute https URL",
        ),
        (
            "[harbor]\nclient_metadata_url = 'https://cnry.example'",
            "harbor.client_metadata_url is not the URL of a client ID metadata document",
        ),
        ("servers.x = 1", "servers.x is not a table"),
        ("[servers.x]\nurl = 1", "servers.x.url is not a string"),
        ("[servers.x]\ncommand = ['a']", "servers.x.command is not a string"),
        ("[servers.x]\nurl = 'u'\ngrant = 1", "servers.x.grant is not a string"),
        ("[servers.x]\nurl = 'u'\nargs = 'a'", "servers.x.args is not a list of strings"),
        ("[servers.x]\nurl = 'u'\nargs = [1]", "servers.x.args is not a list of strings"),
        ("[servers.x]\nurl = 'u'\nheaders = []", "servers.x.headers is not a table"),
        ("[servers.x]\nurl = 'u'\nheaders.a = 1", "servers.x.headers is not a table of strings"),
        ("[servers.x]\nurl = 'u'\nenv = 'a'", "servers.x.env is not a table"),
        ("[servers.x]\nurl = 'u'\nenv.a = 1", "servers.x.env is not a table of strings"),
        ("[servers.x]\nurl = 'u'\nenabled = 1", "servers.x.enabled is not true or false"),
        ("[servers.x]", "servers.x is not a server with either `url` or `command`"),
        ("[servers.x]\nurl = 'u'\ncommand = 'c'", "servers.x is not a server with either"),
        ("issuers.'https://a.b' = 1", 'issuers."https://a.b" is not a table'),
        (
            "[issuers.'https://a.b']\nallow_missing_s256 = 'yes'",
            'issuers."https://a.b".allow_missing_s256 is not true or false',
        ),
        ("grants = 1", "grants is not a table"),
        ("grants.x = 1", 'grants."x" is not a table'),
        ("[grants.X]", 'grants."X" is not the name of a grant, provider[/resource][@account]'),
        ("[grants.'a/']", 'grants."a/" is not the name of a grant'),
        ("[grants.'a/b/c']", 'grants."a/b/c" is not the name of a grant'),
        ("[grants.'a@']", 'grants."a@" is not the name of a grant'),
        ("[grants.'a@b c']", 'grants."a@b c" is not the name of a grant'),
        ("[grants.x]\nscope_ceiling = 'cnry'", 'grants."x".scope_ceiling is not a list of scopes'),
        ("[grants.x]\nscope_ceiling = []", 'grants."x".scope_ceiling is not a list of scopes'),
        ("[grants.x]\nscope_ceiling = [1]", 'grants."x".scope_ceiling is not a list of scopes'),
        ("[grants.x]\nscope_ceiling = ['cnry x']", "scope_ceiling is not a list of scopes, each"),
        ("[grants.x]\nscope_ceiling = ['']", 'grants."x".scope_ceiling is not a list of scopes'),
        ("version = '1'", "version is not a whole number"),
        ("version = true", "version is not a whole number"),
        ("version = 1.0", "version is not a whole number"),
        ("version = 0", "version is not a whole number"),
    ],
)
def test_a_wrong_value_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    """File, place and what was expected; the value itself may be a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}: ")
    assert place in str(caught.value)
    assert "cnry" not in str(caught.value)
    assert "nothing was changed" in str(caught.value)


@pytest.mark.parametrize("name", ["a", "my-server", "a/b", "a@b", "a/b@me@example.com"])
def test_a_ceiling_is_named_as_a_grant_is(tmp_path: Path, name: str) -> None:
    """Whatever the vault takes as a name; which grants there are is not asked."""
    assert str(parse_grant_name(name)) == name
    settings = load(tmp_path, f"[grants.'{name}']\nscope_ceiling = ['read']\n")
    assert dict(settings.scope_ceilings) == {name: ("read",)}


@pytest.mark.parametrize("variable", ["HARBOR_VAULT", "HARBOR_VAULT_KEY_FILE"])
def test_a_wrong_value_is_wrong_whatever_overrides_it(tmp_path: Path, variable: str) -> None:
    """The same file is not right on one day and wrong on another."""
    with pytest.raises(ConfigurationError):
        load(tmp_path, "[harbor]\nvault = 1\nkey_file = 1\n", **{variable: "memory"})


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """It is left as it is."""
    with pytest.raises(ConfigurationError, match="version 2; this Harbor knows 1"):
        load(tmp_path, "version = 2\n")
    assert (tmp_path / "config.toml").read_text() == "version = 2\n"


@pytest.mark.parametrize(
    "text",
    [
        "[harbor",
        "a = 1\na = 2",
        "key = cnry-secret",
        "cnry = 'secret",
        "x = " + "9" * 5000,
        "x = " + "[" * 100_000,
    ],
    ids=["table", "twice", "bare", "open", "number", "deep"],
)
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    """The line is named; what it says is not repeated."""
    with pytest.raises(ConfigurationError, match="is not valid TOML") as caught:
        load(tmp_path, text)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """A decoder's error holds the whole file, so it is not kept."""
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        load(tmp_path, b"# cnry-secret \xff")
    assert "UTF-8" in str(caught.value)
    assert caught.value.__context__ is None


def test_a_directory_instead_of_a_file(tmp_path: Path) -> None:
    """It is an error, never the same as no file."""
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path)


def test_a_file_instead_of_the_home_directory(tmp_path: Path) -> None:
    """So is this."""
    home = tmp_path / "home"
    home.write_text("")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(home)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is not the same as absent."""

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "config.toml").touch(mode=0o600)
    # By hand: the superuser, as whom tests may run, can read any file.
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ConfigurationError, match=r"cannot be read \(PermissionError\)"):
        load(tmp_path)


# --- where it is read from ------------------------------------------------------------

_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no such mode")
_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A configuration that a person wrote by hand, readable to all."""
    path = tmp_path / "home" / "config.toml"
    path.parent.mkdir(mode=0o755)
    path.write_text("[servers.x]\ncommand = 'x'\n")
    path.chmod(0o644)
    return path


@_posix
@pytest.mark.parametrize("what", ["file", "directory"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_can_write_is_not_read(written: Path, what: str, mode: int) -> None:
    """Its programs would be run. The step that is named helps."""
    assert load_settings({}, home=written.parent).servers
    place = written if what == "file" else written.parent
    place.chmod(stat.S_IMODE(place.stat().st_mode) | mode)
    with pytest.raises(ConfigurationError, match="can be written by other users") as refused:
        load_settings({}, home=written.parent)
    step = f"chmod go-w {shlex.quote(str(place))}"
    assert refused.value.next_step == f"See that it says what you want, then run: {step}"
    assert "command" not in str(refused.value)
    place.chmod(stat.S_IMODE(place.stat().st_mode) & ~0o022)
    assert load_settings({}, home=written.parent).servers


@_root
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_another_user_owns_is_not_read(written: Path, what: str) -> None:
    """That user can write it, with any mode that it has now."""
    os.chown(written if what == "file" else written.parent, 12345, 12345)
    with pytest.raises(ConfigurationError, match="belongs to another user") as refused:
        load_settings({}, home=written.parent)
    assert "HARBOR_HOME" in refused.value.next_step


@_posix
def test_a_link_s_own_place_counts_too(written: Path, tmp_path: Path) -> None:
    """Both directories: the one with the link, and the one with the file."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "config.toml").symlink_to(written)
    assert load_settings({}, home=other).servers
    written.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match="can be written by other users"):
        load_settings({}, home=other)


@_posix
def test_a_mount_that_is_read_only_is_read(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes mounts a ConfigMap as links in a directory of mode 0777, read-only."""
    data = written.parent / "..data"
    data.mkdir(mode=0o755)
    written.rename(data / "config.toml")
    written.symlink_to("..data/config.toml")
    written.parent.chmod(0o777)
    with pytest.raises(ConfigurationError):
        load_settings({}, home=written.parent)
    real = os.statvfs(written)
    read_only = os.statvfs_result([*real[:8], real.f_flag | os.ST_RDONLY, *real[9:]])
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert load_settings({}, home=written.parent).servers


@_posix
def test_a_directory_of_all_without_a_file_is_no_fault(tmp_path: Path) -> None:
    """There is nothing in it to obey; in a sticky one another's file is refused by its owner."""
    tmp_path.chmod(0o777)
    assert load_settings({}, home=tmp_path).servers == {}
    tmp_path.chmod(0o1777)
    path = tmp_path / "config.toml"
    path.write_text("[servers.x]\ncommand = 'x'\n")
    path.chmod(0o600)
    assert load_settings({}, home=tmp_path).servers


@_posix
def test_a_fifo_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    """It would stop every command."""
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        load_settings({}, home=tmp_path)


def test_the_files_of_a_project_configure_nothing(tmp_path: Path) -> None:
    """A folder that a person cloned and works in names no server and no program."""
    project = tmp_path / "project"
    (project / ".harbor").mkdir(parents=True)
    text = "[servers.evil]\ncommand = 'evil'\n"
    for name in ("config.toml", ".harbor/config.toml", "harbor.toml", ".harbor.toml"):
        (project / name).write_text(text)
    (project / "pyproject.toml").write_text(f"[tool.harbor]\n{text}")
    (project / ".env").write_text(f"HARBOR_HOME={project / '.harbor'}\n")
    unset = {name: value for name, value in os.environ.items() if not name.startswith("HARBOR_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harbor_oauth", "fleet", "--json"],
        cwd=project,
        env={**unset, "HOME": str(tmp_path / "person"), "USERPROFILE": str(tmp_path / "person")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
