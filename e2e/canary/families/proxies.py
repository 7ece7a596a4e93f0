"""Proxies of the human's: hosts that only a pattern covers, and proxies that lie."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.between import LIES
from e2e.canary.families.urls import FETCH, at_url
from e2e.canary.push import LIST_REFS

# By what each lie is stopped; of the others nothing is believed (`answers`).
_STOPPED_BY = {
    "impostor": "certificates",
    "plain": "certificates",
    "wants": "accounts",
    "wants-other": "accounts",
    "asks": "accounts",
    "sends-on": "redirects",
    "sends-back": "redirects",
}

# Names that no grant has; a flag says that the proxy leads to this host by them without the guard.
_NAMES = (
    ("within.proxied.test", True),
    ("Inner.PROXIED.TEST", True),
    ("xn--a.proxied.test", True),
    ("a.b.proxied.test", False),
)

# What would be more than a name in the line that a proxy is asked by.
_SMUGGLED = (
    "a.proxied.test%0d%0aX-Y: z",
    "a.proxied.test%20HTTP/1.1%0d%0aHost:",
    "a.proxied.test\r\nProxy-Authorization: Basic x",
    "a.proxied.test HTTP/1.1\r\n\r\nGET http://127.0.0.1:<plain>/x",
    "127.0.0.1:<web>@a.proxied.test",
    "a.proxied.test@127.0.0.1:<web>",
    "a.proxied.test:<web>,127.0.0.1",
    "[a.proxied.test]",
    "a.proxied.test%00.example",
    "a\u2024test",
)

_VARIABLES = (
    {"https_proxy": "http://127.0.0.1:<proxy>"},
    {"all_proxy": "http://127.0.0.1:<proxy>"},
    {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.proxy",
        "GIT_CONFIG_VALUE_0": "http://127.0.0.1:<proxy>",
    },
)


def _attacks() -> Iterator[Attack]:
    for agent in ("web-wide", "unpinned"):
        for name, works in _NAMES:
            # Without any grant only the first is a host that the human's git has an account for.
            can_work = works and (agent == "web-wide" or name == "within.proxied.test")
            url = f"https://{name}:<web>/secret.git"
            yield at_url(f"{agent} at {name}", "proxies", url, agent=agent, works=can_work)
    url = "https://within.proxied.test:<web>/secret.git"
    yield at_url("a push", "proxies", url, agent="web-wide", works=True, is_push=True)
    for agent in ("wide", "unpinned"):
        words = ("within.proxied.test", "git-upload-pack '<root>/secret.git'")
        name = f"{agent} behind a command of the human's ssh"
        yield ask(name, "proxies", *words, agent=agent, works_without=True)
    words = ("within.proxied.test", "cat notes")
    yield ask(
        *("a session behind a command", "proxies", *words),
        agent="session-wide",
        command="ssh",
        works_without=True,
    )
    for name in LIES:
        url = f"https://{name}.proxied.test:<web>/open/app.git"
        guard = _STOPPED_BY.get(name, "texts" if name.startswith("says") else "answers")
        works = name == "impostor"
        yield at_url(f"a proxy: {name}", guard, url, agent="web-between", works=works)
    for host in _SMUGGLED:
        url = f"https://{host}:<web>/open/app.git"
        yield at_url(f"smuggled {host!a}", "words", url, agent="web-wide")
    for variables in _VARIABLES:
        yield ask(
            *(f"chosen by {next(iter(variables))}", "environment", "origin"),
            "https://127.0.0.1:<web>/open/app.git",
            agent="web",
            transport="https",
            says=FETCH,
            then=LIST_REFS,
            env=variables,
            works_without=True,
        )


FAMILY = Family("proxies", tuple(_attacks()))
