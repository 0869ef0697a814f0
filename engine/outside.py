"""What is outside: addresses on the public internet, for requests to an address that came with the data."""

from __future__ import annotations

import ipaddress
import socket

_UNICAST, _NAT64 = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")


class NotPublic(ValueError):
    """A host that was to be outside leads to an address of this machine or of a private network."""


def is_public(address: str) -> bool:
    """Whether an IP address can be reached by everybody; of an IPv6 address that stands for an IPv4 one, whether that can.

    Raises ValueError where it is none. https://www.iana.org/assignments/iana-ipv4-special-registry
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else None
        inner = found.ipv4_mapped or found.sixtofour or last
        if inner is None:
            return found in _UNICAST and found.is_global
        found = inner
    return found.is_global and not found.is_multicast


def public_addresses(host: str, port: int) -> list[str]:
    """Where a host is, as its name says now. Raises NotPublic where one of its addresses is not public, OSError where it has none.

    Whoever calls one of these, and does not look the name up again, is not led elsewhere by a name that changes its mind.
    """
    found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(map(is_public, found)):
        raise NotPublic("this host is not on the public internet")
    return found


def refuse_literal(host: str) -> None:
    """Raises NotPublic for an IP address that is not public; a name is looked up when it is called."""
    literal = _literal(host.rstrip("."))
    if literal is not None and not is_public(literal):
        raise NotPublic("this address is not on the public internet")


def _literal(host: str) -> str | None:
    """The IP address that a host is; None for a name. `127.1`, `0x7f000001` and `2130706433` are this machine, too."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
