"""The AWS grant of an agent, and judging calls by it.

A call is judged by everything that changes its effect: its operation, region, bucket and role, and
the S3 headers for which IAM has separate actions (an ACL, tags, a lock).
"""

import functools
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from airlock_modules.apis.patterns import Verdict
from airlock_modules.operation import UnknownWord
from airlock_wire.text import quote

_THEN = ", and run: airlock reload"
_IN = "in this agent's airlock.toml"
# Operations that IAM authorises by another one's action on the same object.
_IMPLIED = {
    "s3:HeadObject": "s3:GetObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:AbortMultipartUpload": "s3:PutObject",
    "s3:UploadPartCopy": "s3:CopyObject",
}
# Operations with the effect of others, which are denied and approved with these.
_AMOUNTS_TO = {
    "s3:CopyObject": ("s3:PutObject",),
    "s3:DeleteObjects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "s3:ListObjects": ("s3:ListObjectsV2",),
    "s3:ListObjectsV2": ("s3:ListObjects",),
    "s3:SelectObjectContent": ("s3:GetObject",),
    "s3:UploadPartCopy": ("s3:PutObject",),
}
# These would give the container real keys: the broker replaces only those of AssumeRole.
_HANDS_OUT_KEYS = frozenset(
    {
        *("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot"),
        *("sts:GetSessionToken", "sts:GetFederationToken", "s3:CreateSession"),
    }
)
_PATTERN = re.compile(r"[a-z0-9*-]{1,60}:[A-Za-z0-9*]{1,100}")


class Operation(Struct, frozen=True):
    """An operation: `service` is IAM's action prefix, `name` the API's, such as `GetObject`."""

    service: str
    name: str
    has_secret: bool = False
    takes_owner: bool = False

    @property
    def action(self) -> str:
        """The name in a policy: `s3:GetObject`."""
        return f"{self.service}:{self.name}"


class Keys(Struct, frozen=True):
    """An access key: its id, its secret, and the token of a temporary session.

    `account` is the account number, "" if unknown.
    """

    id: str
    secret: str
    token: str = ""
    account: str = ""

    def __repr__(self) -> str:
        """Return the id only: no message may show the secret."""
        return f"Keys({self.id!r})"


class Call(Struct, frozen=True, kw_only=True):
    """One request. `operations` are its candidates; `also` are actions that its headers need.

    `bucket` is set for S3 operations on a bucket or object, `source` is the BUCKET/KEY of a copy,
    `role` the role to assume, `session` the role whose session signed.
    """

    operations: tuple[Operation, ...]
    region: str
    is_global: bool = False
    bucket: str | None = None
    key: str = ""
    source: str | None = None
    role: str | None = None
    session: str | None = None
    also: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The operation's words in records, after the name of the API."""
        where = (
            ()
            if self.bucket is None
            else (f"{self.bucket}/{self.key}" if self.key else self.bucket,)
        )
        role = () if self.role is None else (self.role,)
        return (self.operations[0].action, self.region, *where, *role)

    def list_operations(self) -> Iterator[tuple[str, ...]]:
        """Yield the words of all operations that it may amount to, each with its own place."""
        _, _, *where = self.words
        for action in (*(each.action for each in self.operations), *self.also):
            for same in _list_same(action):
                place: list[str] = where
                if self.source is not None and same == "s3:GetObject":
                    place = [self.source]
                elif action == "s3:DeleteObjects" != same:
                    # The body names the keys.
                    place = [UnknownWord()]
                yield (same, self.region, *place)


