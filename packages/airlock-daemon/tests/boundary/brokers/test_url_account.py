"""Which account of the human's is used, how it is asked for, and by which way the server is met."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from https_server import Handler
from url_world import ACCOUNT, Site, making_site

from worlds import ANY_REF

USER, PASSWORD = ACCOUNT


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for an account. The daemon does not run yet, and git knows of none."""
    with making_site(tmp_path) as site:
        site.server.users[USER] = PASSWORD
        site.grant()
        yield site


def write_helper(site: Site, text: str) -> str:
    """A helper of the human's, which notes what it is asked; returns its path."""
    path = site.home / "helper"
    path.write_text(f'#!/bin/sh\necho "== $1" >>{site.home}/asked\nenv >>{site.home}/env\n{text}\n')
    path.chmod(0o755)
    return str(path)


def answer(user: str = USER, password: str = PASSWORD) -> str:
    """A script that has this account for whatever it is asked."""
    return f"cat >>$HOME/asked; printf 'username={user}\\npassword={password}\\n'"


def asked_of(site: Site) -> str:
    """What the helper was asked, all of it."""
    file = site.home / "asked"
    return file.read_text() if file.exists() else ""


def test_a_helper_hears_of_the_place_alone(site: Site) -> None:
    """Neither the client's user, nor what became of its answer; it cannot ask anybody."""
    helper = write_helper(site, answer())
    site.configure(f"credential.{site.server.url}.helper", helper)
    site.configure("core.askPass", write_helper(site, answer()))
    with site.running():
        url = site.url.replace("://", "://evil@")
        assert site.git("ls-remote", url).returncode == 0
        site.server.users[USER] = "another"
        assert "Authentication failed" in site.git("ls-remote", url).stderr
    host = site.server.url.removeprefix("https://")
    assert asked_of(site) == f"== get\nprotocol=https\nhost={host}\n" * 2
    environment = (site.home / "env").read_text()
    assert "GIT_TERMINAL_PROMPT=0" in environment
    assert "DISPLAY=" not in environment


def test_the_path_is_told_where_the_human_wants_it(site: Site) -> None:
    """As git does it (credential.useHttpPath)."""
    site.configure(f"credential.{site.server.url}.helper", write_helper(site, answer()))
    site.configure("credential.useHttpPath", "true")
    with site.running():
        assert site.git("ls-remote", "origin").returncode == 0
    assert "path=app.git\n" in asked_of(site)


@pytest.mark.parametrize("named", [False, True])
def test_a_helper_that_answers_for_anything_is_not_used(site: Site, *, named: bool) -> None:
    """It has an account for a host that cannot be; one that is configured for the host is used."""
    site.configure("credential.helper", write_helper(site, answer("mallory")))
    if named:
        store = site.home / "store"
        store.write_text(site.server.url.replace("://", f"://{USER}:{PASSWORD}@") + "\n")
        site.configure(f"credential.{site.server.url}.helper", f"store --file={store}")
    with site.running():
        listed = site.git("ls-remote", "origin")
        (record,) = site.daemon.records("broker")
    if named:
        assert listed.returncode == 0, listed.stderr
        assert site.server.requests[-1][1] == site.authorization
    else:
        assert "answers for hosts that do not exist" in listed.stderr
        assert f"credential.{site.server.url}.helper" in listed.stderr
        assert {told for _, told in site.server.requests} == {None}
        assert record["outcome"] == "denied"
    assert asked_of(site).startswith("== get\nprotocol=https\nhost=airlock-")
    assert asked_of(site).count("== ") == 1


def test_a_general_helper_that_knows_its_hosts_is_used(site: Site) -> None:
    """As `store` and `cache` are mostly configured."""
    store = site.home / "store"
    store.write_text(site.server.url.replace("://", f"://{USER}:{PASSWORD}@") + "\n")
    site.configure("credential.helper", f"store --file={store}")
    before = store.read_bytes(), store.stat().st_mtime_ns
    with site.running():
        assert site.git("ls-remote", "origin").returncode == 0
        site.server.users[USER] = "another"
        assert site.git("ls-remote", "origin").returncode == 128
    assert (store.read_bytes(), store.stat().st_mtime_ns) == before


