"""Addresses around the daemon's host, in every spelling, for agents that do not name them."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask

# Where the server listens, at the port that the human's configuration has for every host, and
# known_hosts has a line by that name: without the guard it answers.
HERE = ("127.0.0.1", "127.1", "0x7f000001", "2130706433", "127.9.9.9", "localhost", "[::1]")

# No name that only a server of names knows: nothing of this leaves the host.
_AROUND = (
    *(
        "0",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "00",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f.0.0.1",
        "017700000001",
    ),
    *("127.000.000.001", "0x7F.0x0.0x0.0x1", "127.255.255.254", "LOCALHOST", "Localhost"),
    *("::1", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]"),
    *(
        "[fe80::1]",
        "[fe80::1%lo]",
        "[fec0::1]",
        "[200::1]",
        "[::ffff:0:127.0.0.1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[0::1]",
    ),
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "100.100.100.200"),
    *("10.0.0.1", "10.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "224.0.0.1"),
    *(
        "255.255.255.255",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1",
    ),
)


def _attacks() -> Iterator[Attack]:
    for agent in ("wide", "unpinned"):
        for host in HERE:
            words = (host, "git-upload-pack '<root>/secret.git'")
            # The address stands for 127.0.0.1 alone, at which the server is.
            works = host != "127.9.9.9"
            name = f"{agent} at {host}"
            yield ask(name, "addresses", *words, agent=agent, works_without=works)
        for host in _AROUND:
            words = (host, "git-upload-pack '<root>/secret.git'")
            yield ask(f"{agent} at {host}", "addresses", *words, agent=agent)
    for family in ("-4", "-6"):
        option = (family, "localhost", "git-upload-pack '<root>/secret.git'")
        yield ask(
            f"wide {family}", "addresses", *option, agent="wide", works_without=family == "-4"
        )
    for host in ("0x7f.1", "127.0.1", "0177.0.0.1"):
        words = (host, "git-upload-pack '<root>/secret.git'")
        yield ask(f"unknown {host}", "known", *words, agent="unpinned", works_without=True)


FAMILY = Family("hosts", tuple(_attacks()))
