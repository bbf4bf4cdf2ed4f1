"""Where requests to addresses that users give away may go, and where not.

A name is looked up once and every address is judged as the number that is then connected to: however an
address is written (127.1, 0x7f000001, ::ffff:127.0.0.1) and whatever a name says the next time it is asked,
what is connected to was judged. `outbound_watch` applies this to blocking libraries, `outbound_client` to our
own requests.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from schemas.errors import RefusedError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""All that IANA has opened for hosts of the internet."""
TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""NAT64: the last 32 bits are the IPv4 address that is reached (RFC 6052)."""
ASSIGNED: Final = ipaddress.IPv4Network("192.0.0.0/24")
"""For protocols of the network itself (RFC 6890); older Pythons take some of it for public."""
METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # most clouds
            "169.254.170.2",  # credentials of containers, AWS
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fe80::a9fe:a9fe",  # OpenStack
            "169.254.42.42",  # Scaleway
            "fd00:42::42",
            "169.254.0.23",  # Tencent
            "fd20:ce::254",  # Google
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure; looks public
            "192.0.0.192",  # Oracle
        ),
    )
)
"""Where machines in clouds fetch their credentials: nobody's channel, whatever is allowed."""


class AddressRefusedError(RefusedError):
    """An address is none that a request of a user may go to."""

    code = "ADDRESS_REFUSED"


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """What is allowed.

    Attributes:
        allow_private: Whether private, loopback, link-local, shared and other addresses that are not of the
            internet may be reached, and sockets of this machine. Metadata services may not even then.
        allow_redirects: Whether a server may send a request on to another URL, whose address is judged too.
    """

    allow_private: bool = False
    allow_redirects: bool = False

    def check(self, address: str, asked_for: str = "") -> None:
        """Judge an address.

        Args:
            address: In numbers, as it is connected to.
            asked_for: The name that led there, for the message.

        Raises:
            AddressRefusedError: It is not allowed.
        """
        shown = f"{asked_for} ({address})" if asked_for and asked_for != address else address
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise AddressRefusedError(f"{shown} is no address in numbers; it is not connected to") from None
        meant = reached(found)
        if not METADATA.isdisjoint({found, meant}):
            raise AddressRefusedError(f"{shown} belongs to a metadata service; it is never connected to")
        if not self.allow_private and not is_public(found):
            raise AddressRefusedError(
                f"{shown} is not an address of the internet; "
                "notifications.allow_private lets channels reach such addresses"
            )


def is_name(host: str) -> bool:
    """Whether a host is written other than as an address in numbers."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def reached(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether an address is one of a host of the internet."""
    meant = reached(address)
    if isinstance(meant, ipaddress.IPv6Address):
        return meant in GLOBAL_V6 and meant.is_global and not meant.is_multicast
    if meant is not address and isinstance(address, ipaddress.IPv6Address) and address.teredo is not None:
        return is_public(address.teredo[0]) and is_public(meant)
    return meant.is_global and not (meant.is_multicast or meant.is_reserved or meant in ASSIGNED)
