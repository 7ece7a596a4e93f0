"""Refs that a push may not move, and lists of refs that could be read in two ways."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.push import CAPABILITIES, EMPTY_PACK, FLUSH, one_push, packet, update

_APP = ("forge", "git-receive-pack '<open>/app.git'")
_MAIN = "refs/heads/main"

# Of the agents `pinned` and `web`, who may move branches and tags but for main: refs that the
# server takes.
TAKEN = (
    *("refs/heads/main", "refs/heads/Main", "refs/heads/MAIN"),
    *("refs/notes/x", "refs/replace/<main>", "refs/for/main", "refs/pull/1/head", "refs/x/y"),
    *("refs/remotes/origin/main", "refs/heads/main%topic", "refs/tags/x%y"),
    *(
        "refs/heads/ma\u200bin",
        "refs/heads/main\u200d",
        "refs/heads/\u202eniam",
        "refs/heads/\u2028",
    ),
    # What a file system that folds names, or leaves out a dot, takes for another ref.
    *("refs/heads/ma\u034fin", "refs/heads/main\ufe0f", "refs/heads/\uff4dain", "refs/heads/x./y"),
    *(
        "refs/changes/01/1/1",
        "refs/merge-requests/1/head",
        "refs/keep-around/x",
        "refs/meta/config",
    ),
    "refs/heads/" + "a/" * 300 + "a",
)

# Some that it should not take either.
_ODD = (
    *("HEAD", "main", "heads/main", "/refs/heads/main", "refs//heads/main", "refs/heads//main"),
    *("refs/heads/./main", "refs/heads/x/../main", "refs/heads/main/", "refs/heads/main."),
    *("refs/heads/main.lock", "refs/heads/main^0", "refs/heads/main~1", "refs/heads/@{0}"),
    *(
        "refs/heads/main:x",
        "refs/heads/main?",
        "refs/heads/*",
        "refs/heads/[m]ain",
        "refs/heads\\main",
    ),
    *(
        "refs/heads/-x/..",
        "refs/heads/.x",
        "@",
        "refs/heads/ma\u0085in",
        "FETCH_HEAD",
        "config",
        "refs/stash",
    ),
    *("objects/x", "../secret.git/refs/heads/main", "refs/../config", "refs/heads/" + "a" * 5000),
)


def _list(*packets: bytes, pack: bytes = EMPTY_PACK) -> bytes:
    return b"".join(packets) + FLUSH + pack


_FREE = update("refs/heads/free", old="<zero>", says=CAPABILITIES)
_SET = update(_MAIN, says=CAPABILITIES)
_MORE = update(_MAIN)

# What moves main, were it passed on and read by the server: the flag says that it does here.
LISTS: dict[str, tuple[bytes, bool]] = {
    "capabilities on the second line": (_list(_FREE, _SET), True),
    "push options with a value": (_list(update(_MAIN, says="push-options=x report-status")), False),
    "unknown capability": (_list(update(_MAIN, says="report-status magic")), False),
    "capability with a control": (_list(update(_MAIN, says="report-status \x1b[2J")), False),
    "capability that is not ASCII": (_list(update(_MAIN, says="agent=\u00e4")), False),
    "upper case ids": (_list(_FREE, packet(b"<MAIN> <BASE> refs/heads/main")), True),
    "line with two NULs": (_list(update(_MAIN, says="report-status\0x")), False),
    "tab for a blank": (_list(packet(b"<main>\t<base>\trefs/heads/main")), False),
    "two blanks": (_list(packet(b"<main>  <base> refs/heads/main")), False),
    "blank in front": (_list(packet(b" <main> <base> refs/heads/main")), False),
    "blank behind": (_list(packet(b"<main> <base> refs/heads/main \0report-status")), False),
    "newline inside": (_list(packet(b"<main> <base> refs/heads/free\n<main> <base> x")), False),
    "two newlines": (_list(packet(b"<main> <base> refs/heads/main\n\n")), False),
    "carriage return": (_list(packet(b"<main> <base> refs/heads/main\r\n")), False),
    "not UTF-8": (_list(_FREE, update("refs/heads/\udcff", old="<zero>")), True),
    "overlong UTF-8": (_list(_FREE, update("refs/heads/ma\udcc1\udca9n", old="<zero>")), True),
    "short ids": (_list(packet(b"<main> 1234567 refs/heads/main")), False),
    "ids of two kinds": (_list(packet(b"<main> " + b"0" * 64 + b" refs/heads/main")), False),
    "ids of 64": (_list(packet(b"<main>" + b"0" * 24 + b" <base>" + b"0" * 24 + b" x")), False),
    "no ref": (_list(packet(b"<main> <base> ")), False),
    "shallow behind an update": (_list(_SET, packet(b"shallow <base>")), False),
    "shallow with more": (_list(packet(b"shallow <base> x"), _SET), False),
    "shallow with capabilities": (_list(packet(b"shallow <base>\0report-status"), _MORE), False),
    "certificate": (_list(packet(b"push-cert\0report-status"), _MORE), False),
    "delimiter for the end": (_SET + b"0001" + EMPTY_PACK, False),
    "response end for the end": (_SET + b"0002" + EMPTY_PACK, False),
    "length 3": (_SET + b"0003" + FLUSH + EMPTY_PACK, False),
    "empty packet": (_list(_SET, b"0004"), False),
    "length in upper case": (_list(_SET[:2].upper() + _SET[2:], b"000A123456"), False),
    "length with a sign": (_list(b"+0" + _SET[2:]), False),
    "length with a blank": (_list(b" 0" + _SET[2:]), False),
    "length of 65521": (b"fff1" + _SET[4:] + bytes(65521 - len(_SET)), False),
    "ERR packet": (_list(packet(b"ERR x")), False),
    "no length at all": (b"refs/heads/main\n" + FLUSH, False),
    "empty list, then another": (FLUSH + _list(_SET), False),
    "shallow lines, then another list": (_list(packet(b"shallow <base>"), pack=_list(_SET)), False),
    "granted, then another list": (_list(_FREE, pack=EMPTY_PACK + _list(_SET)), False),
    "deletion, then another list": (FLUSH + FLUSH + _list(_MORE, pack=b""), False),
    "list without its end": (_SET, False),
    "list cut in its line": (_SET[:-5], False),
    "one byte": (b"0", False),
}


def _attacks() -> Iterator[Attack]:
    for way in ("pipes", "messages"):
        for ref in (*TAKEN, *_ODD):
            old = "<main>" if ref == _MAIN else "<zero>"
            works = ref in TAKEN and way == "pipes" and len(ref) < 500
            name = f"{ref[:60]!a} by {way}"
            says = one_push(ref, old=old)
            yield ask(name, "refs", *_APP, says=says, way=way, works_without=works)
    for name, (says, works) in LISTS.items():
        yield ask(name, "lists", *_APP, says=says, works_without=works)
    yield from _others()


def _others() -> Iterator[Attack]:
    gone = one_push("refs/heads/agent/x", new="<zero>")
    yield ask("deletion", "refs", *_APP, says=gone, works_without=True)
    gone = one_push("refs/heads/agent/x", new="<zero>", says="report-status")
    yield ask("deletion without bands", "refs", *_APP, says=gone, works_without=True)
    gone = one_push("refs/heads/agent/x", new="<zero>", says="")
    yield ask("deletion without a report", "refs", *_APP, says=gone, works_without=True)
    for says in (CAPABILITIES, "report-status", "report-status-v2 side-band-64k", ""):
        both = _list(update("refs/heads/free", old="<zero>", says=says), _MORE)
        yield ask(f"main behind free, {says!r}", "refs", *_APP, says=both, works_without=True)
    many = [update(f"refs/heads/free{n}", old="<zero>") for n in range(500)]
    behind = _list(_FREE, *many, _MORE)
    yield ask("main behind very many", "refs", *_APP, says=behind, works_without=True)
    for ref in ("refs/heads/Agent/z", "refs/tags/agent/x", "refs/heads/x", "refs/heads/agent/z/y"):
        push = one_push(ref, old="<zero>")
        name = f"{ref} beside refs"
        yield ask(name, "refs", *_APP, agent="narrow", says=push, works_without=True)
    options = _list(update(_MAIN, says=f"{CAPABILITIES} push-options"), pack=b"")
    skip = options + packet(b"ci.skip") + FLUSH + EMPTY_PACK
    yield ask("push options", "refs", *_APP, says=skip, tries=("CVE-2026-3854", "audit-9"))
    flood = packet(b"x") * 2000
    yield ask("very many push options", "lists", *_APP, says=options + flood + FLUSH)


FAMILY = Family("pushes", tuple(_attacks()))
