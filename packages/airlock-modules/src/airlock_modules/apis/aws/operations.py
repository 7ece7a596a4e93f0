"""Identifying the AWS operations that a request may be, by a table made from botocore's models.

The table (`operations.json.zlib`, written by `tasks/aws_operations.py`) maps each signing name to
its services: their protocols, the hosts of their endpoint rules, and how a head identifies each
operation. If two operations are possible both are returned, and both must be granted.
"""

import json
import re
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from airlock_modules.apis.aws.grant import Operation
from airlock_modules.apis.head import BadHead, Head
from airlock_wire.text import quote

MAX_FORM = 1024 * 1024
"""Maximum bytes of a form; a longer one is refused."""
_MAX_FIELDS = 20_000
# Parameters of a form that are judged.
_JUDGED = ("Action", "Version", "RoleArn")
_JSON_KINDS = ("application/x-amz-json-1.0", "application/x-amz-json-1.1")
# In another charset the same bytes would be a different form.
_FORM_KIND = re.compile(
    r"application/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?", re.IGNORECASE
)
# A form with these is signed in itself, by an older signature version.
_SIGNING = frozenset(
    {"AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SecurityToken"}
)
# IAM's prefix, if it differs from the signing name.
_ACTION_PREFIXES = {"monitoring": "cloudwatch"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.")
# Headers of any request; those of an operation are in the table.
_ANY_HEADER = re.compile(
    r"x-amz-(date|security-token|content-sha256|user-agent|trailer|decoded-content-length|meta-.+"
    r"|sdk-checksum-algorithm|checksum-.+|te)"
)


class Host(Struct, frozen=True):
    """The service at a host, with the region that the signature names."""

    signing: str
    region: str
    is_global: bool
    before: str = ""
    service: str = ""


class _Service(Struct, frozen=True, array_like=True):
    name: str
    protocols: tuple[str, ...]
    target: str
    version: str
    hosts: tuple[str, ...]
    operations: Mapping[str, str]


class _Partition(Struct, frozen=True, array_like=True):
    name: str
    suffix: str
    dual_stack: str
    global_region: str
    pattern: str
    regions: tuple[str, ...]


class _Rest(Struct, frozen=True):
    """How to identify an operation of a REST protocol."""

    name: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, str | None]
    headers: tuple[str, ...]
    weight: int
    allowed: frozenset[str]


