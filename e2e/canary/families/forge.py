"""A forge that reads names and refs in its own way, and has commands beside those of git."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.forge import why_not
from e2e.canary.push import CAPABILITIES, EMPTY_PACK, FLUSH, one_push, packet, update

# Of an agent that may push to acme/app: other repositories, and spellings of their names. A flag
# says that the forge takes it for one that is there, or makes it.
_NAMES: tuple[tuple[str, bool], ...] = (
    *((f"{slash}acme/secret{end}", True) for slash in ("", "/") for end in ("", ".git", ".git5")),
    *((f"{name}{end}", True) for name in ("gitolite-admin", "/acme/App") for end in ("", ".git")),
    ("acme/app.git.git", False),
    ("acme/app.git7", False),
    ("wild/new", True),
    ("wild/acme/app.git", True),
    ("wild/acme/app", True),
    ("ACME/app", False),
    ("acme/APP.GIT", False),
    ("acme/app.GIT", False),
    ("acme", False),
    ("@all", False),
    ("testing", False),
    ("repositories/acme/secret.git", False),
)
_MALFORMED: tuple[str, ...] = (
    "acme//secret",
    "//acme/secret",
    "acme/secret//",
    "acme%2fsecret",
    "acme/%73ecret",
    "acme/app/../secret",
    "acme/./secret",
    "acme/app.git/../secret.git",
    "acme\\secret",
    "acme/secret' 'acme/app",
    "acme/app' '../secret",
    "acme/app\nacme/secret",
    "acme/app\0acme/secret",
    "acme\u2215secret",
    "acme/\uff53ecret",
    "acme/se\u200bcret",
    "~client/repositories/acme/secret",
)

# What the account may say there instead of git's two commands, and whether it does something.
_COMMANDS: tuple[tuple[str, bool], ...] = (
    ("info", True),
    ("info acme", True),
    ("create wild/x", True),
    ("fork acme/secret wild/x", True),
    ("writable acme/app off", True),
    ("symbolic-ref acme/app HEAD refs/heads/agent/x", True),
    ("git upload-pack 'acme/secret'", False),
    ("git-upload-pack acme/secret", True),
    ("git-upload-pack '/acme/secret", True),
    ("git-upload-pack 'acme/app' 'acme/secret'", False),
    ("git-upload-archive 'acme/secret'", False),
    ("help", False),
    ("perms -l acme/app", False),
    ("D unlock acme/secret", False),
    ("sskm list", False),
    ("sskm add x", False),
    ("", False),
)

# Refs that forges of other makes treat in their own way; this one takes them, but for a `%`.
_REFS = (
    *("refs/for/main", "refs/for/main%submit", "refs/meta/config", "refs/changes/01/1/1"),
    *("refs/heads/main", "refs/pull/1/head", "refs/merge-requests/1/head", "refs/keep-around/x"),
    *("refs/heads/x%y", "refs/tags/x%submit"),
)
_PUSH = ("gitolite", "git-receive-pack 'acme/app'")


def _attacks() -> Iterator[Attack]:
    for service in ("git-upload-pack", "git-receive-pack"):
        for name, works in _NAMES:
            words = ("gitolite", f"{service} '{name}'")
            # A push that is not read tells no refs, and what it makes is made all the same.
            yield ask(f"{service} {name}", "places", *words, agent="acme", works_without=works)
    for name in _MALFORMED:
        words = ("gitolite", f"git-upload-pack '{name}'")
        yield ask(f"{name!a}", "paths", *words, agent="acme")
    for other in (("<user>x@gitolite2",), ("-p", "<port>", "gitolite"), ("forge",)):
        name = f"acme/app of {' '.join(other)}"
        yield ask(name, "places", *other, "git-upload-pack 'acme/app'", agent="acme")
    for command, works in _COMMANDS:
        name = f"command {command!r}"
        yield ask(name, "words", "gitolite", command, agent="acme", works_without=works)
    for ref in _REFS:
        says = one_push(ref, old="<main>" if ref == "refs/heads/main" else "<zero>")
        yield ask(ref, "refs", *_PUSH, agent="acme", says=says, works_without="%" not in ref)
    listed = update("refs/heads/free", old="<zero>", says=f"{CAPABILITIES} push-options") + FLUSH
    for option in ("ci.skip", "merge_request.create", "x\ny", "ci.skip;x=1"):
        says = listed + packet(option.encode()) + FLUSH + EMPTY_PACK
        name = f"push option {option!r}"
        yield ask(
            *(name, "refs", *_PUSH),
            agent="acme",
            says=says,
            works_without=True,
            tries=("CVE-2026-3854", "audit-9"),
        )


FAMILY = Family("forge", tuple(_attacks()), why_not)
