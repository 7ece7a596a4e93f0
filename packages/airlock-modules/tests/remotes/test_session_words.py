"""What is passed on of the words that a client gives ssh."""

import pytest

from airlock_modules.remotes.destination import Login, RemoteError
from airlock_modules.remotes.session_words import Query, Session, read_session_words

# What clients of their own give the ssh that they call (OpenSSH 10, rsync 3.4, git 2.47).
SCP = (
    *("-x", "-oPermitLocalCommand=no", "-oClearAllForwardings=yes", "-oRemoteCommand=none"),
    *("-oRequestTTY=no", "-oForwardAgent=no", "-p", "2222", "-l", "me", "-s", "--"),
    *("host", "sftp"),
)
SFTP = ["-oForwardX11 no", "-oPermitLocalCommand no", "-oClearAllForwardings yes"]


def read(*words: str) -> Session:
    """Read the words of a session."""
    asked = read_session_words(words)
    assert isinstance(asked, Session)
    return asked


def at(host: str, user: str | None = None, port: int | None = None) -> Login:
    """A place to go to."""
    return Login(user=user, host=host, port=port)


def test_what_other_programs_give_their_ssh() -> None:
    """scp and sftp ask for a subsystem, rsync and git for a command."""
    assert read(*SCP) == Session(
        login=at("host", "me", 2222), command="sftp", is_subsystem=True, terminal="no"
    )
    assert read(*SFTP, "-s", "--", "host", "sftp").is_subsystem
    assert read("-l", "me", "host", "rsync", "--server", "-e.L", ".").command == (
        "rsync --server -e.L ."
    )
    git = read("-o", "SendEnv=GIT_PROTOCOL", "git@host", "git-upload-pack 'a b'")
    assert (git.sends, git.command) == (("GIT_PROTOCOL",), "git-upload-pack 'a b'")


def test_options_before_and_behind_the_destination_in_clusters() -> None:
    """The first value counts, and the last of -4 and -6, -t and -T."""
    asked = read("-qtTtp", "22", "-oPort=23", "a@Host", "-ttl", "b", "-6", "-o", "user=c", "-4n")
    assert asked == Session(
        login=at("host", "a"),
        command=None,
        family=4,
        terminal="force",
        log_level="QUIET",
        has_no_input=True,
    )
    assert read("-l", "b", "a@host").login.user == "b"
    assert read("ssh://a@[::1]:2222/").login == at("[::1]", "a", 2222)
    assert read("--", "host", "-v").command == "-v"
    assert read("host", "--", "-v").command == "-v"


def test_more_words_about_it_are_asked_for_and_not_passed_on() -> None:
    """-v and its like say what the daemon knows; less is as well to be had."""
    for words in (("-v",), ("-vvv",), ("-oLogLevel=debug3",)):
        asked = read(*words, "host")
        assert (asked.is_verbose, asked.log_level) == (True, "INFO")
    assert read("-oLogLevel=error", "host").log_level == "ERROR"


