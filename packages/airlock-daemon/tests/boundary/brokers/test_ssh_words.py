"""The words with which the human's ssh is run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.boundary.brokers.git.over_ssh import profile_words
from airlock_daemon.boundary.brokers.ssh.destination import FORCED, SshDestination, build_words
from airlock_daemon.errors import Denied
from airlock_daemon.setup.ssh_command import SshCommand


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh", ("ssh",)),
        ("ssh -i~/key -p2222", ("ssh", "-i", "~/key", "-p", "2222")),
        ('/usr/bin/ssh -F "/a b/config" -4', ("/usr/bin/ssh", "-F", "/a b/config", "-4")),
        ("ssh -o IdentitiesOnly=yes -J jump", ("ssh", "-o", "IdentitiesOnly=yes", "-J", "jump")),
    ],
)
def test_a_command_is_split_without_a_shell(text: str, words: tuple[str, ...]) -> None:
    """Options that say which key, configuration and way."""
    assert SshCommand.read(text).words == words


def test_a_tilde_is_the_home_that_the_daemon_was_started_with(tmp_path: Path) -> None:
    """In the program too, and only where a shell would see to it."""
    for name in ("key", "config"):
        (tmp_path / name).touch()
    text = "~/bin/ssh -i ~/key -F~/config -l ~me"
    words = profile_words({"GIT_SSH_COMMAND": text}, home=str(tmp_path))
    assert words == (
        *(f"{tmp_path}/bin/ssh", "-i", f"{tmp_path}/key", "-F", f"{tmp_path}/config", "-l", "~me"),
    )


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("-i {}/key -F {}/config", None),
        ("-i ~/key", None),
        ("-i {}/public", None),
        ("-o IdentityFile=~/key -oIdentityFile={}/key -o 'CertificateFile {}/key'", None),
        ("-o IdentityFile=none -F none", None),
        ("-i ~/typo -o IdentitiesOnly=yes", "-i ~/typo: there is no such file"),
        ("-i ~/key -i{}/typo", "/typo: there is no such file"),
        ("-F {}/typo", "/typo: there is no such file"),
        ("-F ~/public", "-F ~/public: there is no such file"),
        ("-o IdentityFile=~/typo", "-o IdentityFile=~/typo: there is no such file"),
        ("-oidentityfile={}/typo", "/typo: there is no such file"),
        ("-o 'IdentityFile {}/typo'", "/typo: there is no such file"),
        ("-o CertificateFile={}/typo", "/typo: there is no such file"),
        ("-i {}", "the user of the daemon cannot read that file"),
        ("-i key", "-i key: the path does not begin with / or ~/"),
        ("-i ~me/key", "-i ~me/key: the path does not begin with / or ~/"),
        ("-i ~/%h", "the path has a % that ssh replaces"),
    ],
)
def test_a_file_that_ssh_could_not_read_is_refused(
    words: str, problem: str | None, tmp_path: Path
) -> None:
    """ssh would pass over it, and try the human's other keys."""
    for name in ("key", "config", "public.pub"):
        (tmp_path / name).touch()
    variables = {"GIT_SSH_COMMAND": f"ssh {words.replace('{}', str(tmp_path))}"}
    if problem is None:
        profile_words(variables, home=str(tmp_path))
        return
    with pytest.raises(Denied) as raised:
        profile_words(variables, home=str(tmp_path))
    assert problem in raised.value.message
    assert raised.value.rule == "GIT_SSH_COMMAND"


@pytest.mark.parametrize(
    "text",
    [
        *("", "ssh $X", "ssh `id`", "ssh; id", "ssh | cat", "ssh 'a", "ssh -o ProxyCommand=id"),
        *("ssh host", "ssh -oLocalCommand=id", "ssh -A", "ssh -L 1:a:2", "ssh -i", "ssh -S x"),
        *("ssh -vv", "ssh -E /x"),
    ],
)
def test_what_would_do_something_else_is_refused(text: str) -> None:
    """Shell text, other options, and a destination."""
    with pytest.raises(ValueError, match=r"^(it |-|\S+ is)"):
        SshCommand.read(text)


def test_what_is_forced_comes_first_and_nothing_of_the_client_is_an_option() -> None:
    """ssh takes the first value of an option, and no option behind the two dashes."""
    goal = SshDestination(user="me", host="[::1]", port=2222, family=6)
    command = ("git-upload-pack 'a b'",)
    words = build_words(
        ("ssh", "-i", "/key"), goal, command, options=("-T",), pinned=("-oHostName=::2",)
    )
    assert words[0] == "ssh"
    assert words[1 : len(FORCED) + 1] == FORCED
    assert words[len(FORCED) + 1 :] == (
        *("-oLogLevel=INFO", "-oHostName=::2", "-T", "-6", "-p", "2222", "-i", "/key"),
        *("--", "me@::1", "git-upload-pack 'a b'"),
    )


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_what_is_forced_wins_over_the_humans_configuration(tmp_path: Path) -> None:
    """What the human's configuration switches on is off here."""
    config = tmp_path / "config"
    config.write_text(
        "ForwardAgent yes\nForwardX11 yes\nLocalForward 1080 a:1\nControlMaster auto\n"
        "ControlPath /tmp/x\nPermitLocalCommand yes\nStrictHostKeyChecking no\nEscapeChar ~\n"
        "Tunnel yes\nGSSAPIDelegateCredentials yes\nUpdateHostKeys yes\nBatchMode no\n"
        "RemoteCommand id\nAddKeysToAgent yes\nLogLevel DEBUG\n"
    )
    goal = SshDestination(user=None, host="h", port=None, family=None)
    words = build_words(("ssh", "-F", str(config)), goal, ())
    said = subprocess.run([words[0], "-G", *words[1:]], capture_output=True, text=True, check=True)
    lines = set(said.stdout.splitlines())
    assert {
        *("forwardagent no", "forwardx11 no", "clearallforwardings yes", "controlmaster false"),
        *("permitlocalcommand no", "stricthostkeychecking true", "escapechar none"),
        *("tunnel false", "gssapidelegatecredentials no", "updatehostkeys false"),
        *("batchmode yes", "addkeystoagent false", "loglevel INFO"),
    } <= lines
    assert not [line for line in lines if line.startswith(("controlpath", "remotecommand"))]
