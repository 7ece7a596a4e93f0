"""Attacks on the broker of APIs: what a client says, and the guard that stops it."""

import json
from typing import TYPE_CHECKING

from e2e.canary.apis.service import FOREIGN
from e2e.canary.attack import Attack, Family

if TYPE_CHECKING:
    from e2e.canary.apis.scene import ApiScene

_BEARER = "Authorization: Bearer PLACEHOLDER\r\n"


def _say(
    name: str,
    guard: str,
    says: str,
    *,
    agent: str = "narrow",
    to: str = "localhost:PORT",
    works: bool = False,
    known: str = "",
    then: str = "",
) -> Attack:
    def run(scene: "ApiScene") -> bytes:
        return scene.say(says, agent=agent, to=to, then=then)

    return Attack(name, f"api-{guard}", run, works, known)


def _head(line: str, *headers: str) -> str:
    fields = "".join(f"{header}\r\n" for header in headers)
    return f"{line} HTTP/1.1\r\nHost: HOST\r\n{_BEARER}{fields}\r\n"


def _post(path: str, body: str, *headers: str) -> str:
    return _head(f"POST {path}", *headers, f"Content-Length: {len(body)}") + body


_LENGTH = "Content-Length: 4"
_CHUNKED = "Transfer-Encoding: chunked"
_SMUGGLED = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: HOST\r\n\r\n"

# Which a server folds, so that something else is done than what was judged.
_PATHS = {
    "dots": "/ok/../admin",
    "dots at the end": "/ok/..",
    "dots behind a query's sign": "/ok/%3f/../../admin",
    "escaped dots": "/ok/%2e%2e/admin",
    "half escaped dots": "/ok/.%2E/admin",
    "an escaped slash": "/ok/..%2fadmin",
    "dots escaped twice": "/ok/%252e%252e/admin",
    "dots escaped three times": "/ok/%25252e%25252e/admin",
    "an escaped backslash": "/ok/..%5cadmin",
    "a semicolon": "/ok/..;/admin",
    "a semicolon with more": "/ok/..;a=b/admin",
    "wide dots": "/ok/%ef%bc%8e%ef%bc%8e/admin",
    "one dot and slashes": "/ok/.//..//admin",
    "a denied folder behind dots": "/ok/a/../secrets/1",
    "a denied folder, escaped twice": "/ok/%2573ecrets/1",
}
# Of these a rule that denies matches each spelling, too.
_DENIED = {
    "a denied folder behind a dot": "/ok/./secrets/1",
    "a denied folder behind slashes": "/ok//secrets/1",
    "a denied folder with parameters": "/ok/secrets;a/1",
}

