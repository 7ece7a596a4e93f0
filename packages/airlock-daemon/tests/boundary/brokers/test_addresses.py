"""Which addresses need naming."""

import ipaddress

import pytest
import trio

from airlock_daemon.boundary.brokers.http.addresses import find_inner, resolve
from airlock_daemon.errors import Failed


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - nothing is bound
        *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
        *("168.63.129.16", "192.88.99.1", "192.0.0.192"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::", "2002:a00:1::1"),
        # Site-local, of a translator, of an overlay (Yggdrasil), of segment routing, of nobody.
        *("fec0::1", "::ffff:0:10.0.0.1", "200::1", "3ff::1", "5f00::1", "::1.1.1.1", "4000::1"),
    ],
)
def test_addresses_of_no_public_network_are_inner(address: str) -> None:
    """Also those that only carry such an address."""
    inner = ipaddress.ip_address(address)
    assert find_inner((ipaddress.ip_address("140.82.121.4"), inner)) == inner


@pytest.mark.parametrize("address", ["140.82.121.4", "2606:50c0:8000::153", "64:ff9b::8c52:7904"])
def test_public_addresses_are_not(address: str) -> None:
    """Those of forges, and such a one behind NAT64."""
    assert find_inner((ipaddress.ip_address(address),)) is None


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
async def test_every_spelling_is_resolved_to_its_address(host: str) -> None:
    """As the resolver of the host reads it."""
    assert await resolve(host, family=None, limiter=trio.CapacityLimiter(1)) == (
        ipaddress.ip_address("127.0.0.1"),
    )


async def test_a_host_that_is_not_there_is_told() -> None:
    """With its name, and what to look at."""
    with pytest.raises(Failed, match=r"there\.invalid cannot be found") as failed:
        await resolve("there.invalid", family=4, limiter=trio.CapacityLimiter(1))
    assert "git remote -v" in str(failed.value.hint)
