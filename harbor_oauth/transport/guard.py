"""Where a server may send us by naming a URL (RFC 9728 §7.7).

Metadata and challenges are a peer's words. A URL in them may point at what
only this machine can reach: its own services, the network it stands in, a
cloud's metadata address. So addresses are judged, not names, and those that
were judged are the ones that are connected to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NoReturn
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.protocol.urls import is_loopback

__all__ = ["Guard", "Reach", "is_literal", "reach"]


class Reach(Enum):
    """From where an address can be reached."""

    GLOBAL = auto()
    PRIVATE = auto()
    LINK_LOCAL = auto()
    LOOPBACK = auto()
    NOWHERE = auto()


# Which addresses a server may name, by where it is itself: those it can reach
# without us, so that naming them gains it nothing. A server on this machine
# reaches the networks of this machine (a developer's own, a container's); one in
# a private network reaches that network, but not this machine's own services.
_MAY_NAME: Final[Mapping[Reach, frozenset[Reach]]] = {
    Reach.GLOBAL: frozenset({Reach.GLOBAL}),
    Reach.PRIVATE: frozenset({Reach.GLOBAL, Reach.PRIVATE}),
    Reach.LINK_LOCAL: frozenset({Reach.GLOBAL, Reach.LINK_LOCAL}),
    Reach.LOOPBACK: frozenset({Reach.GLOBAL, Reach.PRIVATE, Reach.LOOPBACK}),
    Reach.NOWHERE: frozenset({Reach.GLOBAL}),
}

_REACHES: Final = tuple(
    (found, tuple(ip_network(network) for network in networks))
    for found, networks in (
        (
            Reach.NOWHERE,
            (
                "0.0.0.0/8",  # "this host": some systems connect to loopback
                "192.88.99.0/24",  # 6to4 relays, withdrawn (RFC 7526)
                "224.0.0.0/4",  # multicast is "global" to the ipaddress module
                "2002::/16",  # 6to4 (RFC 3056): carries any IPv4 address
                "3fff::/20",  # documentation (RFC 9637), unknown to Python 3.11
                # Metadata services of clouds, at addresses that look like others:
                "100.100.100.200/32",
                "168.63.129.16/32",
                "fd00:ec2::254/128",
            ),
        ),
        (Reach.LOOPBACK, ("127.0.0.0/8", "::1/128")),
        (Reach.LINK_LOCAL, ("169.254.0.0/16", "fe80::/10")),
        (
            Reach.PRIVATE,
            (
                *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # RFC 1918, 4193
                "100.64.0.0/10",  # RFC 6598; overlay networks use it too
                "198.18.0.0/15",  # RFC 2544; some VPN clients resolve every name to it
            ),
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
# All of IPv6 that is given out (RFC 4291 §2.4). Outside are local NAT64 (RFC 8215)
# and "IPv4-compatible" addresses, which the ipaddress module calls global.
_UNICAST: Final = IPv6Network("2000::/3")
_IPV4: Final = 0xFFFFFFFF

# WHATWG URL §3.5: a host whose last label is a number is an IPv4 address,
# however it is spelled: 127.1, 0x7f000001, 017700000001.
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)


def reach(address: str) -> Reach:
    """Say from where an address can be reached.

    An IPv6 address that stands for an IPv4 one is judged as that.

    Args:
        address: An address as a resolver gives it, perhaps with a scope id.
            What is none can be reached from nowhere.
    """
    try:
        judged = _carried(ip_address(address))
    except ValueError:
        return Reach.NOWHERE
    for found, networks in _REACHES:
        if any(judged in network for network in networks):
            return found
    unicast = isinstance(judged, IPv4Address) or judged in _UNICAST
    return Reach.GLOBAL if unicast and judged.is_global else Reach.NOWHERE


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address where packets to this one end, or itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & _IPV4)
    return address


def is_literal(host: str) -> bool:
    """Say whether a host, without brackets, is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@attrs.frozen
class Guard:
    """Judges the URL that a server named, and the addresses behind it.

    Attributes:
        url: The URL that is about to be asked.
        named_by: The URL of the server that named it.
        locate: Returns the addresses of a host; asked for the naming server,
            and only when it matters.
    """

    url: str
    named_by: str
    locate: Callable[[str], Sequence[str]]

    def check_url(self) -> None:
        """Refuse what needs no resolver to be judged.

        Plain http is for this machine (`require_endpoint` has seen to that),
        where any service may listen and none proves its name. A name that
        points here today may have been chosen to.

        Raises:
            InsecureEndpointError: The host is an address in another spelling,
                or on this machine and named by a server that is not.
        """
        host = _host(self.url)
        if _NUMBER.fullmatch(host) and not is_literal(host):
            self._refuse("is an address in a spelling that programs read differently")
        if urlsplit(self.url).scheme == "http" and not is_loopback(_host(self.named_by)):
            self._refuse("is on this machine")

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """Refuse unless every one of the host's addresses may be named.

        Raises:
            InsecureEndpointError: One is where the naming server cannot reach.
        """
        reaches = {reach(address) for address in addresses}
        # The common case: nothing has to be known of the naming server.
        if not reaches <= _MAY_NAME[Reach.GLOBAL] and not reaches <= self._nameable():
            self._refuse("has an address that is not on the public internet")

    def _nameable(self) -> frozenset[Reach]:
        """Return what all of the naming server's addresses may name."""
        host = _host(self.named_by)
        found = self.locate(host) if host else ()
        own = {reach(address) for address in found} or {Reach.NOWHERE}
        if not is_literal(host):
            # A name in anybody's zone can point at a cloud's metadata address.
            own = {Reach.NOWHERE if each is Reach.LINK_LOCAL else each for each in own}
        return frozenset.intersection(*(_MAY_NAME[each] for each in own))

    def _refuse(self, why: str) -> NoReturn:
        raise InsecureEndpointError(
            f"{_host(self.named_by)} names {_host(self.url)}, which {why}",
            requirement="RFC 9728 §7.7",
            next_step="Only a server in the same network may name it; nothing was sent there.",
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