_HEADS = {
    "a bare LF": "GET /ok/a HTTP/1.1\nHost: HOST\n\n",
    "a bare LF in a header": _head("GET /ok/a", "A: b\n\nGET /admin HTTP/1.1"),
    "a bare CR": _head("GET /ok/a", "A: b\rC: d"),
    "a folded line": _head("GET /ok/a", "A: b\r\n c"),
    "a blank before the colon": _head("GET /ok/a", "A : b"),
    "a NUL": _head("GET /ok/a", "A: \0"),
    "two blanks": _head("GET  /admin"),
    "small letters": _head("delete /ok/a"),
    "absolute form": _head("GET https://evil.example/admin"),
    "an asterisk": _head("OPTIONS *"),
    "TRACE": _head("TRACE /ok/a"),
    "a backslash": _head("GET /ok/..\\admin"),
    "two slashes": _head("GET //admin"),
    "a NUL in the path": _head("GET /ok/../admin%00"),
    "a line end in the path": _head("GET /ok/a%0d%0aX:%20y/../../admin"),
    "a broken escape": _head("GET /ok/%zz/../../admin"),
    "a fragment": _head("GET /ok/a#/../../admin"),
    "no host": "GET /admin HTTP/1.1\r\n\r\n",
    "another host": "GET /admin HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "two hosts": _head("GET /admin", "Host: evil.example"),
    "length and chunks": _head("POST /ok/a", "Content-Length: 60", _CHUNKED) + _SMUGGLED,
    "two lengths": _head("POST /ok/a", "Content-Length: 0", _LENGTH) + _SMUGGLED,
    "a list of lengths": _head("POST /ok/a", "Content-Length: 0, 40") + _SMUGGLED,
    "a length with a sign": _head("POST /ok/a", "Content-Length: +40") + _SMUGGLED,
    "an odd coding": _head("POST /ok/a", "Transfer-Encoding: x, chunked") + _SMUGGLED,
    "a chunked that is not last": _head("POST /ok/a", "Transfer-Encoding: chunked, x") + _SMUGGLED,
    "a size with a bare LF": _head("POST /ok/a", _CHUNKED) + "4\nbody\r\n" + _SMUGGLED,
    "a negative size": _head("POST /ok/a", _CHUNKED) + "-4\r\nbody\r\n" + _SMUGGLED,
    "a huge size": _head("POST /ok/a", _CHUNKED) + "f" * 24 + "\r\n" + _SMUGGLED,
    "more than its size": _head("POST /ok/a", _CHUNKED) + "4\r\nbodybody\r\n" + _SMUGGLED,
    "a trailer": _head("POST /ok/a", _CHUNKED) + "0\r\nX-Original-Url: /admin\r\n\r\n",
    "a method override": _head("POST /ok/a", "X-HTTP-Method-Override: DELETE"),
    "a method override with a line": _head("POST /ok/a", "X_HTTP_Method_Override: DELETE"),
    "another path": _head("GET /ok/a", "X-Original-URL: /admin"),
    "another person": _head("GET /ok/a", "Impersonate-User: root"),
    "headers that the next one is to drop": _head("GET /ok/a", "Connection: authorization"),
    "HTTP/2 by an upgrade": _head("GET /ok/a", "Connection: Upgrade", "Upgrade: h2c"),
}

_READING = (
    *(_say(name, "heads", _head(f"GET {path}"), works=True) for name, path in _PATHS.items()),
    *(_say(name, "heads", _head(f"GET {path}")) for name, path in _DENIED.items()),
    *(_say(name, "heads", says) for name, says in _HEADS.items()),
    _say("a method in the query", "heads", _head("POST /ok/a?_method=DELETE"), works=True),
    _say("headers in the query", "heads", _head("GET /ok/a?$httpHeaders=Cookie%3A%20a")),
    _say("the same, escaped", "heads", _head("POST /ok/a?%5fmethod=DELETE"), works=True),
)

_NEXT = _head("GET /ok/next")
# What a service leaves unread, and so takes for the next request, with the head of the one behind.
_LEFT = "DELETE /admin HTTP/1.1\r\nX-Request-Id: "
_UNREAD = f"Content-Length: {len(_LEFT)}"
_BODIES = tuple(
    _say(f"a request in the body of a {method}", "bodies", head + _LEFT, works=True, then=_NEXT)
    for method, head in {
        "GET": _head("GET /ok/a", _UNREAD),
        "POST": _head("POST /ok/unread", _UNREAD),
    }.items()
)

_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
_JUDGING = (
    _say("a path that is not granted", "rules", _head("GET /admin"), works=True),
    _say("another method", "rules", _head("DELETE /ok/a"), works=True),
    _say("what is denied", "rules", _head("GET /ok/secrets/1"), works=True),
    _say("what is denied, itself", "rules", _head("GET /ok/secrets"), works=True),
    _say("what is denied, escaped", "rules", _head("GET /ok/%73ecrets/1"), works=True),
    _say("what is denied, in capitals", "rules", _head("GET /ok/SECRETS/1")),
    _say("another repository", "rules", _head("GET /repos/acme/other/a"), works=True),
    _say("a repository with more", "rules", _head("GET /repos/acme/app2/a"), works=True),
    _say("an upgrade", "rules", _head("GET /ok/a", *_UPGRADE), works=True),
    *(
        _say(
            f"a method in a form {name}",
            "forms",
            _post("/ok/a", "_method=DELETE", *kind),
            works=True,
        )
        for name, kind in (
            ("", ("Content-Type: application/x-www-form-urlencoded",)),
            ("of another kind", ("Content-Type: Multipart/Form-Data; boundary=x",)),
            ("without a type", ()),
        )
    ),
)


def _graphql(name: str, body: object, *headers: str, works: bool = False) -> Attack:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = headers or ("Content-Type: application/json",)
    return _say(name, "graphql", _post("/graphql", text, *kind), works=works)


