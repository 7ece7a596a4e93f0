import pytest

from airlock_modules.apis import BadHead, head_end, read_head

_HOST = "api.example.com"


def _read(target: str = "/", *lines: str, method: str = "GET", loose_paths: bool = False) -> str:
    head = f"{method} {target} HTTP/1.1\r\nHost: {_HOST}\r\n"
    raw = (head + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")
    assert head_end(raw) == len(raw)
    read = read_head(raw, _HOST, loose_paths=loose_paths)
    return f"{read.method} {read.path}" + (f"?{read.query}" if read.query else "")


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("/repos/acme/app", "/repos/acme/app"),
        ("/%72epos/acme%2fapp", "/repos/acme%2Fapp"),
        ("/a%20b/%C3%A9?q=%2e%2E&x", "/a%20b/%C3%A9?q=%2e%2E&x"),
        ("/...", "/..."),
        ("/a..b/.git", "/a..b/.git"),
    ],
)
def test_a_path_has_one_spelling(target: str, read: str) -> None:
    """Escapes that are not needed are decoded, others are in capitals; a query stays as it is."""
    assert _read(target) == f"GET {read}"


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/./a",
            "/a/..%2Fb",
            "/a%2F..",
            "/a/..%3Bx/b",
            "/a/%2e;x/b",
        ),
        *(
            "/a/%252e%252e/b",
            "/a/%25252e/b",
            "/a%255Cb",
            "/a/%c0%ae%c0%ae/b",
            "/a/%EF%BC%8E%EF%BC%8E/b",
        ),
        *(
            "/a/%E2%88%95..%E2%88%95b",
            "/a/..%20/b",
            "/a\\..\\b",
            "/a%5C..%5Cb",
            "/a%00",
            "/a%0d%0ab",
            "/a%C2%85",
        ),
        *(
            "//a",
            "/a//b",
            "/a%2F%2Fb",
            "/a;x=1/b",
            "/a%3Bx",
            "/a#b",
            "/%",
            "/%4",
            "/%u002e",
            "/?%zz",
        ),
        *(
            "http://api.example.com/a",
            "*",
            "api.example.com:443",
            "/?_method=DELETE",
            "/?x;%5Fmethod=PUT",
        ),
        *(
            "/?X-HTTP-Method-Override=PUT",
            "/?$httpMethod=PUT",
            "/?$httpHeaders=A",
            "/a b",
            "/\xe9",
            "/" + 17_000 * "a",
        ),
    ],
)
def test_a_target_with_two_readings_is_refused(target: str) -> None:
    """Whatever a server could take for another path or method is not judged at all."""
    with pytest.raises(BadHead):
        _read(target)


@pytest.mark.parametrize("target", ["/a//b", "/a;x=1/b", "//"])
def test_loose_paths_have_empty_segments_and_semicolons(target: str) -> None:
    """Keys of S3 have them, and nothing in them is merged."""
    assert _read(target, loose_paths=True) == f"GET {target}"


@pytest.mark.parametrize("target", ["/a/../b", "/a/..;/b", "/a/%2e%2e/b"])
def test_loose_paths_have_no_dot_segments(target: str) -> None:
    """A segment that leads up is refused in every kind of path."""
    with pytest.raises(BadHead):
        _read(target, loose_paths=True)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "Host: api.example.com",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
        ),
        *(
            "Content-Length: +1",
            "Content-Length: 1, 1",
            "Content-Length: 0x1",
            "Content-Length: 01",
            "Content-Length:",
        ),
        *(
            " folded",
            "\tfolded",
            "Name : value",
            "Na me: value",
            "X_HTTP_Method_Override: PUT",
            "Name",
            ": value",
            "A: b\nC: d",
        ),
        *(
            "A: b\rC: d",
            "A: \x00",
            "X-HTTP-Method-Override: PUT",
            "x-method-override: PUT",
            "X-Original-URL: /b",
        ),
        *(
            "X-Rewrite-Url: /b",
            "X-Forwarded-Host: b",
            "Forwarded: host=b",
            "Impersonate-User: root",
            "Trailer: A",
        ),
        *(
            "HTTP2-Settings: x",
            "Expect: 200-ok",
            "Connection: authorization",
            "Connection: close, x-api-key",
        ),
        *("Sudo: root", "Via: 1.1 b"),
    ],
)
def test_a_header_that_changes_a_request_is_refused(line: str) -> None:
    """Two readings of a length, headers that some servers obey, and names that others fold."""
    with pytest.raises(BadHead):
        _read("/", line)


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "X-Api-Key", "Cookie", "X-Any"])
def test_a_header_is_there_once(name: str) -> None:
    """Servers differ in whether the first or the last of two counts."""
    with pytest.raises(BadHead):
        _read("/", f"{name}: a", f"{name.lower()}: b")


@pytest.mark.parametrize("framing", ["Content-Length: 1", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_body_where_none_is_expected_is_refused(method: str, framing: str) -> None:
    """Many servers leave it unread, and take it for the next request."""
    with pytest.raises(BadHead, match="a body of a") as refused:
        _read("/", framing, method=method)
    assert refused.value.hint == "send it as POST, or without a body"


def test_a_length_beside_chunks_is_refused() -> None:
    """What one server takes for the body, another takes for the next request."""
    with pytest.raises(BadHead):
        _read("/", "Content-Length: 1", "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"GET / HTTP/1.0\r\nHost: api.example.com\r\n\r\n",
            b"GET / HTTP/2.0\r\nHost: api.example.com\r\n\r\n",
        ),
        *(
            b"get / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            b"TRACE / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        ),
        *(
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
            b"\r\n\r\n",
        ),
        *(
            b"GET  / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            b"GET / HTTP/1.1\nHost: api.example.com\r\n\r\n",
        ),
        b"GET / HTTP/1.1\r\nHost: api.example.com:8443\r\n\r\n",
    ],
)
def test_a_head_of_another_form_or_host_is_refused(raw: bytes) -> None:
    """The request line has one form, and the Host header is the host of the connection."""
    with pytest.raises(BadHead):
        read_head(raw, _HOST)


def test_a_head_ends_within_64_kib() -> None:
    """An incomplete one is waited for up to there, however its lines end."""
    assert head_end(b"GET / HTTP/1.1\nHost: x\n\n") is None
    with pytest.raises(BadHead):
        head_end(bytes(64 * 1024))


def test_the_port_of_https_may_be_left_out() -> None:
    """A Host header has the port of the connection unless it is 443."""
    raw = b"GET / HTTP/1.1\r\nHost: API.example.com:443\r\n\r\n"
    assert read_head(raw, _HOST).headers == ((b"host", b"API.example.com:443"),)
