import json

import pytest

from airlock_modules.apis import BadHead, Head, read_graphql

_JSON = ((b"content-type", b"application/json; charset=utf-8"),)


def _read(query: str, **variables: object) -> list[str]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    fields = read_graphql(Head("POST", "/graphql", "", _JSON), body)
    return [f"{each.kind} {each.name}" for each in fields]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("{viewer{login}}", ["query viewer"]),
        (
            'query Q($a: [String!] = ["{"]) @live {a: node(id: $a) {id} b}',
            ["query node", "query b"],
        ),
        ('mutation M { x: addComment(input: {a: "}"}) { id } }', ["mutation addComment"]),
        ("subscription { s }", ["subscription s"]),
        ("query A {a} mutation B {b} fragment F on T {c}", ["query a", "mutation b"]),
        ("# mutation {a}\r\n{b}", ["query b"]),
        ("\ufeff{a,b}", ["query a", "query b"]),
    ],
)
def test_each_top_level_field_counts(query: str, fields: list[str]) -> None:
    """Whatever aliases, arguments, directives, strings and comments are around them."""
    assert _read(query) == fields


def test_arguments_are_strings_written_or_by_a_variable() -> None:
    """What is another value, a default or missing is no argument."""
    arguments = 'owner: $o, name: "a\\u0070p", x: 1, y: $d, z: [$o]'
    query = f'query($o: String, $d: String = "x") {{repository({arguments}) {{id}}}}'
    body = json.dumps({"query": query, "variables": {"o": "acme"}}).encode()
    (field,) = read_graphql(Head("POST", "/graphql", "", _JSON), body)
    assert field.arguments == {"owner": "acme", "name": "app"}
    assert field.fields == ("id",)


@pytest.mark.parametrize(
    "query",
    [
        *(
            "{",
            "}",
            "{a",
            "{a}}",
            "{a(b: [)]}",
            "{a(b: 1, b: 2)}",
            "{1}",
            "query",
            "{a:}",
            "{a: 1}",
            "type T {a: B}",
        ),
        *(
            "query {...F} fragment F on Query {a}",
            "mutation {... on Mutation {deleteRef}}",
            "{... @include(if: true) {a}}",
        ),
        # Of these some parsers end a comment where others go on with it.
        *(f"{{a {{b #{end}}} c #{end}{{\n}} }}" for end in ("\r", "\u2028", "\u2029", "\x85")),
        *(
            "{a\u00a0b}",
            "{a;b}",
            '{a(b: "\n")}',
            "{a(b: 'c')}",
            "schema {query: Q}",
            "{a(b 1)}",
            '{a(b: """c""")}',
            r'{a(b: """\\""" c: """) d } #""" ) }',
            "{a}\x00",
        ),
    ],
)
def test_an_unclear_document_is_refused(query: str) -> None:
    """What the tokens do not explain, and what a fragment would bring in."""
    with pytest.raises(BadHead):
        _read(query)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b'[{"query": "{a}"}]',
            b'{"query": "{a}", "query": "mutation {b}"}',
            b'{"query": 1}',
        ),
        *(
            b'{"query": "{a}", "id": "x"}',
            b'{"query": "{a}", "extensions": {"persistedQuery": {}}}',
            b"\xff",
        ),
        *(
            b'{"query": "{a}"} x',
            b"{" * 100_000,
            b'{"id": "persisted"}',
        ),
    ],
)
def test_another_body_is_refused(body: bytes) -> None:
    """Batches, persisted documents, and JSON that can be read in two ways."""
    with pytest.raises(BadHead):
        read_graphql(Head("POST", "/graphql", "", _JSON), body)


@pytest.mark.parametrize(
    "head",
    [
        Head("POST", "/graphql", "", ()),
        Head("POST", "/graphql", "", ((b"content-type", b"application/x-www-form-urlencoded"),)),
        Head("POST", "/graphql", "", ((b"content-type", b"application/json; charset=utf-7"),)),
        Head("POST", "/graphql", "", (*_JSON, (b"content-encoding", b"gzip"))),
        Head("POST", "/graphql", "query=mutation{b}", _JSON),
    ],
)
def test_a_body_that_is_no_plain_json_is_refused(head: Head) -> None:
    """As a form, `{"variables": {"x": "&query=mutation{b}&"}, ...}` has another query."""
    body = b'{"variables": {"x": "&query=mutation{b}&"}, "query": "{a}"}'
    with pytest.raises(BadHead):
        read_graphql(head, body)