_BAD = "deleteRepository(input: {repositoryId: 1}) { clientMutationId }"
_GOOD = "createIssue(input: {repositoryId: 1}) { clientMutationId }"
_FORM = "Content-Type: application/x-www-form-urlencoded"
_GRAPHQL = (
    _graphql("a mutation", {"query": f"mutation {{ {_BAD} }}"}, works=True),
    _graphql("under another name", {"query": f"mutation {{ createIssue: {_BAD} }}"}, works=True),
    _graphql("behind a granted one", {"query": f"mutation {{ {_GOOD} {_BAD} }}"}, works=True),
    _graphql(
        "in a fragment",
        {"query": f"mutation {{ ...f }} fragment f on Mutation {{ {_BAD} }}"},
    ),
    _graphql(
        "in an inline fragment",
        {"query": f"mutation {{ ... on Mutation {{ {_BAD} }} }}"},
    ),
    _graphql(
        "in another operation",
        {"query": f"mutation a {{ {_GOOD} }} mutation b {{ {_BAD} }}", "operationName": "b"},
        works=True,
    ),
    _graphql("behind a comment", {"query": f"# {{\nmutation {{ # }}\n{_BAD} }}"}, works=True),
    _graphql(
        "behind a block of text",
        {"query": f'mutation {{ createIssue(a: """\\""" }} """) {{ a }} {_BAD} }}'},
    ),
    _graphql("with a directive", {"query": f"mutation {{ {_GOOD} @a {_BAD} @skip(if: false) }}"}),
    _graphql("in a batch", [{"query": f"mutation {{ {_BAD} }}"}]),
    _graphql("twice", f'{{"query": "{{viewer {{login}}}}", "query": "mutation {{ {_BAD} }}"}}'),
    _graphql("under an escaped key", f'{{"\\u0071uery": "mutation {{ {_BAD} }}"}}', works=True),
    _graphql("as a form", f"query=mutation {{ {_BAD} }}", _FORM),
    _graphql("as text", f"mutation {{ {_BAD} }}", "Content-Type: application/graphql"),
    _say("in the query", "graphql", _post(f"/graphql?query=mutation%7B{_BAD[:16]}%7D", "{}")),
)

_CREDENTIALS = (
    ("after Bearer", "GET /ok/a", f"Authorization: Bearer {FOREIGN}"),
    ("alone", "GET /ok/a", f"Authorization: {FOREIGN}"),
    ("of another scheme", "GET /ok/a", f"Authorization: Digest {FOREIGN}"),
    ("beside the placeholder", "GET /ok/a", f"{_BEARER}X-Api-Key: {FOREIGN}"),
    ("with a line in its name", "GET /ok/a", f"{_BEARER}X_Api_Key: {FOREIGN}"),
    ("as a cookie", "GET /ok/a", f"{_BEARER}Cookie: session={FOREIGN}"),
    ("for a proxy", "GET /ok/a", f"{_BEARER}Proxy-Authorization: Basic {FOREIGN}"),
    ("in the query", f"GET /ok/a?access_token={FOREIGN}", _BEARER.strip()),
    ("in the query, escaped", f"GET /ok/a?access%5Ftoken={FOREIGN}", _BEARER.strip()),
    ("in the query, in capitals", f"GET /ok/a?ACCESS_TOKEN={FOREIGN}", _BEARER.strip()),
    ("in the query, behind ;", f"GET /ok/a?a=b;token={FOREIGN}", _BEARER.strip()),
    ("in the query, as Google has it", f"GET /ok/a?$access_token={FOREIGN}", _BEARER.strip()),
    ("in the query, as PHP reads it", f"GET /ok/a?access.token[]={FOREIGN}", _BEARER.strip()),
    ("that goes on with an upload", f"GET /ok/a?upload_id={FOREIGN}", "Accept: */*"),
    ("as a signature", f"GET /ok/a?X-Amz-Signature={FOREIGN}", _BEARER.strip()),
)
_PROTOCOL = f"Sec-WebSocket-Protocol: openai-insecure-api-key.{FOREIGN}"
_FOREIGN = (
    *(
        _say(
            f"a key {name}",
            "credentials",
            f"{line} HTTP/1.1\r\nHost: HOST\r\n{header}\r\n\r\n",
            # The others are stopped by another guard, too.
            works=name
            not in {"with a line in its name", "for a proxy", "that goes on with an upload"},
        )
        for name, line, header in _CREDENTIALS
    ),
    _say("a key as a protocol", "credentials", _head("GET /ok/a", _PROTOCOL), works=True),
    _say("a header of its own", "headers", _head("GET /ok/a", f"X-Nonce: {FOREIGN}"), works=True),
    _say(
        "a prefix of a known one", "headers", _head("GET /ok/a", f"Accept2: {FOREIGN}"), works=True
    ),
    _say(
        "a known one with a line",
        "headers",
        _head("GET /ok/a", f"User_Agent: {FOREIGN}"),
        works=True,
    ),
    _say(
        "a key in a body",
        "credentials",
        _post("/ok/a", FOREIGN, "Content-Type: text/plain"),
        known="bodies are not judged: no operation is granted that logs in by one",
    ),
)

