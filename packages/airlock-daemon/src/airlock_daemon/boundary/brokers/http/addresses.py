"""Addresses that the grant must name: this host's, and those of the networks around it."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import trio

from airlock_daemon.errors import Failed
from airlock_daemon.threads import run_in_thread

ANSWER_S = 10.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses that embed an IPv4 address in their last bits (NAT64, RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LAST_BITS = 0xFFFFFFFF
# Non-public, though not by their numbers: Azure's services for a machine, relays of 6to4 (RFC
# 7526), and what Python before 3.11.10 and 3.12.4 counts as public, as Oracle's for a machine.
_AROUND = tuple(map(ipaddress.IPv4Network, ("168.63.129.16/32", "192.88.99.0/24", "192.0.0.0/24")))
# All of IPv6 that IANA has assigned to the public. Parts of the rest are used all the same:
# site-local addresses, overlays, translators, IPv4 in other forms.
_GIVEN_OUT = (ipaddress.IPv6Network("2000::/3"), _NAT64)


async def resolve(
    host: str, *, family: int | None, limiter: trio.CapacityLimiter
) -> tuple[Address, ...]:
    """Resolve a host name to its addresses, in the order to try them.

    `family` is 4 or 6, or None for both. A lookup takes a thread of `limiter`. Raises Failed if
    there is no address, or no answer in time.
    """
    kinds = {4: socket.AF_INET, 6: socket.AF_INET6, None: socket.AF_UNSPEC}
    look = partial(socket.getaddrinfo, host, None, family=kinds[family], type=socket.SOCK_STREAM)
    try:
        with trio.fail_after(ANSWER_S):
            found = await run_in_thread(look, limiter=limiter)
    except trio.TooSlowError:
        raise Failed(
            f"the host {host} was not found in {ANSWER_S:g} s",
            hint="try again; a person on the host can see what its resolver does: getent hosts",
        ) from None
    except OSError as error:
        raise Failed(
            f"the host {host} cannot be found: {error.strerror}",
            hint="look at the spelling of the remote: git remote -v",
        ) from error
    return tuple(dict.fromkeys(ipaddress.ip_address(str(sockaddr[0])) for *_, sockaddr in found))


def find_inner(addresses: tuple[Address, ...]) -> Address | None:
    """The first address of this host or of a non-public network; None if all are public."""
    return next((address for address in addresses if not _is_public(address)), None)


def _is_public(address: Address) -> bool:
    return all(
        each.is_global and not each.is_multicast and _is_given_out(each) and not _is_own(each)
        for each in (address, *_find_embedded(address))
    )


def _is_given_out(address: Address) -> bool:
    if address.version == 4:
        return not any(address in network for network in _AROUND)
    return any(address in network for network in _GIVEN_OUT)


def _find_embedded(address: Address) -> Iterator[Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & _LAST_BITS)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _is_own(address: Address) -> bool:
    """Whether a socket of this host can bind the address."""
    kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            return error.errno not in (errno.EADDRNOTAVAIL, errno.EINVAL, errno.EAFNOSUPPORT)
        return True
    # No sockets of this family, so no such address.
    return False
