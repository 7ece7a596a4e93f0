"""Texts that are meant for a person's terminal, or for a reader of the log."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.push import FLUSH, packet, update

_APP = ("forge", "git-receive-pack '<open>/app.git'")

_MARKS = ("\x1b[2J", "\x9b2J", "\u202e", "\u2028", "\u200b", "\x07", "\r", "\x00")


def _attacks() -> Iterator[Attack]:
    for mark in _MARKS:
        shown = f"{mark!a}"
        text = f"a{mark}airlock: ok"
        for where, words in {
            "transport": (),
            "option": (f"-{text}", "forge", "x"),
            "user": (f"{text}@forge", "git-upload-pack 'x'"),
            "host": (text, "git-upload-pack 'x'"),
            "port": ("-p", text, "forge", "git-upload-pack 'x'"),
            "path": ("forge", f"git-upload-pack '{text}'"),
            "command": ("forge", text),
        }.items():
            works = mark not in "\r\0" and where != "transport"
            yield ask(f"{shown} in the {where}", "texts", *words, works_without=works)
    for mark in ("\x9b2J", "\u202e", "\u2028", "\u200b"):
        # Without a report: then it is Airlock that speaks, and not the remote.
        says = update(f"refs/heads/{mark}x", old="<zero>", says="") + FLUSH
        yield ask(f"{mark!a} in a ref", "texts", *_APP, says=says, works_without=True)
    for line in (b"x\x1b[2J", b"<main> <base> x\x1b[2J", "\u202eniam".encode(), b"push-cert\x1b"):
        says = packet(line) + FLUSH
        works = not line.startswith(b"push-cert")
        yield ask(f"{line!a} in a list", "texts", *_APP, says=says, works_without=works)
    says = update("refs/heads/main", says="report-status\x1b[2J") + FLUSH
    yield ask("control in a capability", "texts", *_APP, says=says, works_without=True)


FAMILY = Family("texts", tuple(_attacks()))