_PUBLIC = '{"name": "a", "acl": [{"entity": "allUsers"}]}'
_RELATED = f"--x\r\nContent-Type: application/json\r\n\r\n{_PUBLIC}\r\n--x\r\n\r\ntext\r\n--x--"
_UPLOADS = (
    *(
        _say(
            f"an object that is published by {name}",
            "metadata",
            _post(f"/upload/o?uploadType={name}", body, f"Content-Type: {kind}"),
            works=True,
        )
        for name, body, kind in (
            ("resumable", _PUBLIC, "application/json"),
            ("multipart", _RELATED, "multipart/related; boundary=x"),
        )
    ),
    _say("somebody else's upload", "uploads", _head(f"GET /ok/a?upload_id={FOREIGN}"), works=True),
    _say("the same, escaped", "uploads", _head(f"GET /ok/a?upload%5Fid={FOREIGN}"), works=True),
)

_NEAR = "127.0.0.11:PORT"
_HOSTS = (
    _say(
        "a host that begins so",
        "hosts",
        _head("GET /ok/a").replace("HOST", _NEAR),
        to=_NEAR,
        works=True,
    ),
    *(
        _say(f"a connection to {to}", "hosts", _head("GET /ok/a").replace("HOST", to), to=to)
        for to in (
            *("evil.example:443", "localhost.evil.example:PORT", "localhost:1", "127.1:PORT"),
            *("2130706433:PORT", "user@localhost:PORT", "[::ffff:127.0.0.1]:PORT", "0.0.0.0:PORT"),
        )
    ),
)


def _read_in_parts(scene: "ApiScene") -> bytes:
    """What is answered to a request for each half of what the service repeats, joined."""
    ranges = ("bytes=0-19", "bytes=20-99")
    answers = (scene.say(_head("GET /ok/echo", f"Range: {each}")) for each in ranges)
    return b"".join(answer.rpartition(b"\n")[2] for answer in answers)


_ECHOES = ("echo", "echo-base64", "echo-hex", "echo-header", "echo-reason")
_ANSWERS = (
    *(
        _say(f"the token by {name}", "answers", _head(f"GET /ok/{name}"), works="base" not in name)
        for name in _ECHOES
    ),
    Attack("the token in parts", "api-parts", _read_in_parts, True),
    _say("a cookie", "cookies", _head("GET /ok/cookie"), works=True),
    _say(
        "another protocol than was asked for",
        "protocols",
        _head("GET /ok/socket", *_UPGRADE),
        works=True,
    ),
)

_SCOPES = (
    _say("a token that reaches further", "scopes", _head("GET /ok/a"), agent="wide", works=True),
    _say(
        "the same to write",
        "scopes",
        _post("/ok/a", "text", "Content-Type: text/plain"),
        agent="wide",
        works=True,
    ),
)

API_FAMILIES: tuple[Family, ...] = (
    Family("api-reading", (*_READING, *_BODIES)),
    Family("api-judging", (*_JUDGING, *_GRAPHQL, *_SCOPES)),
    Family("api-credentials", (*_FOREIGN, *_UPLOADS, *_HOSTS, *_ANSWERS)),
)
"""In the order in which they are carried out."""
