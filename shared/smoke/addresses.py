"""Which addresses a smoke check asks.

The addresses come from the request, so what only this app may ask for is out of their reach: the machine itself and the
services of the platform beside it, by whichever name, and in whichever way IPv6 writes an IPv4 address.
"""

import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

PLATFORM = ipaddress.ip_address("168.63.129.16")
"""Azure's own service beside every machine (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16)."""
LAST_32_BITS = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Networks whose addresses end with an IPv4 address: NAT64 (RFC 6052) and the deprecated IPv4-compatible ones (RFC 4291)."""
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""NAT64 of a network's own, which alone knows where in the address the IPv4 address stands (RFC 8215): never asked."""


class OwnAddressError(ValueError):
    """An address that a smoke check does not ask: of the machine itself, or of the platform's services beside it."""


def hosts(url: str, *, own: bool) -> list[str]:
    """Return the addresses behind a URL's name, the name itself if `own`.

    Raises `OwnAddressError` if one is of this machine or of the platform beside it, `OSError` if the name has none.
    """
    parts = urlsplit(url)
    if own:
        return [parts.hostname or ""]
    found = socket.getaddrinfo(
        parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
    )
    addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
    for address in addresses:
        if any(_beside(one) for one in _meant(address)):
            raise OwnAddressError(f"{parts.hostname} is {address}")
    return addresses


def _beside(where: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    refused = where.is_loopback or where.is_link_local or where.is_unspecified or where.is_multicast
    return refused or where == PLATFORM or (where.version == 6 and where in LOCAL_NAT64)


def _meant(address: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yield the address and every IPv4 address that it carries."""
    where = ipaddress.ip_address(address)
    yield where
    if isinstance(where, ipaddress.IPv6Address):
        carried = (where.ipv4_mapped, where.sixtofour, *(where.teredo or ()))
        yield from (one for one in carried if one is not None)
        if any(where in network for network in LAST_32_BITS):
            yield ipaddress.IPv4Address(where.packed[-4:])
