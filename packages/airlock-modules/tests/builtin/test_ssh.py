import re
import shutil
import string
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_modules import Query, RemoteError, Session, load_options, read_session_words
from policy_vectors import read_vectors

# What the daemon says itself before the words of a client.
OFF = ("-oControlMaster=no", "-oClearAllForwardings=yes", "-oStrictHostKeyChecking=yes")
LETTERS = "46Cknqttvvx"
LOGIN = re.compile(r"([A-Za-z0-9_][\w.-]*@)?(\[[0-9a-f:.]+\]|[a-z0-9_][\w.-]*)(:[0-9]+)?", re.ASCII)
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


def run_ssh(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def read_words(args: list[str]) -> Session | Query | RemoteError:
    """Return what the broker reads of the arguments, or why it does not."""
    try:
        return read_session_words(args)
    except RemoteError as error:
        return error


def read_settings(*args: str) -> dict[str, str] | None:
    """Return what ssh would do with the arguments, by option, or None where it refuses them."""
    result = run_ssh("-G", "-F", "none", *args)
    if result.returncode != 0:
        return None
    found: dict[str, str] = {}
    for line in result.stdout.splitlines():
        key, _, value = line.partition(" ")
        found[key] = f"{found[key]}\n{value}" if key in found else value
    return found


@needs_ssh
@pytest.mark.parametrize("letter", string.ascii_letters + string.digits)
def test_the_table_has_what_ssh_has(letter: str) -> None:
    """An option is in the table if ssh knows it, and takes a value if ssh wants one."""
    spec = load_options("ssh").root.flags.exact.get(f"-{letter}")
    said = run_ssh(f"-{letter}").stderr
    assert ("unknown option" in said) == (spec is None)
    assert ("requires an argument" in said) == (spec is not None and spec.takes == "value")


@needs_ssh
def test_the_table_has_every_option_of_the_usage() -> None:
    """What the usage shows without and with a value stands so in the table."""
    usage = run_ssh().stderr
    exact = load_options("ssh").root.flags.exact
    plain = re.search(r"\[-([A-Za-z0-9]+)\]", usage)
    assert plain is not None
    assert {exact[f"-{letter}"].takes for letter in plain[1]} == {"nothing"}
    valued = re.findall(r"\[(-[A-Za-z]) ", usage)
    assert len(valued) > 15
    assert {exact[name].takes for name in valued} == {"value"}


def test_the_broker_alone_decides_each_vector() -> None:
    """The module has no rules: what is passed on is harmless by how the words are read."""
    found = {
        vector.id
        for vector in read_vectors("ssh")
        if isinstance(read_words(list(vector.args)), RemoteError) != (vector.result == "denied")
    }
    assert found == set()


def test_a_denial_names_what_was_refused() -> None:
    """The rule of a refusal is the option, so that its reason can be looked up."""
    asked = read_words(["-vA", "h"])
    assert isinstance(asked, RemoteError)
    assert asked.rule == "-A"


DANGERS = st.sampled_from(
    [
        ("A", None, "forwardagent", "yes"),
        ("L", "8080:db:5432", "localforward", "8080"),
        ("R", "9000:db:5432", "remoteforward", "9000"),
        ("D", "1080", "dynamicforward", "1080"),
        ("w", "0:1", "tunnel", "point-to-point"),
        ("g", None, "gatewayports", "yes"),
        ("X", None, "forwardx11", "yes"),
        ("M", None, "controlmaster", "true"),
        ("S", "/x", "controlpath", "/x"),
        ("e", "x", "escapechar", "x"),
        ("K", None, "gssapidelegatecredentials", "yes"),
        ("I", "/x.so", "pkcs11provider", "/x.so"),
        ("f", None, "forkafterauthentication", "yes"),
        ("N", None, "sessiontype", "none"),
        ("o", "ProxyCommand=id", "proxycommand", "id"),
        ("o", "LocalCommand=id", "localcommand", "id"),
        ("o", "KnownHostsCommand=/bin/id", "knownhostscommand", "/bin/id"),
        ("o", "HostName=evil", "hostname", "evil"),
        ("o", "StrictHostKeyChecking=no", "stricthostkeychecking", "false"),
        ("o", "UserKnownHostsFile=/x", "userknownhostsfile", "/x"),
        ("o", "ForwardAgent=yes", "forwardagent", "yes"),
        ("o", "SendEnv=TOKEN", "sendenv", "TOKEN"),
    ]
)


@st.composite
def respellings(draw: st.DrawFn) -> tuple[list[str], str, str]:
    """Draw a dangerous option in some spelling and place, and what it does to which setting."""
    letter, value, key, effect = draw(DANGERS)
    cluster = "-" + draw(st.text(LETTERS, max_size=8)) + letter
    if value is not None and letter == "o":
        name, _, rest = value.partition("=")
        name = "".join(draw(st.sampled_from((c.lower(), c.upper()))) for c in name)
        value = f"{name}{draw(st.sampled_from(('=', ' ', ' = ', chr(9))))}{rest}"
        value = draw(st.sampled_from(("", " ", "="))) + value
    words = [cluster]
    if value is not None:
        words = [cluster + value] if draw(st.booleans()) else [cluster, value]
    extra = draw(st.lists(st.sampled_from(("-v", "-p22", "-4", "-oConnectTimeout=5")), max_size=2))
    if draw(st.booleans()):
        return [*extra, *words, "host.example", "ls"], key, effect
    return [*extra, "host.example", *words, "ls", "-l"], key, effect


@needs_ssh
@given(respellings())
@settings(max_examples=150, deadline=None)
def test_a_danger_stays_denied_in_every_spelling_that_ssh_takes(
    spelling: tuple[list[str], str, str],
) -> None:
    """What ssh itself reads as the dangerous option is refused, wherever and however it stands."""
    args, key, effect = spelling
    found = read_settings(*args)
    assert found is not None
    assert effect in found.get(key, "")
    assert isinstance(read_words(args), RemoteError)


# fmt: off
HARMLESS = frozenset(
    {
        "addkeystoagent", "addressfamily", "batchmode", "bindaddress", "bindinterface",
        "checkhostip", "ciphers", "compression", "connectionattempts", "connecttimeout",
        "exitonforwardfailure", "fingerprinthash", "gssapiauthentication", "host",
        "hostkeyalgorithms", "hostname", "identitiesonly", "identityagent", "identityfile",
        "ipqos", "kbdinteractiveauthentication", "kexalgorithms", "loglevel", "macs",
        "numberofpasswordprompts", "passwordauthentication", "port", "preferredauthentications",
        "proxyjump", "pubkeyacceptedalgorithms", "pubkeyauthentication", "rekeylimit",
        "requesttty", "serveralivecountmax", "serveraliveinterval", "sessiontype", "setenv",
        "stdinnull", "tag", "tcpkeepalive", "user", "visualhostkey",
    }
)
# fmt: on
NAMES = sorted(HARMLESS | {"ProxyCommand", "LocalForward", "SendEnv", "HostName"})
VALUES = ("yes", "no", "none", "1", "5", "~", "x", "host.example", "/x", "LANG", "a:b", "", "--")
PIECES = st.one_of(
    st.text("-" + string.ascii_letters + "0123456789=~ ", max_size=6).map(lambda text: "-" + text),
    st.sampled_from([f"-{letter}" for letter in string.ascii_letters]),
    st.builds("-o{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.builds("{} {}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.sampled_from(('-oUser="x"', '-oUser="x y"', '-oPort="22"', '-oUser="x"y')),
    st.sampled_from((*VALUES, "-o", "-v", "h", "u@h", "ssh://u@h:1", "-A", "--", "-", "--A")),
)


@needs_ssh
@given(st.lists(PIECES, max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_is_allowed_changes_only_harmless_settings(args: list[str]) -> None:
    """With arguments that pass, ssh differs from a plain connection in harmless things alone."""
    if isinstance(read_words(args), RemoteError) or any("Q" in arg or "V" in arg for arg in args):
        return
    usual = read_settings(*OFF, "h")
    found = read_settings(*OFF, *args)
    assert usual is not None
    if found is None or "host" not in found:
        return
    assert {key for key in found | usual if found.get(key) != usual.get(key)} <= HARMLESS
    # ssh writes small letters, and a number as the address that it stands for.
    assert found["hostname"] == found["host"].lower() or found["host"].isdigit()


@needs_ssh
@given(st.lists(PIECES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_what_is_passed_on_leads_where_ssh_itself_would_go(args: list[str]) -> None:
    """User, host and port are those that ssh reads in the same words, and so is the terminal."""
    asked = read_words(args)
    if isinstance(asked, RemoteError):
        return
    found = read_settings(*args)
    if isinstance(asked, Query):
        assert found is None or {"V", "Q"} & set("".join(args))
        return
    if found is None:
        # It looks closer at some values, as those of ciphers.
        return
    login = asked.login
    assert found["host"].lower() == login.host.strip("[]")
    assert login.user in (None, found["user"])
    assert found["port"] == str(login.port or 22)
    assert found["requesttty"] == {"no": "false", "yes": "true"}.get(asked.terminal, asked.terminal)
    assert (found["sessiontype"] == "subsystem") is asked.is_subsystem


@given(st.lists(st.text(max_size=8) | PIECES, max_size=6))
def test_whatever_stands_there_is_read_or_refused_in_one_line(args: list[str]) -> None:
    """Nothing else is raised, and a user or host that is passed on is a plain name."""
    asked = read_words(args)
    if isinstance(asked, RemoteError):
        assert asked.problem.isprintable()
    elif isinstance(asked, Session):
        assert LOGIN.fullmatch(str(asked.login))
