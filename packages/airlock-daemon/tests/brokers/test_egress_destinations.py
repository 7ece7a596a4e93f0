"""What a module says that its box may reach, and every other spelling of a host."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.brokers.egress.destinations import read_destination, read_network

NETWORK = read_network(
    ("registry.example.com:443", "*.amazonaws.com:443", "10.0.0.5:5432", "[2001:db8::1]:443")
)


def is_granted(text: str) -> bool:
    """Whether what CONNECT asks for is a destination, and one that the module names."""
    try:
        wanted = read_destination(text)
    except ValueError:
        return False
    return NETWORK.names(wanted) or NETWORK.covers(wanted)


@pytest.mark.parametrize(
    "text",
    [
        *("registry.example.com:443", "REGISTRY.Example.COM:443", "10.0.0.5:5432"),
        *("s3.amazonaws.com:443", "a.b.c.amazonaws.com:443", "S3.AMAZONAWS.COM:443"),
        *("[2001:db8::1]:443", "[2001:DB8:0:0::1]:443"),
    ],
)
def test_what_is_named_is_granted(text: str) -> None:
    """Letters of a name have no case, and an address of IPv6 may be written in full."""
    assert is_granted(text)


@pytest.mark.parametrize(
    "text",
    [
        # Another port, host, or part of one.
        *("registry.example.com:444", "registry.example.com:80", "xregistry.example.com:443"),
        *("example.com:443", "x.registry.example.com:443", "10.0.0.5:443", "10.0.0.6:5432"),
        # Below a pattern is not the name itself, nor what only ends or begins like it.
        *("amazonaws.com:443", ".amazonaws.com:443", "xamazonaws.com:443", "*.amazonaws.com:443"),
        *("amazonaws.com.example.com:443", "s3.amazonaws.com:22", "s3..amazonaws.com:443"),
        *("127.0.0.1.amazonaws.com:444", "-s3.amazonaws.com:443", "s3-.amazonaws.com:443"),
        # A dot at the end, in full width, and other letters that look like these.
        *("registry.example.com.:443", "s3.amazonaws.com.:443", "registry\u3002example.com:443"),
        *(
            "r\u0435gistry.example.com:443",
            "s3\uff0eamazonaws.com:443",
            "\u212ax.amazonaws.com:443",
        ),
        # Users, paths, schemes and what else a URL may have.
        *("registry.example.com:443@evil.test:443", "evil.test:443@registry.example.com:443"),
        *(
            "user@registry.example.com:443",
            "registry.example.com:443/",
            "//registry.example.com:443",
        ),
        *(
            "https://registry.example.com:443",
            "registry.example.com:443?",
            "registry.example.com:443#",
        ),
        *("registry.example.com%00.evil.test:443", "registry.example.com\x00.evil.test:443"),
        *("registry.example.com\r\n:443", "registry.example.com :443", " registry.example.com:443"),
        *("registry.example.com\n:443", "registry.example.com\t:443", "registry.example.com:443\n"),
        # Ports.
        *("registry.example.com", "registry.example.com:", "registry.example.com:0443"),
        *("registry.example.com:+443", "registry.example.com:443.0", "registry.example.com:65979"),
        *("registry.example.com:0x1bb", "registry.example.com:\u0664\u0664\u0663", ":443", ""),
        # Addresses in other spellings, and none below a pattern.
        *("10.0.0.5.:5432", "10.5:5432", "0xa.0.0.5:5432", "012.0.0.5:5432", "167772165:5432"),
        *("10.0.0.05:5432", "010.0.0.5:5432", "0x0a000005:5432", "10.0.0.0x5:5432", "a.0x5:5432"),
        *(
            "[::ffff:10.0.0.5]:5432",
            "[::10.0.0.5]:5432",
            "[10.0.0.5]:5432",
            "[64:ff9b::a00:5]:5432",
        ),
        *("2001:db8::1:443", "[2001:db8::1%lo]:443", "[2001:db8::1]443", "[2001:db8::1:443"),
        *("[registry.example.com]:443", "[s3.amazonaws.com]:443", "[]:443", "[::1]:443"),
        # The metadata of a cloud.
        *("169.254.169.254:443", "2852039166:443", "0xa9fea9fe:443", "0251.0376.0251.0376:443"),
        *("169.254.43518:443", "[::ffff:169.254.169.254]:443", "[fd00:ec2::254]:443"),
        *("0xa9.0xfe.0xa9.0xfe:443", "169.254.169.254.:443", "[::ffff:a9fe:a9fe]:443"),
    ],
)
def test_no_other_spelling_is(text: str) -> None:
    """Whether it would lead to the same place or to another."""
    assert not is_granted(text)


@pytest.mark.parametrize("last", ["5", "05", "0x5", "0x", "00000000000", "09"])
def test_what_ends_in_a_number_is_no_name(last: str) -> None:
    """A resolver may take the whole for an address."""
    with pytest.raises(ValueError, match="below"):
        read_destination(f"below.{last}:443")


@pytest.mark.parametrize("host", ["[::1%lo]", "[fe80::1%eth0]", "[::1%25lo]", "::1%lo"])
def test_no_address_has_a_zone(host: str) -> None:
    """It is of an interface, and the daemon's are others than the tool's."""
    with pytest.raises(ValueError, match="443"):
        read_destination(f"{host}:443")


@pytest.mark.parametrize("entry", ["*.10.0.0.1:443", "*:443", "*.:443", "a*.example.com:443"])
def test_a_pattern_is_of_a_name(entry: str) -> None:
    """The daemon reads what the files were checked for once more."""
    with pytest.raises(ValueError, match="443"):
        read_network((entry,))


@pytest.mark.parametrize(
    ("entry", "addresses"),
    [
        ("localhost:80", ["127.0.0.1", "::1"]),
        ("127.0.0.53:53", ["127.0.0.53"]),
        ("[::1]:8080", ["::1"]),
    ],
)
def test_this_hosts_loopback_is_known_by_its_name_and_addresses(
    entry: str, addresses: list[str]
) -> None:
    """Nobody is asked for them."""
    (local,) = read_network((entry, "example.com:80", "10.0.0.1:80")).local
    assert str(local) == entry
    assert list(map(str, local.own_addresses)) == addresses


@given(
    st.text("0123456789abcdefxX.:[]-_%lo", max_size=40)
    | st.from_regex(r"[0-9a-fxA-FX.]{1,20}(:[0-9]{1,6})?", fullmatch=True)
    | st.text(max_size=40),
    st.integers(0, 70_000),
)
def test_no_name_can_be_read_as_an_address(host: str, port: int) -> None:
    """By the resolver of this host; and what is read says the same when it is written."""
    try:
        found = read_destination(f"{host}:{port}")
    except ValueError:
        return
    assert read_destination(str(found)) == found
    assert found.host.isascii()
    if found.address is None:
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(found.host, None, flags=socket.AI_NUMERICHOST)
    else:
        assert str(found.address) == found.host
