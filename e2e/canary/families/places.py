"""Repositories that were not granted: other paths, other services, other users and hosts."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.push import one_push

# Paths that lead out of <open>/*, or would to some server; a flag says that here they do.
_PATHS: tuple[tuple[str, bool], ...] = (
    ("<open>/../secret.git", True),
    ("<open>/app.git/../../secret.git", True),
    ("<open>/./../secret.git", True),
    ("<open>//../secret.git", True),
    ("<open>/x/../../secret.git", False),
    ("<open>/..", False),
    ("<open>/../", False),
    ("<open>/.. /secret.git", False),
    ("<open>/.../secret.git", False),
    ("<open>/%2e%2e/secret.git", False),
    ("<open>/..%2fsecret.git", False),
    ("<open>/..\\secret.git", False),
    ("<open>/..\u2215secret.git", False),
    ("<open>/\uff0e\uff0e/secret.git", False),
    ("<open>/.\u200b./secret.git", False),
    ("<open>/app.git\0/../../secret.git", False),
    ("<open>/app.git\n", False),
    ("<open>/x' '<root>/secret.git", False),
    ("<open>/x'; :>'<proof>/path", True),
    ("<open>/x'`:><proof>/path`'", True),
    ("<open>/x'$(:><proof>/path)'", True),
    ("<open>/x & :><proof>/path", False),
    ("<open>/x$(:><proof>/path)", False),
    ("~/secret.git", False),
    ("~<user>/secret.git", False),
    ("/~/secret.git", False),
    ("-x", False),
    ("--help", False),
    ("", False),
    ("/", False),
    (".", False),
    ("<open>/?", False),
    ("**", False),
    ("<root>/*", False),
    ("<open>/#", False),
    ('<open>/"', False),
    ("<open>/" + "a" * 5000, False),
)

# Well-formed paths that [git] does not name.
_ELSEWHERE: tuple[tuple[str, str, bool], ...] = (
    ("pinned", "<root>/secret.git", True),
    ("pinned", "<root>/secret", True),
    ("pinned", "<open>/below/secret.git", True),
    ("pinned", "<open>/below/secret", True),
    ("pinned", "<open>/.git", True),
    ("pinned", "<open>", True),
    ("pinned", ".git", False),
    ("deep", ".git", False),
    ("deep", "<open>/.git", True),
    ("pinned", "/.git", False),
    ("pinned", "secret.git", True),
    ("pinned", "secret", True),
    ("deep", "secret.git", True),
    ("narrow", "<root>/secret.git", True),
    # To try all that its grant's stars could stand for would take the daemon hours.
    ("narrow", "<open>/" + "-" * 3500 + "/x", False),
    ("reader", "<root>/secret.git", True),
    ("pinned", "<open>/APP.git/../x", False),
    ("pinned", "<account>/secret.git", True),
    ("pinned", "<open>x/app.git", False),
    ("pinned", "<server>/client-key", False),
)

# Who is not as granted, at a repository that is.
_OTHERS: tuple[tuple[str, ...], ...] = (
    ("forge2",),
    ("forge.",),
    ("forge.example.com",),
    ("localhost",),
    ("127.0.0.1",),
    ("-p", "2222", "forge"),
    ("-p", "65535", "<user>@forge"),
    ("-p", "0", "forge"),
    ("-p", "022", "forge"),
    ("-p", "65536", "forge"),
    ("-p", "\u0662\u0662", "forge"),
)


def _attacks() -> Iterator[Attack]:
    for path, works in _PATHS:
        command = f"git-upload-pack '{path}'"
        name = f"path {path[:60]!r}"
        yield ask(name, "paths", "forge", command, agent="deep", works_without=works)
    for agent, path, works in _ELSEWHERE:
        for service in ("git-upload-pack", "git-receive-pack"):
            words = ("forge", f"{service} '{path}'")
            name = f"{agent} {service} {path}"
            yield ask(name, "places", *words, agent=agent, works_without=works)
        words = ("forge", f"git-upload-pack '{path}'")
        yield ask(f"{agent} by messages {path}", "places", *words, agent=agent, way="messages")
        yield ask(f"{agent} check of {path}", "places", *words, agent=agent, way="check")
    for other in _OTHERS:
        yield ask(f"place {' '.join(other)}", "places", *other, "git-upload-pack '<open>/app.git'")
    words = ("forge", "git-receive-pack '<open>/app.git'")
    yield ask(
        *("push where only fetch is granted", "places", *words),
        agent="reader",
        # Which refs would allow.
        says=one_push("refs/heads/agent/x"),
        works_without=True,
    )


FAMILY = Family("places", tuple(_attacks()))
