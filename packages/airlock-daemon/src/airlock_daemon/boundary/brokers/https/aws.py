"""Verifies AWS requests signed with the placeholder, and signs granted ones with the real keys.

Keys in AWS's answers (`sts:AssumeRole`) are replaced too. The tool gets keys made here, and a
session token that contains the real keys, sealed with a key that only this agent's workers have.
The worker stores nothing, so a session outlives it.
"""

import base64
import binascii
import hashlib
import hmac
import html
import os
import re
import shlex
import time

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airlock_daemon.boundary.brokers.https.exchange import Prepared
from airlock_daemon.boundary.brokers.https.incoming import BufferedBody, Incoming, Spool
from airlock_daemon.errors import AND_RELOAD, Failed
from airlock_modules.apis import Api, BadHead, ForeignCredential, Head
from airlock_modules.apis.aws import Call, Grant, Keys
from airlock_modules.apis.aws.operations import MAX_FORM, load_table, read_form
from airlock_modules.apis.aws.signature import (
    Signature,
    find_payload,
    read_call,
    read_signature,
    sign,
    unwrap,
    verify,
)
from airlock_modules.apis.credentials import select_headers

_ANSWER = re.compile(
    rb"<(?P<name>AccessKeyId|SecretAccessKey|SessionToken)>(?P<value>[^<>]*)</(?P=name)>"
)
_NONCE = 12
# AWS's errors for an unknown key or an expired session.
_SPENT = re.compile(
    rb"ExpiredToken|InvalidClientTokenId|InvalidAccessKeyId|UnrecognizedClient|InvalidToken"
)


class Session(msgspec.Struct, frozen=True):
    """A role's real keys, as sealed in a session token."""

    keys: Keys
    role: str


class Sessions:
    """Seals the keys of sessions in tokens that only this agent's worker can open."""

    def __init__(self, agent: str, key: bytes) -> None:
        """`key` is 32 bytes that no tool knows."""
        self._agent = agent.encode()
        self._key = key

    def seal(self, session: Session) -> Keys:
        """The keys that a tool gets for a session."""
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._key).encrypt(nonce, msgspec.json.encode(session), self._agent)
        return self._make_keys(base64.urlsafe_b64encode(nonce + sealed).decode())

    def open(self, token: str) -> tuple[Keys, Session]:
        """The tool's keys for this token, and the session. Raises ForeignCredential."""
        try:
            data = base64.b64decode(token, altchars=b"-_", validate=True)
            plain = AESGCM(self._key).decrypt(data[:_NONCE], data[_NONCE:], self._agent)
        except (binascii.Error, ValueError, InvalidTag):
            raise ForeignCredential("its session token is not of this agent's own roles") from None
        return self._make_keys(token), msgspec.json.decode(plain, type=Session)

    def _make_keys(self, token: str) -> Keys:
        made = hmac.digest(self._key, b"keys\0" + token.encode(), "sha512")
        name = base64.b32encode(made[:10]).decode()
        return Keys(f"ASIA{name}", base64.urlsafe_b64encode(made[10:40]).decode(), token)


class AwsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A verified request. `head` is without its signature; the owner closes `body`.

    `dropped` names headers that are not forwarded, which `head` lacks.
    """

    head: Head
    dropped: tuple[str, ...]
    signature: Signature
    payload: str
    call: Call
    session: Session | None
    body: BufferedBody | None


class AwsContext(msgspec.Struct, frozen=True):
    """A worker's state for requests to AWS."""

    sessions: Sessions
    spool: Spool


async def read_request(
    incoming: Incoming, context: AwsContext, api: Api, *, placeholder: str, host: str
) -> AwsRequest:
    """Verify a tool's request and identify its AWS call.

    Raises BadHead, ForeignCredential and Failed, after it has released the body.
    """
    head, table = incoming.head, load_table()
    signature = read_signature(head)
    session = None
    if signature.token:
        own, session = context.sessions.open(signature.token)
    else:
        identifier, _, secret = placeholder.partition("/")
        own = Keys(identifier, secret)
    payload = find_payload(signature)
    has_form = table.needs_body(signature.service, head)
    body = None
    try:
        if payload is None or has_form:
            await incoming.allow()
            body = await context.spool.store(incoming.read)
            found = _hash(body)
            if payload is not None and payload != found:
                raise BadHead("its body is not the one that was signed")
            payload = found
        verify(head, signature, own, payload, now=time.time())
        bare = unwrap(head)
        headers, dropped = select_headers(bare.headers, (*api.headers, "authorization"))
        bare = msgspec.structs.replace(bare, headers=headers)
        form = None
        if has_form and body is not None:
            if body.size > MAX_FORM:
                raise BadHead("a form of more than 1 MiB")
            form = body.read(0, MAX_FORM)
        parameters = read_form(bare.query, form)
        call = read_call(table, bare, signature, host, parameters, grant=api.aws)
        if session is not None:
            call = msgspec.structs.replace(call, session=session.role)
    except BaseException:
        if body is not None:
            body.close()
        raise
    return AwsRequest(
        head=bare,
        dropped=dropped,
        signature=signature,
        payload=payload,
        call=call,
        session=session,
        body=body,
    )