class Table:
    """The operations of all services. It takes 10 MB: load it only where requests are parsed."""

    def __init__(self, data: bytes) -> None:
        """Decode the content of `operations.json.zlib`."""
        plain = json.loads(zlib.decompress(data))
        self._services = plain["services"]
        self._partitions = msgspec.convert(plain["partitions"], tuple[_Partition, ...])
        self._rest: dict[str, tuple[_Rest, ...]] = {}
        self._read: dict[str, tuple[_Service, ...]] = {}
        self._prefixes: dict[str, set[str]] = {}

    def find_host(self, signing: str, host: str, region: str) -> tuple[Host, ...]:
        """Return the services at `host` for this signing name and region, () if none."""
        partition = self._find_partition(region)
        if partition is None:
            return ()
        found = []
        for service in self._find_services(signing):
            prefixes = self._find_prefixes(service)
            for template in service.hosts:
                before = _match_host(template, host, region, partition)
                if before is None:
                    continue
                is_bucket = service.name == "s3" and _BUCKET.fullmatch(before) is not None
                if not is_bucket and not any(_match_prefix(each, before) for each in prefixes):
                    continue
                is_regional = "R" in template or ("G" not in template and region in host.split("."))
                if not is_regional and region != partition.global_region:
                    continue
                # S3's first region has no name in its host.
                is_first = service.name == "s3" and region == "us-east-1"
                is_global = not is_regional and not is_first
                found.append(Host(signing, region, is_global, before, service.name))
                break
        return tuple(found)

    def _find_partition(self, region: str) -> _Partition | None:
        known = (each for each in self._partitions if region in each.regions)
        likely = (each for each in self._partitions if re.search(each.pattern, region))
        return next(known, None) or next(likely, None)

    def _find_services(self, signing: str) -> tuple[_Service, ...]:
        if signing not in self._read:
            entries = self._services.get(signing, [])
            self._read[signing] = msgspec.convert(entries, tuple[_Service, ...])
        return self._read[signing]

    def _find_prefixes(self, service: _Service) -> set[str]:
        """Return the host prefixes of a service's operations."""
        if service.name not in self._prefixes:
            prefixes = (f"{text}|||".split("|")[2] for text in service.operations.values())
            self._prefixes[service.name] = {"", *prefixes}
        return self._prefixes[service.name]

    def needs_body(self, signing: str, head: Head) -> bool:
        """Whether the operation is named in the body, a form of the protocol `query` or `ec2`."""
        if head.method != "POST" or head.get("x-amz-target") or head.get("smithy-protocol"):
            return False
        services = self._find_services(signing)
        return any({"query", "ec2"} & {*service.protocols} for service in services)

    def find(
        self, places: Sequence[Host], head: Head, path: str, form: Mapping[str, str]
    ) -> tuple[Operation, ...]:
        """Return the operations that a request may be, () if none. Raises BadHead if ambiguous.

        `path` is the head's, preceded by the bucket if the host names it. `form` has the parameters
        of the query and of the body, if that was read.
        """
        found = []
        for place in places:
            services = self._find_services(place.signing)
            service = next(each for each in services if each.name == place.service)
            names = set[str]()
            for protocol in service.protocols:
                names |= self._names(service, protocol, head, path, form)
            names &= service.operations.keys()
            found += [_name_operation(place.signing, service, name) for name in sorted(names)]
        return tuple(dict.fromkeys(found))

    def find_action(self, action: str) -> tuple[Operation, bool] | None:
        """Return a policy's `action` as operation, and whether its service has no regions."""
        prefix, _, name = action.partition(":")
        others = {word: signing for signing, word in _ACTION_PREFIXES.items()}
        signing = "s3" if prefix == "s3control" else others.get(prefix, prefix)
        for service in self._find_services(signing):
            if name in service.operations:
                operation = _name_operation(signing, service, name)
                if operation.action == action:
                    return operation, not any("R" in each for each in service.hosts)
        return None

    def _names(
        self, service: _Service, protocol: str, head: Head, path: str, form: Mapping[str, str]
    ) -> set[str]:
        target, cbor = head.get("x-amz-target"), head.get("smithy-protocol")
        # A service with several protocols may use only this to choose one.
        full = head.get("content-type") or ""
        kind = full.partition(";")[0].strip().lower()
        if protocol == "json":
            before, _, name = (target or "").rpartition(".")
            is_json = before == service.target and not cbor and _is_plain(head, path)
            is_json = is_json and kind in _JSON_KINDS
            return {name} if is_json else set()
        if protocol in ("query", "ec2"):
            is_queue = service.name == "sqs" and re.fullmatch(r"/[0-9]{12}/[A-Za-z0-9_.-]+", path)
            is_form = not target and not cbor and head.method in ("GET", "POST")
            is_form = is_form and (head.method == "GET" or bool(_FORM_KIND.fullmatch(full)))
            if not is_form or not (path == "/" or is_queue):
                return set()
            return {form["Action"]} if form.get("Version") == service.version else set()
        if protocol == "smithy-rpc-v2-cbor":
            match = re.fullmatch(r"/service/[A-Za-z0-9_.]+/operation/([A-Za-z0-9]+)", path)
            is_cbor = cbor == "rpc-v2-cbor" and head.method == "POST" and not target
            is_cbor = is_cbor and kind in ("application/cbor", "")
            return {match[1]} if match and is_cbor else set()
        return self._match_rest(service, head, path)

    def _match_rest(self, service: _Service, head: Head, path: str) -> set[str]:
        """Return the most specific matches: most required parameters, then the longest path."""
        if service.name not in self._rest:
            entries = service.operations.items()
            self._rest[service.name] = tuple(_compile(name, text) for name, text in entries)
        query: dict[str, set[str]] = {}
        for name, value in split_query(head.query):
            query.setdefault(name, set()).add(value)
        best: list[tuple[tuple[int, int], _Rest]] = []
        for each in self._rest[service.name]:
            if each.method != head.method or not each.path.fullmatch(path):
                continue
            has_query = all(
                name in query and (value is None or query[name] == {value})
                for name, value in each.query.items()
                if name != "x-id"
            )
            if has_query and all(head.get(name) is not None for name in each.headers):
                rank = (len(each.query) + len(each.headers), each.weight)
                best.append((rank, each))
        if not best:
            return set()
        most = max(rank for rank, _ in best)
        chosen = {each.name: each for rank, each in best if rank == most}
        if service.name == "s3":
            # Drop the older of two names of an operation; directory buckets are another service.
            for name in [*chosen]:
                if f"{name}Configuration" in chosen or name == "ListDirectoryBuckets":
                    del chosen[name]
            for each in chosen.values():
                _check_s3(each, head, query.keys())
        return {*chosen}


