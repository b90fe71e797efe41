"""Who sends a request, as far as a login or an address can tell: the one answer for rates, queues and bans. Pure."""

from __future__ import annotations

import ipaddress
import re

# Of IPv6: a single computer has as many addresses in a network of this size as it likes.
NETWORK_OF_ONE_SENDER_BITS = 64
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.%]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(client_ip: str) -> Address | None:
    """The address in *client_ip*, which a proxy may have written with a port. IPv4 that is written as IPv6 is IPv4;
    None for what is no address."""
    text = _WITH_PORT.fullmatch(client_ip)
    try:
        address = ipaddress.ip_address((text[1] or text[2]) if text else client_ip)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def sender(client_ip: str, principal: str = "", *, unknown: str = "address:unknown") -> str:
    """Who is counted as one: whoever has signed in, or an address; of IPv6 a network, which a single computer may have.

    What is no address is *unknown*: one sender for all of them by default, since anybody could write it.
    """
    if principal:
        return f"principal:{principal}"
    address = address_of(client_ip)
    if address is None:
        return unknown
    if address.version == 4:
        return f"address:{address}"
    return f"address:{ipaddress.ip_network((int(address), NETWORK_OF_ONE_SENDER_BITS), strict=False)}"
