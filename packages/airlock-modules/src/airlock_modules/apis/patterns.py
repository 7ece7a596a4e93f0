"""Patterns of hosts and of operations.

Hosts are compared by label: `*.example.com` has one label before, `**.example.com` one or more, and
neither matches `example.com` itself. In a path `*` crosses neither `/` nor `%`, `**` crosses both,
and `/x/**` also matches `/x`. No wildcard matches a control character. To make matching linear, a
path has at most one `**` besides a final one, and one `*` between two of `/` and `%`.
"""

import functools
import itertools
import re
import unicodedata
import urllib.parse

from msgspec import Struct

_METHODS = re.compile(r"\*|[A-Z]{1,20}(?:,[A-Z]{1,20})*")
_PATH = re.compile(r"/[!-~]*")
_STARS = re.compile(r"/\*\*$|\*\*|\*")
_REPLACED = {"*": "[^/%\\x00-\\x1f\\x7f]*", "**": "[^\\x00-\\x1f\\x7f]*"}
_AT_THE_END = "(?:/[^\\x00-\\x1f\\x7f]*)?"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Verdict(Struct, frozen=True):
    """The decision about an operation.

    `refusal` says why it is refused, None if it is allowed; `rule` is the deciding rule, `hint` the
    remedy for a refusal.
    """

    refusal: str | None
    rule: str
    hint: str = ""


def find_rule_problem(rule: str) -> str | None:
    """Return why `rule` is no `METHOD[,METHOD] /path`; None if it is valid."""
    methods, _, path = rule.partition(" ")
    segments = path.split("/")[1:]
    begins, is_path = _METHODS.fullmatch(methods), _PATH.fullmatch(path)
    stars = [each.replace("**", "").count("*") for each in re.split("[/%]", path)]
    problems = {
        "does not begin with a method such as GET, several as GET,POST, or *": not begins,
        "has no path, which begins with / and has ASCII letters and no blanks": not is_path,
        "has what no path has: ? # \\ or ***": bool(re.search(r"[?#\\]|\*\*\*", path)),
        "has more than one ** before its end": path.removesuffix("**").count("**") > 1,
        "has more than one * between two of / and %": max(stars, default=0) > 1,
        "has a segment . or .., which no judged request has": bool({".", ".."} & set(segments)),
    }
    return next((problem for problem, has in problems.items() if has), None)


def is_host_pattern(text: str) -> bool:
    """Whether `text` is a name in lower case, or `*.` or `**.` and a name of two labels or more."""
    wild, _, name = text.rpartition("*.")
    labels = name.split(".")
    if wild not in ("", "*") or len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return False
    # Resolvers parse a name whose last label is a number as an address, in any notation.
    is_address = labels[-1].isdigit() or labels[-1].startswith("0x")
    if name != text:
        return len(labels) > 1 and not is_address
    return (
        not is_address
        or re.fullmatch(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})", name) is not None
    )


def matches_host(pattern: str, host: str) -> bool:
    """Whether `host`, in lower case and without a trailing dot, matches `pattern`."""
    wild, _, name = pattern.rpartition("*.")
    if name == pattern:
        return host == pattern
    labels, tail = host.split("."), name.split(".")
    before = labels[: -len(tail)]
    if labels[len(before) :] != tail or not all(map(_LABEL.fullmatch, before)):
        return False
    return len(before) >= 1 if wild else len(before) == 1


def share_hosts(one: str, other: str) -> bool:
    """Whether some host matches both patterns."""
    (wild, _, name), (others, _, tail) = (each.rpartition("*.") for each in (one, other))
    if name == one:
        return matches_host(other, one)
    if tail == other:
        return matches_host(one, other)
    if not wild and not others:
        return name == tail
    # A `**.` pattern covers every pattern of a longer name below it.
    longer = f".{name}".endswith(f".{tail}") and bool(others)
    return longer or (f".{tail}".endswith(f".{name}") and bool(wild))


def matches_rule(rule: str, method: str, path: str) -> bool:
    """Whether `rule` matches this operation. GET also matches HEAD, which is equivalent."""
    # A grant of many repositories has thousands of rules; this check avoids compiling most.
    begin = rule.partition(" ")[2].partition("*")[0].removesuffix("/")
    if not path.startswith(begin):
        return False
    methods, pattern = _compile(rule)
    return _names_method(methods, method) and pattern.fullmatch(path) is not None


def may_match_rule(rule: str, method: str, path: str) -> bool:
    """Whether some server could interpret this operation as one that `rule` matches.

    Servers differ in whether they ignore case, decode `%2F`, merge slashes, and drop the last one.
    """
    methods, pattern = _compile(rule, wide=True)
    return _names_method(methods, method) and any(map(pattern.fullmatch, spell_path(path)))


def is_literal(rule: str) -> bool:
    """Whether `rule` has no wildcard."""
    return "*" not in rule


def _names_method(methods: frozenset[str] | None, method: str) -> bool:
    return methods is None or method in methods or (method == "HEAD" and "GET" in methods)


@functools.lru_cache(4096)
def _compile(rule: str, *, wide: bool = False) -> tuple[frozenset[str] | None, "re.Pattern[str]"]:
    """Return the methods, None for all, and the path's expression; `wide` ignores case and %."""
    methods, _, path = rule.partition(" ")
    if wide:
        path = path.lower()
    parts, at = [], 0
    stars = [*_STARS.finditer(path)]
    for found, following in itertools.zip_longest(stars, stars[1:]):
        parts.append(re.escape(path[at : found.start()]))
        replaced = _AT_THE_END if found[0] == "/**" else _REPLACED[found[0]]
        parts.append(replaced.replace("/%", "/") if wide else replaced)
        at = found.end()
        text = "/" if following is None else path[at : following.start()]
        if wide and following is not None and found[0] == following[0] == "*" and "/" not in text:
            # Two stars in a segment: the leftmost match of the text between them leaves the most
            # to the second. Trying others would take quadratic time.
            parts[-1] = f"(?>{parts[-1]}?{re.escape(text)})"
            at = following.start()
    parts.append(re.escape(path[at:]))
    named = None if methods == "*" else frozenset(methods.split(","))
    return named, re.compile("".join(parts), re.DOTALL)


# Each rule that denies asks for those of the same path.
@functools.lru_cache(4)
def spell_path(path: str) -> frozenset[str]:
    """The forms, in lower case, in which some server may understand a path."""
    lower = path.lower()
    # Some servers convert full-width letters to plain ones; others drop a dot or blank at the end
    # of a segment.
    decoded = unicodedata.normalize("NFKC", urllib.parse.unquote(lower)).lower()
    decoded = re.sub(r"[. ]+(?=/|$)", "", decoded)
    spelled = {lower, decoded, re.sub("/+", "/", lower), re.sub("/+", "/", decoded)}
    spelled |= {re.sub(";[^/]*", "", each) for each in spelled}
    return frozenset(spelled | {each.rstrip("/") or "/" for each in spelled})
