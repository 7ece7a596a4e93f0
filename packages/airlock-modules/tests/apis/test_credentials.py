import base64
import re

import pytest

from airlock_modules.apis import (
    Api,
    Credential,
    ForeignCredential,
    Head,
    Source,
    exchange,
    make_placeholder,
    present,
    uses_placeholder,
)

_SOURCE = Source(kind="stored", words=("x",))
_HEADER = Credential(
    kind="header",
    source=_SOURCE,
    headers=("authorization", "x-api-key"),
    query=("key",),
    placeholder="k_{36}",
)
_BASIC = Credential(kind="basic", source=_SOURCE, placeholder="k_{36}", user="__token__")
_KEY = bytes(32)
_PLACEHOLDER = make_placeholder("k_{36}", _KEY, "x")


def _make_api(credential: Credential | None) -> Api:
    return Api(
        name="x", module="x", hosts=("x.example",), credential=credential, headers=("npm-*", "a_b")
    )


def _send(credential: Credential | None, query: str = "", **headers: str) -> str:
    fields = tuple(
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    )
    head = Head("GET", "/", query, fields)
    sent = exchange(head, _make_api(credential), _PLACEHOLDER, "REAL")
    assert sent.has_secret == uses_placeholder(head, _make_api(credential), _PLACEHOLDER)
    assert sent.has_secret == ("REAL" in str(sent) or sent.headers != fields)
    return "&".join((*(value.decode() for _, value in sent.headers), sent.query))


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_certificate_takes_the_place_of_what_a_request_says() -> None:
    """Every request needs it, and has no credential; a token that is empty leaves none either."""
    credential = Credential(kind="client-certificate", source=_SOURCE, headers=(), placeholder="")
    head = Head("GET", "/", "", ((b"accept", b"x"),))
    api = _make_api(credential)
    assert uses_placeholder(head, api, "")
    assert exchange(head, api, "", "").headers == head.headers
    with pytest.raises(ForeignCredential):
        uses_placeholder(Head("GET", "/", "", ((b"authorization", b"Bearer x"),)), api, "")
    head = Head("GET", "/", "", ((b"authorization", f"Bearer {_PLACEHOLDER}".encode()),))
    assert exchange(head, _make_api(_HEADER), _PLACEHOLDER, "").headers == ()


def test_a_request_of_airlocks_own_has_the_credential_as_a_tool_sends_it() -> None:
    """In the first header that may have it."""
    key = Credential(kind="header", source=_SOURCE, headers=("x-api-key",), placeholder="k_{36}")
    assert present(_HEADER, "REAL") == ("authorization", "Bearer REAL")
    assert present(key, "REAL") == ("x-api-key", "REAL")
    assert present(_BASIC, "REAL") == ("authorization", _basic("__token__", "REAL"))


def test_the_placeholder_is_exchanged_wherever_it_may_be() -> None:
    """After a scheme, alone in a header of its own, in a parameter, as a password."""
    assert _send(_HEADER, authorization=f"Bearer {_PLACEHOLDER}") == "Bearer REAL&"
    assert _send(_HEADER, authorization=f"token {_PLACEHOLDER}") == "token REAL&"
    assert _send(_HEADER, x_api_key=_PLACEHOLDER) == "REAL&"
    assert _send(_HEADER, f"a=b%20c&key={_PLACEHOLDER}") == "a=b%20c&key=REAL"
    assert (
        _send(_BASIC, authorization=_basic("__token__", _PLACEHOLDER))
        == f"{_basic('__token__', 'REAL')}&"
    )


def test_a_request_without_a_credential_stays_one() -> None:
    """Packages are installed anonymously, and then no credential is fetched."""
    assert _send(_HEADER, "q=1", accept="*/*", npm_auth_type="web") == "*/*&web&q=1"
    assert _send(None, "page_token=x", sec_fetch_site="none") == "none&page_token=x"


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"authorization": "Bearer other"},
            {"authorization": "Bearer"},
            {"authorization": _PLACEHOLDER},
        ),
        *(
            {"authorization": f"Digest {_PLACEHOLDER}"},
            {"authorization": _basic("x", _PLACEHOLDER)},
        ),
        *(
            {"authorization": f"Bearer {_PLACEHOLDER},Bearer x"},
            {"x_api_key": "sk-other"},
            {"x_api_key": ""},
        ),
        *(
            {"cookie": "session=x"},
            {"proxy_authorization": "Basic x"},
            {"api_key": "x"},
            {"x_goog_api_key": "x"},
        ),
        *(
            {"x_amz_security_token": "x"},
            {"private_token": _PLACEHOLDER},
            {"x_auth_token": "x"},
            {"x_gitlab_token": "x"},
        ),
        *(
            {"x_signature": "x"},
            {"x_access_token": "x"},
            {"x_client_secret": "x"},
            {"cookie2": "x"},
        ),
        *(
            {"npm_token": "x"},
            {"sec_websocket_protocol": "v4.channel.k8s.io, base64url.bearer.x"},
            {"sec_websocket_protocol": "openai-insecure-api-key.sk-x"},
        ),
    ],
)
def test_a_foreign_credential_is_refused(headers: dict[str, str]) -> None:
    """With it, what is sent would go to an account of somebody else."""
    with pytest.raises(ForeignCredential):
        _send(_HEADER, **headers)