def sign_request(
    request: AwsRequest, context: AwsContext, api: Api, secret: str | None
) -> Prepared:
    """Sign a granted request with the real keys of its session, or else those in `secret`.

    Raises Failed without keys from the daemon, or for a bucket that may be another account's.
    """
    head = request.head
    if request.session is not None:
        keys = request.session.keys
    else:
        if secret is None:
            raise Failed("the daemon has no keys of AWS", hint="try again")
        keys = msgspec.json.decode(secret, type=Keys)
    if api.aws is not None:
        head = _name_owners(head, api.aws, request.call, keys.account)
    signed = sign(head, request.signature, keys, request.payload, now=time.time())
    secrets = tuple(each for each in (keys.secret, keys.token) if each)
    rewrite = None
    if request.call.role is not None:
        role = request.call.role

        def rewrite(answer: bytes) -> bytes:
            return exchange_session(answer, role, context.sessions)

    return Prepared(
        query=signed.query,
        headers=signed.headers,
        dropped=request.dropped,
        secrets=secrets,
        body=request.body,
        rewrite=rewrite,
        takes_packed=True,
        spent=_SPENT if request.session is None else None,
    )


def _name_owners(head: Head, grant: Grant, call: Call, account: str) -> Head:
    """Have AWS refuse a bucket that only a pattern matches if another account owns it.

    Anybody can make one of such a name. Raises Failed.
    """
    owner = grant.account or account
    if not owner and grant.is_elsewhere((head.get("host") or "").lower().partition(":")[0]):
        # A service that is not AWS has no such accounts.
        return head
    remedy = "a person on the host can write its name in full into [aws] buckets"
    for name in grant.list_owned(call):
        if not owner:
            profile = shlex.quote(grant.profile or "default")
            asked = f"aws sts get-caller-identity --profile {profile}"
            raise Failed(
                "only a pattern matches the bucket, and the credential's account is not known",
                hint=f"{remedy}, or into [aws] account the one that `{asked}` prints, "
                f"in airlock.toml{AND_RELOAD}",
            )
        said = head.get(name)
        if said not in (None, owner):
            raise Failed(
                "the bucket is expected to be another account's than the credential",
                hint=f"{remedy} in airlock.toml{AND_RELOAD}",
            )
        if said is None:
            headers = (*head.headers, (name.encode(), owner.encode()))
            head = msgspec.structs.replace(head, headers=headers)
    return head


def exchange_session(answer: bytes, role: str, sessions: Sessions) -> bytes:
    """Replace the keys in an answer to AssumeRole. Raises Failed if it cannot be parsed."""
    found = {each["name"]: each["value"] for each in _ANSWER.finditer(answer)}
    if len(found) != 3 or len(_ANSWER.findall(answer)) != 3:
        raise Failed(
            "the answer to AssumeRole cannot be read, and is not passed on",
            hint="ask for it in XML, as SDKs do",
        )
    real = {name: html.unescape(value.decode()) for name, value in found.items()}
    account = role.split(":")[4]
    keys = Keys(real[b"AccessKeyId"], real[b"SecretAccessKey"], real[b"SessionToken"], account)
    made = sessions.seal(Session(keys, role))
    new = {
        b"AccessKeyId": made.id.encode(),
        b"SecretAccessKey": made.secret.encode(),
        b"SessionToken": made.token.encode(),
    }
    return _ANSWER.sub(
        lambda match: b"<%s>%s</%s>" % (match["name"], new[match["name"]], match["name"]), answer
    )


def _hash(body: BufferedBody) -> str:
    digest = hashlib.sha256()
    for piece in body.read_all():
        digest.update(piece)
    return digest.hexdigest()