@pytest.mark.parametrize(
    ("words", "query"),
    [((), ()), (("-v",), ()), (("-V",), ("-V",)), (("-4Qcipher", "x"), ("-Q", "cipher"))],
)
def test_questions_about_ssh_itself_lead_nowhere(
    words: tuple[str, ...], query: tuple[str, ...]
) -> None:
    """Its version, what it supports, its usage."""
    assert read_session_words(words) == Query(words=query)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ConnectTimeout=5", ("ConnectTimeout", "5")),
        (" connecttimeout  5 ", ("ConnectTimeout", "5")),
        ("SERVERALIVEINTERVAL = 30", ("ServerAliveInterval", "30")),
        ("HostKeyAlgorithms=+ssh-rsa", ("HostKeyAlgorithms", "+ssh-rsa")),
        ("SetEnv=A=b", ("SetEnv", "A=b")),
        ("IdentitiesOnly=yes", ("IdentitiesOnly", "yes")),
        ("ForwardAgent=no", None),
        ("StrictHostKeyChecking=ask", None),
    ],
)
def test_options_by_name_have_one_spelling(option: str, value: tuple[str, str] | None) -> None:
    """What the daemon says itself is not said again."""
    assert read("-o", option, "host").options == (() if value is None else (value,))


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        *((("-" + letter, "x", "host"), "-" + letter) for letter in "iFEILRDWwSOJPe"),
        *((("-v" + letter, "host"), "-" + letter) for letter in "AKXYMNfgGy"),
        (("-\u0410", "host"), '"-\u0410"'),
        (("-1", "host"), '"-1"'),
        (("--help",), '"--"'),
        (("-Q", "/etc/passwd"), "-Q"),
        *((("-o", option, "host"), "-o") for option in ("ProxyJump=x", "Tag=x", "\u00a0User=x")),
        *((("-o", option, "host"), "-o") for option in ("IdentityFile=x", "=User=x", '"User" x')),
        *((("-o", option, "host"), "-o") for option in ("ProxyCommand=x", "HostName=x", "User")),
        (("-oForwardAgent=yes", "host"), "-o ForwardAgent"),
        (("-oStrictHostKeyChecking=no", "host"), "-o StrictHostKeyChecking"),
        (("-oIdentitiesOnly=no", "host"), "-o IdentitiesOnly"),
        (("-oSendEnv=AWS_SECRET", "host"), "-o SendEnv"),
        (("-oSendEnv=LANG AWS_SECRET", "host"), "-o SendEnv"),
        (("-oSetEnv=A=${http_proxy}", "host"), "-o SetEnv"),
        (("-oSetEnv=A=%d", "host"), "-o SetEnv"),
        (("-oCiphers=--", "host"), "-o Ciphers"),
        (("-oConnectTimeout=5\nProxyCommand=x", "host"), "-o ConnectTimeout"),
        (("-oUser=%h", "host"), "user"),
        (("-l", "-x", "host"), "user"),
        (("a b@host",), "user"),
        (("a@b@host",), "user"),
        (("$(id)@host",), "user"),
        (("host;id",), "host"),
        (("fe80::1%lo",), "host"),
        (("\uff11\uff12\uff17.0.0.1",), "host"),
        (("",), "host"),
        (("-",), "host"),
        (("ssh://host/path",), "host"),
        (("ssh://",), "host"),
        (("-p", "0", "host"), "port"),
        (("-p", "--", "host"), "port"),
        (("-p",), "words"),
        (("-s", "host"), "words"),
        (("host", "x" * 100_001), "command"),
        # Each would take minutes if it were looked at more than once.
        (("-oUser=x" + " " * 500_000 + "y", "host"), "user"),
        (("-o" + " " * 500_000, "host"), "-o"),
        (("-" + "v" * 500_000 + "A", "host"), "-A"),
        (("-v",) * 300_000 + ("-A",), "-A"),
    ],
)
def test_other_words_are_refused(words: tuple[str, ...], rule: str) -> None:
    """Files, tunnels, loans, other settings, and names that ssh or a shell would expand."""
    with pytest.raises(RemoteError) as refused:
        read_session_words(words)
    assert refused.value.rule == rule
    assert refused.value.problem.isprintable()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ('ConnectTimeout="10"', ("ConnectTimeout", "10")),
        ('Ciphers "aes256-ctr"', ("Ciphers", "aes256-ctr")),
        ("ControlMaster=auto", None),
        ("ControlPersist=60s", None),
        ('ControlPath="/root/.ansible/cp/0123456789"', None),
        ("controlpath ~/.ssh/cm-%r@%h", None),
    ],
)
def test_quotes_are_taken_off_and_shared_connections_ignored(
    option: str, value: tuple[str, str] | None
) -> None:
    """As Ansible writes them."""
    assert read("-o", option, "host").options == (() if value is None else (value,))


def test_a_user_in_quotes_is_the_user() -> None:
    """No other than ssh itself reads."""
    assert read("-o", 'User="deploy"', "host").login.user == "deploy"
    for value in ('"a b"', '"a\\b"', '"a\'b"', '"a"b', '"a#b"', '""', '"-x"', '"%h"', "'a'"):
        with pytest.raises(RemoteError):
            read("-o", f"User={value}", "host")
