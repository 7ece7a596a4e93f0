"""`[sandbox]` of a module: what is read, and what is refused by name."""

import pytest

from airlock_modules import ModuleError, parse_module, review_module

TOOL = '[command]\nbin = "tool"\n[deny]\nargs = []\n'


def faults_of(text: str) -> tuple[str, ...]:
    """All faults of a module."""
    with pytest.raises(ModuleError) as caught:
        parse_module(text, name="tool", source="tool.toml")
    return tuple(str(fault) for fault in caught.value.faults)


def test_a_module_that_says_nothing_is_read_so() -> None:
    """What it has then depends on whose program it runs, which the file alone does not say."""
    assert parse_module(TOOL, name="tool", source="tool.toml").sandbox is None


def test_a_closed_box_is_read_with_all_that_it_may_have() -> None:
    """What is not said is nothing."""
    box = '[sandbox]\nbox = "closed"\n'
    read = 'sockets = "unix"\nhome = "fresh"\nread = ["/opt/tool", "~/.tool"]\n'
    read += 'brokers = ["git", "git"]\nlinks = false\n'
    plain = parse_module(TOOL + box, name="tool", source="tool.toml").sandbox
    whole = parse_module(TOOL + box + read, name="tool", source="tool.toml").sandbox
    assert plain is not None
    assert (plain.box, plain.sockets, plain.read) == ("closed", "none", ())
    assert (plain.brokers, whole and whole.brokers) == ((), ("git",))
    assert whole is not None
    assert (plain.links, whole.links) == (True, False)
    assert (whole.box, whole.sockets, whole.read) == ("closed", "unix", ("/opt/tool", "~/.tool"))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("", "box: is missing"),
        ('box = "home"\nsockets = "unix"', "sockets: this key has no meaning in the human's home"),
        ('box = "home"\nhome = "fresh"', "home: this key has no meaning in the human's home"),
        ('box = "Closed"', 'box: "Closed" is not one of its values'),
        ('box = "closed"\nhome = "old"', 'home: "old" is not one of its values'),
        ('box = "closed"\nhome = "kept"\nread = ["~/.tool"]', "home: cannot be kept where"),
        ('box = "home"\nnetwork = ["a:1"]', "network: this key has no meaning in the human's"),
        ('box = "home"\nlinks = false', "links: this key has no meaning in the human's home"),
        ('box = "closed"\nlinks = 0', "links: must be a boolean"),
        ('box = "closed"\nbrokers = ["ssh"]', 'brokers: "ssh" is no broker that a box'),
        ('box = "none"\nbrokers = ["git"]', "brokers: this key has no meaning without a box"),
        ('box = "closed"\nprograms = []', "programs: this key has no meaning any more"),
        ('box = "closed"\ndynamic = true', "dynamic: this key has no meaning any more"),
        ('box = "closed"\nsockets = "all"', 'sockets: "all" is not one'),
        ('box = "closed"\nread = ["opt"]', 'read: "opt" is no plain path'),
        ('box = "closed"\nread = ["/"]', 'read: "/" is no plain path'),
        ('box = "closed"\nread = ["~"]', 'read: "~" is no plain path'),
        ('box = "closed"\nread = ["~me/x"]', 'read: "~me/x" is no plain path'),
        ('box = "closed"\nread = ["/a/../b"]', 'read: "/a/../b" is no plain path'),
        ('box = "closed"\nread = ["/etc"]', 'read: "/etc" is a place that a box has of its own'),
        ('box = "closed"\nread = ["/home"]', 'read: "/home" is a place'),
        ('box = "closed"\nread = ["/run/user/1/bus"]', 'read: "/run/user/1/bus" is a place'),
        ('box = "none"\nsockets = "unix"', "sockets: this key has no meaning without a box"),
        ('box = "none"\nread = ["/opt"]', "read: this key has no meaning without a box"),
    ],
)
def test_what_cannot_be_had_is_a_fault_that_says_so(lines: str, fault: str) -> None:
    """A box that was promised and is not there would be worse than none."""
    found = faults_of(f"{TOOL}[sandbox]\n{lines}\n")
    assert len(found) == 1
    assert found[0].startswith(f"tool.toml: [sandbox] {fault}")