@cache
def load_table() -> Table:
    """Return this package's table, loaded once."""
    file = resources.files("airlock_modules.apis.aws").joinpath("operations.json.zlib")
    return Table(file.read_bytes())


def split_query(query: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a query, decoded as for signatures: `+` is literal."""
    for each in query.split("&"):
        if each:
            name, _, value = each.partition("=")
            yield urllib.parse.unquote(name), urllib.parse.unquote(value)


def read_form(query: str, body: bytes | None) -> dict[str, str]:
    """Return the parameters of the protocol `query` from URL and body; {} without an Action.

    Raises BadHead for a duplicate, undecodable or unusually spelled parameter, and for a form with
    its own signature.
    """
    try:
        text = "" if body is None else body.decode("ascii")
        pairs = [
            *split_query(query),
            *urllib.parse.parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
            ),
        ]
    except ValueError:
        raise BadHead("the form of this request cannot be read") from None
    names = [name for name, _ in pairs]
    if "Action" not in names:
        return {}
    if not _SIGNING.isdisjoint(names):
        raise BadHead("the form of this request is signed by itself")
    if len({*names}) != len(names):
        raise BadHead("a parameter of this request is there twice")
    for name in names:
        if name.lower() in {each.lower() for each in _JUDGED} and name not in _JUDGED:
            raise BadHead(f"the parameter {quote(name, limit=80)} is spelled unusually")
    return dict(pairs)


def _name_operation(signing: str, service: _Service, name: str) -> Operation:
    prefix = "s3control" if service.name == "s3control" else signing
    prefix = _ACTION_PREFIXES.get(prefix, prefix)
    text = service.operations[name]
    takes_owner = "x-amz-expected-bucket-owner" in text
    return Operation(prefix, name, text.startswith("!"), takes_owner)


def _is_plain(head: Head, path: str) -> bool:
    return head.method == "POST" and path == "/" and not head.query


def _match_prefix(template: str, before: str) -> bool:
    return re.fullmatch(re.escape(template).replace("A", "[0-9]{12}"), before) is not None


def _match_host(template: str, host: str, region: str, partition: _Partition) -> str | None:
    """Return the prefix before the template's host, None if the host does not match."""
    values = {
        "R": region,
        "D": partition.suffix,
        "U": partition.dual_stack,
        "G": partition.global_region,
    }
    # In a template capitals are the variables.
    if "A" not in template:
        text = re.sub("[RDUG]", lambda match: values[match[0]], template)
        return host.removesuffix(text) if host.endswith(text) else None
    pattern = re.sub("[RDUG]", lambda match: values[match[0]], template)
    return "" if re.fullmatch(re.escape(pattern).replace("A", "[0-9]{12}"), host) else None


def _compile(name: str, text: str) -> _Rest:
    head, headers, _, allowed = f"{text.removeprefix('!')}|||".split("|")[:4]
    method, _, uri = (head or "POST /").partition(" ")
    path, _, query = uri.partition("?")
    fixed: dict[str, str | None] = {}
    for each in query.split("&") if query else ():
        key, equals, value = each.partition("=")
        fixed[key] = value if equals else None
    pattern = re.escape(path).rstrip("/")
    pattern = re.sub(r"\\\{[^}]*\\\+\\\}", ".+", pattern)
    pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", pattern)
    return _Rest(
        name,
        method,
        re.compile(pattern + "/?", re.DOTALL),
        fixed,
        tuple(headers.split(",")) if headers else (),
        len(re.sub(r"\{[^}]*\}", "", path)),
        frozenset(allowed.split(",")),
    )


def _check_s3(operation: _Rest, head: Head, query: AbstractSet[str]) -> None:
    """Raise BadHead for parameters or headers of another operation, by which S3 would choose."""
    known = {each.removeprefix("?") for each in operation.allowed if each.startswith("?")}
    for name in query - known - operation.query.keys() - {"x-id"}:
        raise BadHead(f"s3:{operation.name} has no parameter {quote(name, limit=80)}")
    for key, _ in head.headers:
        name = key.decode()
        is_known = name in operation.allowed or name in operation.headers
        if name.startswith("x-amz-") and not is_known and not _ANY_HEADER.fullmatch(name):
            raise BadHead(f"s3:{operation.name} has no header {name}")