def test_the_cache_of_the_human_is_used(site: Site) -> None:
    """Its daemon runs already, with what the human has typed."""
    folder = site.home / "cache"
    folder.mkdir(mode=0o700)
    helper = f"cache --socket={folder}/socket"
    site.configure(f"credential.{site.server.url}.helper", helper)
    said = f"url={site.server.url}\nusername={USER}\npassword={PASSWORD}\n\n"
    human = {"HOME": str(site.home)}
    assert site.plain("credential", "approve", text=said, more=human).returncode == 0
    try:
        with site.running():
            assert site.git("ls-remote", "origin").returncode == 0
    finally:
        site.plain("credential-cache", f"--socket={folder}/socket", "exit")


def test_an_answer_that_is_not_for_this_host_is_not_used(site: Site) -> None:
    """What git itself would pass on of it goes to no server."""
    with site.running():
        for printed, why in (
            # Newer versions of git do not pass this on themselves.
            (r"username=a\npassword=b\rc\n", "credential helper"),
            (r"username=a\033[31m\npassword=b\n", "holds control characters"),
            (r"username=a:b\npassword=c\n", "a user with a colon"),
            (r"host=evil.example\nusername=a\npassword=b\n", "for another server"),
            (r"protocol=http\nusername=a\npassword=b\n", "for another server"),
            (r"username=a\n", "has an account"),
            (r"quit=1\n", "has an account"),
        ):
            helper = write_helper(site, f"printf '{printed}'")
            site.configure(f"credential.{site.server.url}.helper", helper)
            listed = site.git("ls-remote", "origin")
            assert listed.returncode == 128
            assert why in listed.stderr
    assert {told for _, told in site.server.requests} == {None}


def test_nobody_knows_an_account(site: Site) -> None:
    """The refusal says what a person can do, and no program asks for one."""
    site.configure("core.askPass", write_helper(site, answer()))
    site.environment["SSH_ASKPASS"] = site.environment["GIT_ASKPASS"] = str(site.home / "helper")
    with site.running():
        listed = site.git("ls-remote", "origin")
    assert "no credential helper of this host's git has an account" in listed.stderr
    assert asked_of(site) == ""


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("http.sslCAInfo", "/usr/share/none", "cannot be read"),
        ("http.sslCAInfo", "/tmp/none/of/these", "where others can put files"),
        ("http.sslCAInfo", "", "is not accepted"),
        ("http.sslVerify", "false", "(http.sslVerify = false is not heeded here)"),
        ("http.proxy", "socks5://127.0.0.1:1", '"socks5" is no kind that is spoken'),
        ("http.proxy", "http://127.0.0.1:1", "the proxy 127.0.0.1"),
    ],
)
def test_the_human_has_settings_that_do_not_lead_there(
    site: Site, key: str, value: str, said: str
) -> None:
    """A certificate is verified whatever they are, and the message says what to look at."""
    if key != "http.proxy":
        (site.home / ".gitconfig").write_text("")
    site.configure(key, value)
    with site.running():
        listed = site.git("ls-remote", "origin")
    assert said in listed.stderr
    assert "a person on the host can" in listed.stderr
    assert site.server.requests == []


def test_the_command_for_an_unknown_authority_puts_that_right(site: Site) -> None:
    """As it is printed, with the file's name: for this port of that host alone."""
    (site.home / ".gitconfig").write_text("")
    site.server.users.clear()
    with site.running():
        refused = site.git("ls-remote", "origin").stderr
        _, _, command = refused.partition("the authority that signed it: git config --global ")
        key, file = command.split()[:2]
        assert file == "FILE"
        assert f"{site.server.url}/" in key
        site.configure(key, str(site.root / "certificate.pem"))
        assert site.git("ls-remote", "origin").returncode == 0


def test_settings_hold_for_their_url(site: Site) -> None:
    """One for another host is none for this."""
    site.configure("http.https://elsewhere.example.sslCAInfo", "/none")
    site.configure(f"http.{site.server.url}.proxy", "")
    site.configure("http.proxy", "http://127.0.0.1:1")
    site.server.users.clear()
    with site.running():
        assert site.git("ls-remote", "origin").returncode == 0


