"""Parsing the requested fields of GraphQL: enough to judge queries and mutations by name.

All operations of a document count, whichever is executed. Anything that does not parse is refused
(GraphQL specification, October 2021, section 2).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from airlock_modules.apis.head import BadHead, Head

MAX_BODY = 1024 * 1024
"""Maximum bytes of a GraphQL request; a longer one is refused."""
_TOKEN = re.compile(
    # Parsers differ in whether a bare CR, or formerly U+2028, ends a comment: one parser's comment
    # would be another's field.
    r"(?P<blank>(?:[ \t\n,\ufeff]|\r\n)+|\#[^\x00-\x08\n-\x1f\x7f\x85\u2028\u2029]*)"
    r'|(?P<block>""")'
    r'|(?P<text>"(?:[^"\\\n\r]|\\.)*")'
    r"|(?P<name>[_A-Za-z][_0-9A-Za-z]*)"
    r"|(?P<number>-?[0-9][0-9.eE+-]*)"
    r"|(?P<mark>\.\.\.|[!$&()*:=@\[\]{|}])",
    re.DOTALL,
)
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_JSON = re.compile(r"application/(?:graphql\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
_KEYS = frozenset({"query", "variables", "operationName", "extensions"})


class GraphQlField(Struct, frozen=True):
    """One top-level field of an operation.

    `arguments` are those with a string value, literal or from a variable; `fields` the names
    directly below it, "..." for a fragment.
    """

    kind: Literal["query", "mutation", "subscription"]
    name: str
    arguments: Mapping[str, str] = {}
    fields: tuple[str, ...] = ()


def read_graphql(head: Head, body: bytes) -> tuple[GraphQlField, ...]:
    """Return the top-level fields of all operations. Raises BadHead for ambiguous requests."""
    if head.query or head.get("content-encoding"):
        raise BadHead("a GraphQL request with a query in its URL, or a compressed one")
    # Parsed as a form, the same bytes would be another request.
    if not _JSON.fullmatch(head.get("content-type") or ""):
        raise BadHead("a GraphQL request whose content-type is not application/json")
    if len(body) > MAX_BODY:
        raise BadHead("a GraphQL request of more than 1 MiB")
    try:
        data = json.loads(body.decode(), object_pairs_hook=refuse_twins)
    except (ValueError, RecursionError):
        raise BadHead("the body of a GraphQL request that is no JSON") from None
    if not isinstance(data, dict) or not data.keys() <= _KEYS or data.get("extensions"):
        raise BadHead("a GraphQL request with something else than query, variables, operationName")
    query, variables = data.get("query"), data.get("variables") or {}
    if not isinstance(query, str) or not isinstance(variables, dict):
        raise BadHead("a GraphQL request without a query of its own")
    values = {name: value for name, value in variables.items() if isinstance(value, str)}
    return tuple(_Document(query, values).fields())


class _Document:
    """A document as tokens. A string begins with a quote; every number is 0."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise _unclear()
            if found.lastgroup in ("text", "name", "mark"):
                self._tokens.append(found[0])
            elif found.lastgroup == "block":
                # Parsers differ in where `\\\\"""` ends one, which could hide what follows.
                raise BadHead("a block string in a GraphQL document")
            elif found.lastgroup != "blank":
                self._tokens.append("0")
            at = found.end()
        self._ends = self._find_ends()

    def _find_ends(self) -> dict[int, int]:
        """Map the index of each opening bracket to that of its closing one."""
        ends, opened = {}, []
        for at, token in enumerate(self._tokens):
            if token in _CLOSING:
                opened.append(at)
            elif token in (")", "}", "]"):
                if not opened or _CLOSING[self._tokens[opened[-1]]] != token:
                    raise _unclear()
                ends[opened.pop()] = at
        if opened:
            raise _unclear()
        return ends

    def _at(self, index: int) -> str:
        return self._tokens[index] if index < len(self._tokens) else ""

    def fields(self) -> Iterator[GraphQlField]:
        at = 0
        while at < len(self._tokens):
            kind = self._tokens[at]
            if kind not in ("{", "query", "mutation", "subscription", "fragment"):
                raise _unclear()
            while self._at(at) != "{":
                if at >= len(self._tokens):
                    raise _unclear()
                at = self._ends.get(at, at) + 1
            if kind != "fragment":
                yield from self._read_operation("query" if kind == "{" else kind, at)
            at = self._ends[at] + 1

    def _read_operation(self, kind: str, start: int) -> Iterator[GraphQlField]:
        for name, arguments, below in self._select(start):
            if name == "...":
                raise BadHead(f"a {kind} of GraphQL whose fields come from a fragment")
            fields = () if below is None else tuple(each[0] for each in self._select(below))
            values = {} if arguments is None else self._read_arguments(arguments)
            yield GraphQlField(_KINDS[kind], name, values, fields)

    def _select(self, start: int) -> Iterator[tuple[str, int | None, int | None]]:
        """Yield name, arguments and selection (indices or None) of each field of a selection."""
        at, end = start + 1, self._ends[start]
        while at < end:
            name, arguments, below = self._at(at), None, None
            if name == "...":
                at += 1
                if self._at(at) == "on":
                    at += 2
                elif self._at(at) not in ("{", "@"):
                    at += 1
            elif _is_name(name):
                at += 1
                if self._at(at) == ":":
                    name, at = self._at(at + 1), at + 2
                    if not _is_name(name):
                        raise _unclear()
                if self._at(at) == "(":
                    arguments, at = at, self._ends[at] + 1
            else:
                raise _unclear()
            while self._at(at) == "@":
                at += 2
                if self._at(at) == "(":
                    at = self._ends[at] + 1
            if self._at(at) == "{":
                below, at = at, self._ends[at] + 1
            yield name, arguments, below

    def _read_arguments(self, start: int) -> dict[str, str]:
        values: dict[str, str] = {}
        seen: set[str] = set()
        at, end = start + 1, self._ends[start]
        while at < end:
            name = self._at(at)
            if not _is_name(name) or self._at(at + 1) != ":" or name in seen:
                raise _unclear()
            seen.add(name)
            at += 2
            value = self._read_value(at)
            if value is not None:
                values[name] = value
            at = (at + 1 if self._at(at) == "$" else self._ends.get(at, at)) + 1
        return values

    def _read_value(self, at: int) -> str | None:
        word = self._at(at)
        if word == "$":
            return self._variables.get(self._at(at + 1))
        if not word.startswith('"'):
            return None
        try:
            value = json.loads(word)
        except ValueError:
            raise _unclear() from None
        return value if isinstance(value, str) else None


_KINDS: Mapping[str, Literal["query", "mutation", "subscription"]] = {
    "query": "query",
    "mutation": "mutation",
    "subscription": "subscription",
}


def _is_name(token: str) -> bool:
    return token[:1].isalpha() or token.startswith("_")


def _unclear() -> BadHead:
    return BadHead("a GraphQL document that cannot be read")


def refuse_twins(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object; raises ValueError for a duplicate name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
