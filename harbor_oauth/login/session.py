"""One sign-in, from discovery to the stored grant.

`begin` finds the server, opens the port and makes the URL; a front end shows or
opens it; `wait` (or `submit`, for a pasted answer, then `poll`) redeems the
code and stores the grant. Until that last step the vault holds what it held
before, whatever is interrupted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self, cast
from urllib.parse import urlencode, urlsplit

from harbor_oauth.errors import (
    ConfigurationError,
    FlowCancelledError,
    HarborError,
    MalformedResponseError,
    OAuthResponseError,
    ProtocolError,
    ReceiverBindError,
    RegistrationResponseError,
)
from harbor_oauth.flows import discover, exchange_code, look_up_account, register_client
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.pushed import push_authorization_request
from harbor_oauth.login.asked import Asked, LoginParts
from harbor_oauth.login.clients import ChosenClient, registered_client
from harbor_oauth.login.pending import Pending, prepare, scopes_to_ask, token_endpoint
from harbor_oauth.login.storing import held_grant, store_login
from harbor_oauth.login.unchanged import check_unchanged
from harbor_oauth.protocol.authorization import parse_authorization_response
from harbor_oauth.protocol.http import HttpRequest, Transport, naming
from harbor_oauth.providers import Provider, Resource
from harbor_oauth.receiver import LoopbackReceiver
from harbor_oauth.secret import Secret
from harbor_oauth.tokens.keys import assertions, new_dpop_key, proving, thumbprint
from harbor_oauth.vault import GrantKey, GrantRecord

if TYPE_CHECKING:
    from harbor_oauth.receiver.loopback import LoopbackHost

__all__ = ["DEFAULT_TIMEOUT", "LoginSession"]

DEFAULT_TIMEOUT: Final = 300.0

# What a server answers, without a redirect, to a client it has forgotten.
_CLIENT_REFUSED: Final = frozenset({400, 401})

# Not a URL and no query. Shorter ones are a slip of the hand: a code is hard to
# guess (RFC 6749 §10.10).
_BARE_CODE: Final = re.compile(r"[!-%'-<>-~]{8,2048}")


class LoginSession:
    """One sign-in of one account to one resource.

    Example:
        >>> with LoginSession(parts, provider, resource, key).begin() as session:
        ...     open_browser(session.url)
        ...     record = session.wait(timeout=300)

    Args:
        parts: What it works with.
        provider: Whom to sign in to.
        resource: What for.
        key: The grant to make or replace.
        asked: What to ask for.
    """

    def __init__(
        self,
        parts: LoginParts,
        provider: Provider,
        resource: Resource,
        key: GrantKey,
        asked: Asked | None = None,
    ) -> None:
        """Do nothing yet."""
        self._parts = parts
        self._provider = provider
        self._resource = resource
        self._key = key
        self._asked = asked or Asked()
        self._receiver: LoopbackReceiver[Secret] | None = None
        self._pending: Pending | None = None
        self._url = ""
        self._cancelled = False

    # --- beginning ------------------------------------------------------------

    def begin(self, *, anew: bool = False) -> Self:
        """Find the server, choose the client, open the port, make the URL.

        Args:
            anew: Register a new client although one is stored: the server has
                refused that one.

        Raises:
            ConfigurationError: The server needs no token, or no client is known.
            ProtocolError: The server breaks a rule.
            ReceiverBindError: No port could be opened.
            TransportError: A server is down.
            VaultError: The grant could not be stored afterwards.
        """
        self._parts.vault.prove()
        discovery = self._asked.found or discover(
            self._parts.transport,
            self._resource,
            challenge=self._asked.challenge,
            issuers_without_s256=self._parts.issuers_without_s256,
            cache=self._parts.cache,
        )
        if discovery is None:
            raise ConfigurationError(
                f"{self._resource.url} answers without a token; there is nothing to sign in to.",
                next_step="Dock it with --skip-auth.",
            )
        try:
            if not self._attempt(discovery, anew=anew):
                self._close_receiver()
                self._attempt(discovery, anew=True)
        except BaseException:
            self.cancel()
            raise
        return self

    def _attempt(self, discovery: Discovery, *, anew: bool) -> bool:
        """Prepare everything up to the URL; False if the server forgot the stored client."""
        client = self._client(discovery, anew=anew)
        held = held_grant(self._parts.vault, self._key)
        check_unchanged(held, discovery.metadata, client, str(self._key))
        self._pending = pending = self._prepare(discovery, client, held)
        if discovery.metadata.pushed_authorization_request_endpoint is None:
            self._url = pending.request.url()
            return not (client.reused and self._forgotten())
        try:
            self._url = push_authorization_request(
                self._proving(pending),
                discovery.metadata,
                client.credentials,
                pending.request,
                clock=self._parts.clock,
                client_assertion=pending.endpoint.client_assertion,
            )
        except OAuthResponseError as error:
            if not client.reused or error.error != "invalid_client":
                raise
            return False
        return True

    def _client(self, discovery: Discovery, *, anew: bool) -> ChosenClient:
        """Choose a client and open the port its redirect URI names."""
        metadata = discovery.metadata
        chosen = self._parts.clients.choose(self._provider, self._resource, metadata, anew=anew)
        if chosen and chosen.reused and chosen.port and self._asked.port not in {None, chosen.port}:
            chosen = self._parts.clients.choose(self._provider, self._resource, metadata, anew=True)
        try:
            redirect_uri = self._open_port(chosen)
        except ReceiverBindError:
            if chosen is None or not chosen.reused:
                raise
            # The registered port is taken. A server may compare the whole URI
            # (RFC 8252 §7.3 is not followed everywhere), so register another.
            chosen = self._parts.clients.choose(self._provider, self._resource, metadata, anew=True)
            redirect_uri = self._open_port(chosen)
        if chosen is not None:
            return chosen
        try:
            answer = register_client(
                naming(self._parts.transport, discovery.named_by),
                metadata.registration_endpoint or "",
                redirect_uri=redirect_uri,
                client_name=self._parts.client_name,
                auth_methods=metadata.token_endpoint_auth_methods_supported,
            )
        except (RegistrationResponseError, MalformedResponseError) as error:
            # Some refuse without a word of RFC 7591 §3.2.2.
            error.next_step = error.next_step or self._resource.reviewed_only or ""
            raise
        return registered_client(self._provider, self._resource, metadata, answer, redirect_uri)

    def _open_port(self, client: ChosenClient | None) -> str:
        rule = self._resource.redirect
        ports = self._ports(client)
        receiver: LoopbackReceiver[Secret] = LoopbackReceiver(
            host=cast("LoopbackHost", rule.host), ports=ports, clock=self._parts.monotonic
        )
        self._receiver = receiver
        if rule.paste:
            return rule.paste_uri or ""
        receiver.start()
        return receiver.redirect_uri

    def _ports(self, client: ChosenClient | None) -> tuple[int, ...]:
        """Return the ports to try, in order."""
        allowed = self._resource.redirect.ports
        registered = allowed if client is None or client.port is None else (client.port,)
        wanted = self._asked.port
        if wanted is None:
            return registered
        if wanted not in registered and registered != (0,):
            raise ConfigurationError(
                f"{self._provider.display_name} redirects to port "
                f"{' or '.join(map(str, registered))} only, not to {wanted}.",
                next_step="Leave the port out.",
            )
        return (wanted,)

    def _prepare(
        self, discovery: Discovery, client: ChosenClient, held: GrantRecord | None
    ) -> Pending:
        assert self._receiver is not None  # noqa: S101 - `_client` has opened it
        paste = self._resource.redirect.paste_uri if self._resource.redirect.paste else None
        same = held is not None and held.issuer == discovery.metadata.issuer
        scopes = scopes_to_ask(
            discovery,
            scopes=self._asked.scopes,
            held=held.requested_scopes if held and same else (),
            ceiling=self._asked.ceiling,
            challenged=self._asked.challenge is not None,
        )
        dpop_key = new_dpop_key() if discovery.dpop else None
        request = prepare(
            self._resource,
            discovery,
            client,
            redirect_uri=paste or self._receiver.redirect_uri,
            scopes=scopes,
            entropy=self._parts.entropy,
            parameters={"dpop_jkt": thumbprint(dpop_key)} if dpop_key else None,
        )
        self._receiver.expect(lambda query: parse_authorization_response(query, request))
        assertion = assertions(
            client.credentials,
            discovery.metadata.issuer,
            clock=self._parts.clock,
            entropy=self._parts.entropy,
        )
        endpoint = token_endpoint(self._resource, discovery, client, assertion)
        return Pending(endpoint, discovery, client, scopes, dpop_key, request)

    def _proving(self, pending: Pending) -> Transport:
        """Return how this sign-in's authorization server is spoken to."""
        return proving(
            naming(self._parts.transport, pending.discovery.named_by),
            pending.dpop_key,
            self._parts.nonces,
            clock=self._parts.clock,
            entropy=self._parts.entropy,
        )

    def _forgotten(self) -> bool:
        """Ask the authorization endpoint, before a person does, whether it knows the client.

        A server that has dropped a registration says so in the browser only,
        where no program sees it (supabase/mcp #355).
        """
        try:
            transport = naming(self._parts.transport, self._begun().discovery.named_by)
            response = transport(
                HttpRequest("GET", self.url, {"Accept": "text/html"}, limit=1024 * 1024)
            )
        except HarborError:
            return False
        return response.status in _CLIENT_REFUSED

    # --- waiting --------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL to open in the person's own browser, once; it holds the `state`."""
        self._begun()
        return self._url

    @property
    def redirect_uri(self) -> str:
        """Where the answer comes back to."""
        return self._begun().request.redirect_uri

    @property
    def paste_only(self) -> bool:
        """Whether no answer can arrive by itself: `submit` has to be given it."""
        return self._resource.redirect.paste

    @property
    def offers_device_grant(self) -> bool:
        """Whether the server lets a person confirm at another device (RFC 8628)."""
        return self._begun().discovery.metadata.device_authorization_endpoint is not None

    @property
    def reused_registration(self) -> bool:
        """Whether a stored registration is used, which the server may refuse."""
        return self._begun().client.reused

    def submit(self, redirected_to: str) -> None:
        """Take the URL the browser was redirected to, or the code, pasted by a person.

        A bare code has no `state` to tell whose it is. Whoever pastes it where
        this sign-in was begun stands for that, and the code verifier holds it to
        this sign-in (RFC 9700 §2.1.1). Where the server promises to name its
        issuer in the answer (RFC 9207), a bare code is refused.

        Args:
            redirected_to: The whole URL, its query, or the code alone.

        Raises:
            ProtocolError: It is not the answer to this sign-in, which goes on.
        """
        text = redirected_to.strip()
        try:
            query = urlsplit(text).query or text.lstrip("?")
        except ValueError as error:
            raise ProtocolError(f"That is no URL: {error}", requirement="RFC 3986 §3.2.2") from None
        pending = self._pending
        bare = "://" not in text and _BARE_CODE.fullmatch(text)
        if pending and bare and not pending.request.iss_required:
            query = urlencode({"code": text, "state": pending.request.state.reveal()})
        if self._receiver is not None:
            self._receiver.submit(query)

    def wait(self, timeout: float = DEFAULT_TIMEOUT) -> GrantRecord:
        """Wait for the person, redeem the code, store the grant.

        Args:
            timeout: Seconds until the port is closed.

        Returns:
            The stored grant.

        Raises:
            AuthorizationResponseError: The person or the server said no.
            FlowTimeoutError: Nobody answered in time.
            FlowCancelledError: `cancel` was called; nothing is stored.
            TokenResponseError: The code was refused.
            TransportError: The server is down.
            VaultError: The grant could not be stored.
        """
        pending = self._begun()
        if self._receiver is None:
            raise ConfigurationError("This sign-in is over.", next_step="Begin another.")
        code = self._receiver.wait(timeout)
        with self._parts.vault.under_way():
            return self._redeemed(pending, code)

    def _redeemed(self, pending: Pending, code: Secret) -> GrantRecord:
        """Redeem the code and store the grant."""
        try:
            answer = exchange_code(
                self._proving(pending),
                pending.endpoint,
                code=code,
                code_verifier=pending.request.pkce.code_verifier,
                redirect_uri=pending.request.redirect_uri,
                requested_scopes=pending.scopes,
                clock=self._parts.clock,
            )
        except MalformedResponseError:
            # The endpoint may have moved since its metadata was read.
            self._parts.cache.forget(pending.discovery.metadata.issuer)
            raise
        account = look_up_account(
            self._parts.transport, self._resource.account, answer.access_token
        )
        if self._cancelled:  # whoever cancelled was told that nothing is stored
            raise FlowCancelledError("The sign-in was cancelled.")
        record = pending.record(
            self._key, self._resource, answer, account=account, now=self._parts.clock()
        )
        store_login(
            self._parts.vault,
            self._key,
            record,
            pending.client,
            default_resource=self._provider.resource().name,
        )
        return record

    def cancel(self) -> None:
        """Close the port and forget the verifier; nothing is stored."""
        self._cancelled = True
        self._close_receiver()
        self._pending = None

    def _close_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def __enter__(self) -> Self:
        """Return itself, begun or not."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the port, or leave it for the result page if an answer came."""
        if self._receiver is not None:
            self._receiver.__exit__(*exception)
        self._pending = None

    def _begun(self) -> Pending:
        if self._pending is None and self._cancelled:
            raise FlowCancelledError("The sign-in was cancelled.")
        if self._pending is None:
            message = "begin() comes first"
            raise RuntimeError(message)
        return self._pending