@pytest.mark.parametrize("path", ["~/.ssh", "~/.ssh/id_rsa", "~/.config", "/root/x", "/etc/ssh"])
def test_what_has_credentials_is_pointed_out(path: str) -> None:
    """It is read, for the module is its owner's; but what is visible in a box is given away."""
    text = f'{TOOL}[sandbox]\nbox = "closed"\nread = ["/opt/tool", "{path}", "~/.tool"]\n'
    (found,) = review_module(parse_module(text, name="tool", source="tool.toml"))
    assert f'sandbox] read: "{path}" has credentials' in str(found)


def test_a_broker_has_no_box() -> None:
    """It runs nothing of the client's, and needs what a box does not have."""
    text = '[command]\nbroker = "git"\n[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'
    assert "has no meaning for a broker" in faults_of(text)[0]


NETWORK = [
    ("registry.terraform.io:443", "registry.terraform.io:443"),
    ("*.AmazonAWS.com:443", "*.amazonaws.com:443"),
    ("127.0.0.1:4566", "127.0.0.1:4566"),
    ("[::0:1]:65535", "[::1]:65535"),
    ("localhost:1", "localhost:1"),
    ("_srv.a-b.example:8443", "_srv.a-b.example:8443"),
]


@pytest.mark.parametrize(("written", "read"), NETWORK)
def test_a_destination_is_read_in_one_form(written: str, read: str) -> None:
    """Whoever looks for it later need not know the others."""
    text = f'{TOOL}[sandbox]\nbox = "closed"\nnetwork = ["{written}", "{written}"]\n'
    sandbox = parse_module(text, name="tool", source="tool.toml").sandbox
    assert sandbox is not None
    assert (sandbox.network, sandbox.sockets) == ((read,), "inet")


@pytest.mark.parametrize(
    "entry",
    [
        *("", "host", "host:", ":443", "host:0", "host:0443", "host:65536", "host:99999", "a:b"),
        *("*:443", "*.com:443", "a.*.com:443", "*a.com:443", "*.127.0.0.1:1", "https://a:443"),
        *("127.1:1", "0x7f.1:1", "0x7f000001:1", "2130706433:1", "127.0.0.01:1", "1.2.3.4.5:1"),
        *("::1:443", "[::1]", "[1.2.3.4]:1", "[fe80::1%eth0]:1", "[::1]x:1", "user@host:1"),
        *("host.:443", ".host:443", "a..b:443", "-a:443", "a-:443", "h\u00f6st:443", "a b:443"),
        *("a:443 ", " a:443", "a:443/x", "a\\n:443", f"{'a' * 64}:443", f"{'a.' * 130}a:443"),
        "a:\u0664\u0664\u0663",
    ],
)
def test_what_can_be_read_in_two_ways_is_no_destination(entry: str) -> None:
    """An address has one spelling, a name is one that resolvers take for a name."""
    (found,) = faults_of(f'{TOOL}[sandbox]\nbox = "closed"\nnetwork = ["{entry}"]\n')
    assert "[sandbox] network: " in found
    assert "is no HOST:PORT" in found


def test_a_network_adds_its_sockets_to_those_that_are_named() -> None:
    """A tool that speaks with its plugins by unix sockets goes on doing so."""
    lines = 'box = "closed"\nsockets = "unix"\nnetwork = ["a.example:443"]\n'
    sandbox = parse_module(f"{TOOL}[sandbox]\n{lines}", name="tool", source="tool.toml").sandbox
    assert sandbox is not None
    assert sandbox.sockets == "inet and unix"


@pytest.mark.parametrize(
    ("box", "remedy"),
    [
        ('box = "closed"', 'write [[api]] with hosts = ["api.example.com"]'),
        (
            'box = "closed"\nbrokers = ["docker"]',
            "name the registries whose logins are used in [docker] of the profile",
        ),
    ],
)
def test_credentials_of_earlier_releases_are_a_fault_with_the_lines_to_write(
    box: str, remedy: str
) -> None:
    """No box holds any."""
    held = '[credentials]\nenv = { TOKEN = "TOKEN?" }\n'
    (found,) = faults_of(f"{TOOL}[sandbox]\n{box}\n{held}")
    assert found.startswith("tool.toml: credentials: this table is of earlier releases")
    assert remedy in found