@pytest.mark.parametrize(
    "query",
    [
        *(
            "access_token=x",
            "a=b&access%5Ftoken=x",
            "ACCESS_TOKEN=x",
            "a;token=x",
            "KEY=other",
            "api_key",
            "sig=x",
            "X-Amz-Signature=x",
        ),
        *("key=other", f"key={_PLACEHOLDER}&key=other", "+token=x"),
        *("$key=x", "$.key=x", "key[]=x", "access-token=x", "access.token=x", "$access_token=x"),
        *("access_token%5B%5D=x", "private-token=x", "api_token=x", "personal_access_token=x"),
        *("$oauth_token=x", "%EF%BC%AB%EF%BC%A5%EF%BC%B9=x", "upload_id=x", "uploadId=x"),
    ],
)
def test_a_foreign_credential_in_the_query_is_refused(query: str) -> None:
    """In whatever spelling its name is."""
    with pytest.raises(ForeignCredential):
        _send(_HEADER, query)


def test_a_credential_in_the_query_is_escaped_as_answers_are_searched() -> None:
    """With its slashes, so that a service which repeats its URL shows a form that is found."""
    head = Head("GET", "/", f"key={_PLACEHOLDER}&x=/y", ())
    sent = exchange(head, _make_api(_HEADER), _PLACEHOLDER, "a/b+c=")
    assert sent.query == "key=a%2Fb%2Bc%3D&x=%2Fy"


def test_an_upload_goes_on_with_the_placeholder_alone() -> None:
    """Its id alone lets anybody go on, with an upload of somebody else's too."""
    query = "upload_id=x"
    assert _send(_HEADER, query, x_api_key=_PLACEHOLDER) == f"REAL&{query}"
    assert _send(None, query) == query


def test_what_passes_is_of_http_or_listed() -> None:
    """The others are dropped, and named: what is in them reaches nobody."""
    fields = (
        *((b"accept", b"*/*"), (b"npm-command", b"ci"), (b"a_b", b"1"), (b"x-nonce", b"sk-1")),
        *((b"npm_command", b"1"), (b"content_type", b"1"), (b"x-nonce2", b"1"), (b"np", b"1")),
        *((b"sec-websocket-protocol", b"v5.channel.k8s.io, v4.channel.k8s.io"),),
    )
    sent = exchange(Head("GET", "/", "", fields), _make_api(None), "", "")
    assert sent.headers == (*fields[:3], fields[-1])
    assert sent.dropped == ("x-nonce", "npm_command", "content_type", "x-nonce2", "np")


def test_a_header_of_a_credential_is_there_once() -> None:
    """Of two a server may take the other."""
    head = Head("GET", "/", "", ((b"x-api-key", _PLACEHOLDER.encode()),) * 2)
    with pytest.raises(ForeignCredential):
        exchange(head, _make_api(_HEADER), _PLACEHOLDER, "REAL")


@pytest.mark.parametrize(
    "authorization",
    [
        _basic("other", _PLACEHOLDER),
        _basic("__token__", "other"),
        "Basic !",
        f"Bearer {_PLACEHOLDER}",
    ],
)
def test_basic_credentials_are_of_the_named_user(authorization: str) -> None:
    """And in the one form that Basic has."""
    with pytest.raises(ForeignCredential):
        _send(_BASIC, authorization=authorization)


def test_without_a_placeholder_no_credential_passes() -> None:
    """An empty one is no password that anybody could guess."""
    head = Head("GET", "/", "", ((b"x-api-key", b""),))
    with pytest.raises(ForeignCredential):
        exchange(head, _make_api(_HEADER), "", "REAL")


@pytest.mark.parametrize("form", ["ghp_{36}", "AKIA{16}", "sk-ant-api03-{95}", "a{20}-{4}"])
def test_a_placeholder_has_its_form_and_stays_the_same(form: str) -> None:
    """It differs by agent and API alone."""
    made = make_placeholder(form, _KEY, "x")
    letters = "[A-Z2-7]" if form.startswith("AKIA") else "[A-Za-z0-9]"
    assert re.fullmatch(re.sub(r"\{(\d+)\}", lambda found: f"{letters}{{{found[1]}}}", form), made)
    assert made == make_placeholder(form, _KEY, "x")
    assert (
        len({made, make_placeholder(form, _KEY, "y"), make_placeholder(form, b"1" * 32, "x")}) == 3
    )