@pytest.mark.parametrize(
    ("lines", "helper", "said"),
    [
        ("", None, "is no host for which git has a credential helper by name"),
        ("", "credential.https://localhost.helper", "is no host for which git has"),
        ("", "credential.https://*.0.0.1.helper", "is no host for which git has"),
        ("", "credential.helper", "is no host for which git has"),
        ("", "credential.{url}.helper", "has an address of this host or of no public network"),
        ('push = ["*:{port}/**"]', None, "has an address of this host or of no public network"),
        ('push = ["a@127.0.0.1:{port}/**"]', None, "this agent may not fetch from"),
        ('push = ["ssh://127.0.0.1:{port}/**"]', None, "this agent may not fetch from"),
    ],
)
def test_a_host_that_is_not_named(site: Site, lines: str, helper: str | None, said: str) -> None:
    """It must be public, and known to the human's git where nothing is named at all."""
    port = str(site.server.port)
    site.world.write_profile(f"[git]\n{lines}\n".replace("{port}", port), commands='["git-remote"]')
    if helper is not None:
        site.configure(helper.replace("{url}", site.server.url), "store")
    with site.running():
        listed = site.git("ls-remote", "origin")
    assert said in listed.stderr
    assert f'fetch = ["https://127.0.0.1:{port}/app"]' in listed.stderr
    assert site.server.requests == []


def test_a_server_without_tls_must_be_named_so(tmp_path: Path) -> None:
    """`http://` in a line of the grant, and nothing less."""
    with making_site(tmp_path, is_secure=False) as site:
        place = site.server.url.removeprefix("http://")
        site.world.write_profile(f'[git]\npush = ["{place}/**"]\n')
        with site.running():
            refused = site.git("ls-remote", "origin")
        assert f'fetch = ["http://{place}/app"]' in refused.stderr
        site.world.write_profile(f'[git]\npush = ["http://{place}/**"]\n{ANY_REF}')
        with site.running():
            pushed = site.git("push", "origin", "HEAD:x")
        assert (pushed.returncode, site.refs()) == (0, ["refs/heads/x"]), pushed.stderr


def test_tls_of_a_time_gone_by_is_not_spoken(site: Site) -> None:
    """A server that has nothing newer than TLS 1.1 is not talked to."""
    assert site.server.context is not None
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        site.server.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with site.running():
        listed = site.git("ls-remote", "origin")
    assert "does not speak TLS on port" in listed.stderr


PLAIN = "403 No\r\nContent-Type: text/plain\r\n\r\n"


HEADS = (
    (PLAIN + "you sent {shown}", "returned error: 403"),
    (PLAIN + "you sent {apart}", "returned error: 403"),
    (PLAIN + "x" * 4080 + "{shown}", "returned error: 403"),
    ("302 Found\r\nLocation: https://h.example/{shown}/x\r\n\r\n", "repeats what"),
    ("200 OK\r\nContent-Type: {shown}\r\n\r\n", "repeats what"),
    ("200 OK\r\nContent-Encoding: {shown}\r\n\r\n", "packed in a way"),
    ("200 OK\r\n{shown}\r\n\r\n", "illegal header line"),
    ("{shown}\r\n\r\n", "illegal status line"),
)


def test_what_the_server_was_shown_is_not_repeated(site: Site) -> None:
    """By none of what is told of its answer, whole or in part, by whichever spelling."""
    site.store_account()
    said = ""

    def repeat(handler: Handler) -> bool:
        if handler.headers["Authorization"] is None:
            return False
        handler.wfile.write(f"HTTP/1.1 {said}".encode())
        handler.close_connection = True
        return True

    site.server.script = repeat
    with site.running():
        for secret in (site.authorization, PASSWORD):
            for head, says in HEADS:
                said = head.format(shown=secret, apart="\x01".join(secret))
                listed = site.git("ls-remote", "origin")
                assert listed.returncode == 128
                assert says in listed.stderr
                told = listed.stderr + site.daemon.messages()
                assert not [part for part in (secret, secret[:12], secret[-12:]) if part in told]
