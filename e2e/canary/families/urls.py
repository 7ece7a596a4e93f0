"""URLs: words for git-remote, places and pushes where the daemon itself speaks to the server."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.families.pushes import LISTS, TAKEN
from e2e.canary.families.streams import KINDS, PLACES, change, pass_kind
from e2e.canary.push import FLUSH, LIST_REFS, one_push, packet

SITE = "https://127.0.0.1:<web>"
_APP = f"{SITE}/open/app.git"
FETCH, _PUSH = b"connect git-upload-pack\n", b"connect git-receive-pack\n"

# Of the agent that has <site>/open/**. Flags say that the path leads elsewhere without the guard.
_PATHS: tuple[tuple[str, bool], ...] = (
    ("/open/../secret.git", True),
    ("/open/x/../../secret.git", True),
    ("/open/./../secret.git", True),
    ("/open//../secret.git", True),
    ("/open/%2e%2e/secret.git", False),
    ("/open/..%2fsecret.git", False),
    ("/open/%2E./secret.git", False),
    ("/open/app.git/%2e%2e/%2e%2e/secret.git", False),
    ("/open/%252e%252e/secret.git", False),
    ("/open/..\\secret.git", False),
    ("/open/..;/secret.git", False),
    ("/open/\u2025/secret.git", False),
    ("/open/\uff0e\uff0e/secret.git", False),
    ("/open/app.git?x=/../secret.git", False),
    ("/open/app.git#/../../secret.git", False),
    ("/open/app.git/info/refs?service=git-upload-pack&x=", False),
    ("/open/app.git HTTP/1.1\r\nHost: x\r\n\r\n", False),
    ("/open/app.git\r\nAuthorization: Basic x", False),
    ("/open/app.git\nhost=localhost:<web>", False),
    ("/open/app.git\0/../../secret.git", False),
    ("/open/app.git\t", False),
    ("/open/", False),
    ("/open", False),
    ("/", False),
    ("//", False),
    ("/open/" + "a" * 5000, False),
)

# Well-formed places that agents do not have.
_PLACES: tuple[tuple[str, str, bool], ...] = (
    ("web", f"{SITE}/secret.git", True),
    ("web", f"{SITE}/secret", False),
    ("web", f"{SITE}/open/below/secret.git", True),
    ("web", f"{SITE}/open/.git", True),
    ("web-reader", f"{SITE}/secret.git", True),
    ("web-narrow", f"{SITE}/open/below/secret.git", True),
    ("web-wide", "https://127.0.0.1:<impostor>/open/app.git", False),
    ("web-deep", f"{SITE}/open.git/../secret.git", False),
    ("web", "https://localhost:<web>/secret.git", True),
    ("web", "https://127.0.0.1/open/app.git", False),
    ("web", "https://127.0.0.1:<plain>/open/app.git", False),
    ("web", "https://127.0.0.1:<port>/open/app.git", False),
    ("pinned", _APP, False),
    ("pinned", f"{SITE}<open>/app.git", False),
    ("session", _APP, False),
)

_EXT = ("CVE-2026-28292",)

# What git gives its helper of https, in other words.
_WORDS: tuple[tuple[str, ...], ...] = (
    (),
    (_APP,),
    ("origin", _APP, _APP),
    ("origin", "http://127.0.0.1:<plain>/open/app.git"),
    ("origin", "HTTPS://127.0.0.1:<web>/open/app.git"),
    ("origin", f"https::{_APP}"),
    *(("origin", f"{name}::sh -c :><proof>/ext") for name in ("ext", "Ext", "EXT", "ext::EXT")),
    ("origin", "file://<root>/secret.git"),
    ("origin", "ftp://127.0.0.1:<plain>/x"),
    ("origin", "<root>/secret.git"),
    ("origin", "-"),
    ("origin", "--upload-pack=:><proof>/option"),
    ("origin", "https:/127.0.0.1:<web>/open/app.git"),
    ("origin", "https:///open/app.git"),
    ("origin", "https://:<web>/open/app.git"),
    ("origin", "https://127.0.0.1:<web>"),
    ("origin", "https://bot:x@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://:@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://boss@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://a%40b@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://bot\nusername=boss@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://127.0.0.1:<web>@localhost:<plain>/open/app.git"),
    ("origin", "https://127.0.0.1:<web>\\@localhost:<plain>/open/app.git"),
    ("origin", "https://localhost:<plain>#@127.0.0.1:<web>/open/app.git"),
    ("origin", "https://127.0.0.1:<web>:<plain>/open/app.git"),
    ("origin", "https://127.0.0.1:0<web>/open/app.git"),
    ("origin", "https://127.0.0.1:+<web>/open/app.git"),
    ("origin", "https://127.0.0.1: <web>/open/app.git"),
    ("origin", "https://127.0.0.1:99999/open/app.git"),
    ("origin", "https://127.0.0.1\n:<web>/open/app.git"),
    ("origin", "https://127.0.0.1%00.example:<web>/open/app.git"),
    ("origin", "https://127%2e0.0.1:<web>/open/app.git"),
    ("origin", "https://[127.0.0.1]:<web>/open/app.git"),
    ("origin", "https://\uff11\uff12\uff17.0.0.1:<web>/open/app.git"),
    ("-c", _APP),
    ("x\nurl=https://localhost/", _APP),
)

# Hosts that only a wide grant has, and the open server answers at; a flag says that it does here.
_HERE = (
    *(("127.0.0.1", True), ("127.1", True), ("localhost", True), ("LOCALHOST", True)),
    *(("0x7f000001", True), ("2130706433", True), ("0", False), ("127.9.9.9", False)),
    *(("[::1]", False), ("[::ffff:127.0.0.1]", False), ("[64:ff9b::127.0.0.1]", False)),
    *(("[::]", False), ("10.0.0.1", False), ("169.254.169.254", False), ("localhost.", False)),
    *(("[fe80::1%25lo]", False), ("0177.0.0.1", False), ("127.0.0.1.", False)),
)

# What a helper is told instead of being connected, with what is said behind it.
_HELPER: tuple[tuple[bytes, bool], ...] = (
    (b"connect git-upload-archive\n", True),
    (b"connect git-upload-pack&service=git-receive-pack\n", True),
    (b"connect x/../../secret.git\n", True),
    (b"connect git-upload-pack\r\n", False),
    (b"connect git-upload-pack HTTP/1.1\n", False),
    (b"connect  git-upload-pack\n", False),
    (b"connect\n", False),
    (b"CONNECT git-upload-pack\n", False),
    (b"stateless-connect git-upload-pack\n", False),
    (b"list\n", False),
    (b"list for-push\n", False),
    (b"fetch <main> refs/heads/main\n", False),
    (b"push <base>:refs/heads/main\n\n", False),
    (b"import refs/heads/main\n", False),
    (b"export\n", False),
    (b"get http://127.0.0.1:<plain>/x <proof>/got\n", False),
    (b"option proxy http://127.0.0.1:<plain>\n" + FETCH, False),
    (b"option verbosity 9\noption servpath <proof>/x\n" + FETCH, False),
    (b"option\n" + FETCH, False),
    (FETCH + _PUSH, False),
    (FETCH + LIST_REFS, False),
    (_PUSH + one_push("refs/heads/main"), False),
    (b"\n" + _PUSH + one_push("refs/heads/main"), False),
    (b"\0" + FETCH, False),
    (b"\xff\xfe\n", False),
    (b"x" * 5000, False),
    (b"option x " + b"y" * 4096 + b"\n", False),
    (b"capabilities\n" * 200 + FETCH, False),
    (b"conn", False),
)

# After a connection for a fetch: what is no request of one.
_REQUESTS = (
    one_push("refs/heads/main"),
    packet(b"command=push\n") + FLUSH,
    packet(b"command=ls-refs\n"),
    packet(b"command=ls-refs\n") + b"0002",
    packet(b"command=ls-refs x\n") + FLUSH,
    packet(b"command=ls-refs\n")[:-3],
    packet(b"command=object-info\n") + FLUSH,
    packet(b"want <main>\n") + FLUSH,
    b"0001" + LIST_REFS,
    b"0003" + LIST_REFS,
    b"0004" + LIST_REFS,
    b"fff1" + bytes(65517),
    LIST_REFS + one_push("refs/heads/main"),
    LIST_REFS + _PUSH,
    FLUSH + one_push("refs/heads/main"),
    b"POST /open/app.git/git-receive-pack HTTP/1.1\r\n\r\n",
)


def at_url(
    name: str,
    guard: str,
    url: str,
    *,
    agent: str = "web",
    works: bool = False,
    is_push: bool = False,
) -> Attack:
    """List what is at a URL, or begin a push there."""
    return ask(
        *(name, guard, "origin", url),
        agent=agent,
        transport=url.partition(":")[0],
        says=_PUSH if is_push else FETCH,
        # A ref that may move where anything may.
        then=one_push("refs/heads/agent/x") if is_push else LIST_REFS,
        works_without=works,
    )


def _attacks() -> Iterator[Attack]:
    for path, works in _PATHS:
        name = f"path {path[:60]!a}"
        yield at_url(name, "paths", f"{SITE}{path}", agent="web-deep", works=works)
    for agent, url, works in _PLACES:
        yield at_url(f"{agent} at {url}", "places", url, agent=agent, works=works)
    for agent, url in (("web-reader", _APP), ("web", f"{SITE}/open/below/secret.git")):
        name = f"push of {agent} to {url}"
        works = agent == "web-reader"
        yield at_url(name, "places", url, agent=agent, works=works, is_push=True)
    for agent in ("web", "unpinned"):
        url = "http://127.0.0.1:<plain>/open/app.git"
        yield at_url(f"{agent} at {url}", "places", url, agent=agent, works=agent == "web")
    for words in _WORDS:
        name = f"words {' '.join(words)!a:.80}"
        tries = _EXT if "ext::" in name.lower() else ()
        yield ask(name, "words", *words, agent="web", transport="https", says=FETCH, tries=tries)
    for transport in ("http", "HTTPS", "ftp", "https\n", "ext", "EXT", "", "-"):
        name = f"transport {transport!r}"
        yield ask(
            *(name, "words", "origin", _APP),
            agent="web",
            transport=transport,
            says=FETCH,
            tries=_EXT if transport.lower() == "ext" else (),
        )
    for host, works in _HERE:
        name = f"wide at {host}"
        url = f"https://{host}:<web>/secret.git"
        yield at_url(name, "addresses", url, agent="web-wide", works=works)
    yield at_url("not pinned", "addresses", f"{SITE}/secret.git", agent="unpinned", works=True)
    yield from _conversations()


def _conversations() -> Iterator[Attack]:
    talk = partial(ask, agent="web", transport="https")
    for said, works in _HELPER:
        name = f"helper {said[:60]!r}"
        yield talk(name, "words", "origin", _APP, says=said, works_without=works)
    for said in _REQUESTS:
        name = f"request {said[:60]!r}"
        yield talk(name, "lists", "origin", _APP, says=FETCH, then=said)
    for ref in TAKEN:
        old = "<main>" if ref == "refs/heads/main" else "<zero>"
        says = one_push(ref, old=old)
        works = len(ref) < 500
        name = f"{ref[:60]!a}"
        yield talk(name, "refs", "origin", _APP, says=_PUSH, then=says, works_without=works)
    for name, (says, works) in LISTS.items():
        yield talk(name, "lists", "origin", _APP, says=_PUSH, then=says, works_without=works)
    for capabilities in ("report-status delete-refs", ""):
        gone = one_push("refs/heads/agent/x", new="<zero>", says=capabilities)
        name = f"deletion with {capabilities!r}"
        yield talk(name, "refs", "origin", _APP, says=_PUSH, then=gone, works_without=True)
    outside = one_push("refs/heads/x", old="<zero>")
    yield ask(
        *("beside refs", "refs", "origin", _APP),
        agent="web-narrow",
        transport="https",
        says=_PUSH,
        then=outside,
        works_without=True,
    )
    for number in range(5):
        run = partial(change, agent="web", words=("https", "origin", _APP), first=_PUSH)
        yield Attack(f"memory that changes under a list, {number}", "lists", run)
    for way in ("messages", "check"):
        says = one_push("refs/heads/main")
        yield talk(f"main by {way}", "refs", "origin", _APP, says=_PUSH, then=says, way=way)
    for kind, make in KINDS.items():
        for where in ("stdin", "stdout"):
            run = partial(
                pass_kind,
                words=("https", "origin", _APP),
                make=make,
                at=PLACES[where],
                agent="web",
                command="git-remote",
            )
            yield Attack(f"{kind} as {where}", "streams", run)


FAMILY = Family("urls", tuple(_attacks()))
