"""What is read of the human's git and of variables, for a URL."""

import pytest

from airlock_daemon.boundary.brokers.git.credential import Helpers, read_helpers
from airlock_daemon.boundary.brokers.http import Trust, find_proxy
from airlock_daemon.boundary.brokers.http.proxy import Proxy, is_exempt
from airlock_daemon.errors import Failed
from airlock_modules import Destination

FORGE = Destination(scheme="https", user=None, host="forge.example", port=None, path="/acme/app")
PROXY = Proxy(host="proxy", port=1080, authorization=None)


@pytest.mark.parametrize(
    ("configured", "variables", "found"),
    [
        (None, {}, None),
        ("proxy", {}, PROXY),
        ("http://proxy/", {"https_proxy": "http://other:1"}, PROXY),
        ("", {"https_proxy": "http://proxy"}, None),
        (None, {"https_proxy": "", "HTTPS_PROXY": "http://proxy"}, None),
        (None, {"HTTPS_PROXY": "proxy:1080"}, PROXY),
        (None, {"ALL_PROXY": "proxy"}, PROXY),
        (None, {"http_proxy": "proxy", "HTTP_PROXY": "proxy"}, None),
        ("proxy", {"no_proxy": "x, .example"}, None),
        ("proxy", {"NO_PROXY": "forge.example:443"}, PROXY),
        ("[::1]:3128", {}, Proxy(host="::1", port=3128, authorization=None)),
        ("a%40b:c@proxy", {}, Proxy(host="proxy", port=1080, authorization="Basic YUBiOmM=")),
    ],
)
def test_a_proxy_is_found_where_git_finds_it(
    configured: str | None, variables: dict[str, str], found: Proxy | None
) -> None:
    """`http.proxy` first, an empty one is none; no_proxy holds for both."""
    assert find_proxy(configured, variables, scheme="https", host="forge.example") == found


@pytest.mark.parametrize(
    "url", ["socks5h://me:secret@proxy:1", "https://me:secret@proxy", "me:secret@pro xy", "a:b:c"]
)
def test_a_proxy_that_is_not_spoken_to(url: str) -> None:
    """Its password is not told."""
    with pytest.raises(Failed, match="is no kind that is spoken") as caught:
        find_proxy(url, {}, scheme="https", host="forge.example")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("exempt", "host", "is_so"),
    [
        ("*", "a.example", True),
        ("example", "a.example", True),
        (".Example,", "A.example.", True),
        ("ample", "example", False),
        ("10.0.0.0/8 192.168.1.1", "192.168.1.1", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("[::1],fe80::/10", "[fe80::2]", True),
        ("", "a", False),
        (", ,", "", False),
    ],
)
def test_what_is_reached_without_a_proxy(exempt: str, host: str, *, is_so: bool) -> None:
    """Names with all below them, addresses and networks (curl(1), NO_PROXY)."""
    assert is_exempt(exempt, host) is is_so


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([("credential.helper", "a")], Helpers((), is_any_asked=True)),
        ([("credential.https://forge.example.helper", "a")], Helpers(("a",), is_any_asked=False)),
        ([("credential.https://forge.example:443/.helper", "a")], Helpers(("a",), False)),
        ([("credential.https://forge.example/acme.helper", "a")], Helpers(("a",), False)),
        ([("credential.https://forge.example/ac.helper", "a")], Helpers((), False)),
        ([("credential.https://forge.example:8443.helper", "a")], Helpers((), False)),
        ([("credential.http://forge.example.helper", "a")], Helpers((), False)),
        ([("credential.https://me@forge.example.helper", "a")], Helpers((), False)),
        ([("credential.https://evil.example.helper", "a")], Helpers((), False)),
        ([("credential.https://*.example.helper", "a")], Helpers((), is_any_asked=True)),
        ([("credential.forge.example.helper", "a")], Helpers((), is_any_asked=True)),
        ([("credential.https://.helper", "a")], Helpers((), is_any_asked=True)),
        ([("credential.https://[x.helper", "a")], Helpers((), is_any_asked=True)),
        (
            [
                ("credential.helper", "any"),
                ("credential.https://forge.example.helper", ""),
                ("credential.https://forge.example.helper", "a"),
            ],
            Helpers(("a",), is_any_asked=False),
        ),
        (
            [("credential.https://forge.example.helper", "a"), ("credential.helper", "")],
            Helpers((), is_any_asked=False),
        ),
    ],
)
def test_a_host_has_helpers_by_its_own_name(pairs: list[tuple[str, str]], found: Helpers) -> None:
    """Others may answer for it too, unless an empty one stands between."""
    assert read_helpers(tuple(pairs), FORGE) == found


def test_variables_win_over_settings() -> None:
    """As they do for git; a directory of the system does not come beside a file of the human's."""
    settings = {"sslcainfo": "~/ca.pem", "sslverify": "No"}
    variables = {"HOME": "/home/me", "SSL_CERT_DIR": "/etc/certs", "SSL_CERT_FILE": "/etc/all"}
    trust = Trust.read(settings, variables)
    assert (trust.file, trust.directory, trust.is_waived) == ("/home/me/ca.pem", None, True)
    trust = Trust.read(settings, {**variables, "GIT_SSL_CAINFO": "/other"})
    assert trust.file == "/other"
    trust = Trust.read({}, variables)
    assert (trust.file, trust.directory, trust.is_waived) == ("/etc/all", "/etc/certs", False)