class Grant(Struct, frozen=True, kw_only=True):
    """What an agent may do in AWS: `[aws]` of its profile and the module's grants.

    `allow` and `deny` are `service:Operation`, with `*` for any letters. `account` is the human's
    account number, `endpoint` the host of an S3-compatible service.
    """

    profile: str | None = None
    regions: tuple[str, ...] = ()
    has_global: bool = False
    buckets: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    endpoint: str | None = None
    account: str | None = None

    def judge(self, call: Call) -> Verdict:
        """Judge one call; anything that no rule allows is refused."""
        shown = f"aws {' '.join(call.words)}"
        shown = quote(shown, limit=300)[1:-1]
        refused = self._find_refusal(call)
        if refused is None:
            return Verdict(None, call.operations[0].action)
        reason, rule, hint = refused
        return Verdict(f"{shown} is refused: {reason}", rule, hint)

    def _find_refusal(self, call: Call) -> tuple[str, str, str] | None:
        """Return why a call is refused, the rule, and a remedy; None if it is allowed."""
        if self.profile is None:
            hint = _advise("profile", "the name of a profile")
            return "no profile of ~/.aws/config is named for this agent", "profile", hint
        if call.is_global and not self.has_global:
            return "it is a service without regions", "global", _advise("global", "true")
        if not call.is_global and call.region not in self.regions:
            hint = _advise("regions", f'"{call.region}"')
            return f"the region {call.region} is not granted", "regions", hint
        refused = next(filter(None, map(self._refuse_operation, call.operations)), None)
        refused = refused or next(filter(None, map(self._refuse_action, call.also)), None)
        return refused or self._refuse_resources(call)

    def _refuse_operation(self, operation: Operation) -> tuple[str, str, str] | None:
        return self._refuse_action(operation.action, has_secret=operation.has_secret)

    def _refuse_action(self, action: str, has_secret: bool = False) -> tuple[str, str, str] | None:
        names = {action, _IMPLIED.get(action, action)}
        same = _list_same(action)
        denied = next((each for each in self.deny if _matches_any(each, same)), None)
        if denied is not None:
            return f"deny has {denied}", denied, _advise("deny")
        if action in _HANDS_OUT_KEYS:
            hint = "use sts:AssumeRole with a role of [aws] roles"
            return (
                f"{action} would answer with keys that the broker does not exchange",
                "keys",
                hint,
            )
        is_exchanged = action == "sts:AssumeRole"
        if has_secret and not is_exchanged and action not in self.allow:
            reason = f"{action} can answer with a secret or a link, which no * grants"
            return reason, "secret", _advise("allow", f'"{action}"')
        granted = any(_matches_any(each, names) for each in self.allow)
        if not granted and not (is_exchanged and self.roles):
            return f"{action} is not granted", "allow", _advise("allow", f'"{action}"')
        return None

    def _refuse_resources(self, call: Call) -> tuple[str, str, str] | None:
        buckets = [] if call.bucket is None else [call.bucket]
        if call.source is not None:
            buckets.append(call.source.partition("/")[0])
        for bucket in buckets:
            if not any(_matches_bucket(each, bucket) for each in self.buckets):
                hint = _advise("buckets", f'"{bucket}"')
                return f"the bucket {bucket} is not granted", "buckets", hint
        for role in (call.session, call.role):
            if role is not None and role not in self.roles:
                shown = quote(role, limit=200)
                return f"the role {shown} is not granted", "roles", _advise("roles", shown)
        return None

    @property
    def needs_account(self) -> bool:
        """Whether the account of the credential decides, since a pattern names buckets."""
        has_pattern = any("*" in each for each in self.buckets)
        return has_pattern and self.account is None and self.endpoint is None

    def is_elsewhere(self, host: str) -> bool:
        """Whether a host is `endpoint` or below it, which is not AWS's."""
        return self.endpoint is not None and f".{host}".endswith(f".{self.endpoint}")

    def list_owned(self, call: Call) -> Iterator[str]:
        """Yield the headers that must name the owner of a bucket that only a pattern matches.

        A bucket that the operator named in full is trusted.
        """
        source = None if call.source is None else call.source.partition("/")[0]
        if all(each.takes_owner for each in call.operations):
            for name, bucket in (("", call.bucket), ("source-", source)):
                if bucket is not None and bucket not in self.buckets:
                    yield f"x-amz-{name}expected-bucket-owner"


def _list_same(action: str) -> tuple[str, ...]:
    """An action, and those that it amounts to."""
    implied = _IMPLIED.get(action, action)
    return tuple(dict.fromkeys((action, implied, *_AMOUNTS_TO.get(action, ()))))


def find_action_problem(pattern: str) -> str | None:
    """Return why `pattern` is no `service:Operation`; None if it is valid."""
    if not _PATTERN.fullmatch(pattern):
        return 'is not SERVICE:OPERATION, as in "s3:GetObject" or "ec2:Describe*"'
    return None


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str, any_letter: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", any_letter))


def _matches_any(pattern: str, actions: Iterable[str]) -> bool:
    compiled = _compile(pattern, "[A-Za-z0-9-]*")
    return any(compiled.fullmatch(each) for each in actions)


def _matches_bucket(pattern: str, bucket: str) -> bool:
    return _compile(pattern, "[a-z0-9.-]*").fullmatch(bucket) is not None


def _advise(key: str, value: str | None = None) -> str:
    """Return advice to add `value` to `key` of the profile, or to change `key`."""
    where = f"[aws] {key} {_IN}{_THEN}"
    return f"a person on the host can {'change' if value is None else f'add {value} to'} {where}"
