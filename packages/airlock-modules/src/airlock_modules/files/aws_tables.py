"""AWS tables: `[[api]]` of a module, and `[aws]` of a profile.

The module defines the source of keys and the default actions. The profile names the human's
profile of `~/.aws`, regions and buckets; without these nothing is usable.
"""

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from airlock_modules.apis import Api, Client, Credential, Source
from airlock_modules.apis.aws import Grant, find_action_problem
from airlock_modules.apis.patterns import is_host_pattern
from airlock_modules.files.toml_reader import TableReader
from airlock_wire.text import quote

PLACEHOLDER = "AKIA{16}/{40}"
"""The form of a tool's placeholder: an id, a slash and a secret."""
_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]{2,10}){1,3}-[0-9]{1,2}")
_BUCKET = re.compile(r"[a-z0-9*][a-z0-9.*-]{0,61}[a-z0-9*]")
_ROLE = re.compile(r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}")
_NAME = re.compile(r"[A-Za-z0-9_.@/+-][A-Za-z0-9_.@/+ -]{0,127}")
# Headers that SDKs send, and those with operation parameters (location "header" in botocore).
_HEADERS = (
    *("x-amz-*", "x-amzn-*", "amz-sdk-*", "smithy-protocol", "mcp-*"),
    *("allow-revert", "application-id", "client-token", "configuration-profile-id", "description"),
    *("graphidentifier", "inputsource", "instance-id", "latest-version-number", "staging"),
    *("match-for-version-type", "response-content-type", "uniqueids", "versionlabel"),
    *("useclientcertificateocspendpoint", "version-label"),
)
# By prefix of the region: the partition's domains, and the region of its global services.
_PARTITIONS = {
    "cn-": ("amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1"),
    "eusc-": ("amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1"),
    "us-gov-": ("amazonaws.com", "api.aws", "us-gov-west-1"),
    "": ("amazonaws.com", "api.aws", "us-east-1"),
}


def read_aws_api(table: TableReader, *, name: str, module: str, source: Source | None) -> Api:
    """Read an `[[api]]` whose credential is of kind aws and comes from `source`."""
    table.refuse("hosts", "is not asked for: AWS's own tables say which hosts it has", "remove it")
    allow, deny = _read_actions(table, "allow"), _read_actions(table, "deny")
    credential = None
    if source is not None:
        credential = Credential(kind="aws", source=source, placeholder=PLACEHOLDER)
    return Api(
        name=name,
        module=module,
        hosts=(),
        credential=credential,
        loose_paths=True,
        headers=_HEADERS,
        aws=Grant(allow=allow, deny=deny),
    )


def grant_aws(
    api: Api, table: TableReader, environment: Mapping[str, str], *, source: Source | None
) -> Api:
    """Return the API as `[aws]` of a profile grants it. `table` records faults.

    `environment` has the profile's variables: its `AWS_PROFILE` and `AWS_REGION` apply too.
    `source`, if not None, replaces the module's.
    """
    base = api.aws or Grant()
    profile = table.string("profile") or environment.get("AWS_PROFILE")
    if profile is not None and not _NAME.fullmatch(profile):
        table.fault("profile", f"{quote(profile)} cannot name a profile", "use its name in ~/.aws")
    own = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    regions = _read_all(table, "regions", _REGION, "eu-west-1", default=(own,) if own else ())
    has_global = table.boolean("global", default=False)
    endpoint, port = _read_endpoint(table)
    account = table.string("account")
    if account is not None and not re.fullmatch("[0-9]{12}", account):
        table.fault("account", f"{quote(account)} is no number of an account", "use its 12 digits")
    grant = Grant(
        profile=profile,
        regions=regions,
        has_global=has_global,
        buckets=_read_all(table, "buckets", _BUCKET, "acme-data"),
        roles=_read_all(table, "roles", _ROLE, "arn:aws:iam::123456789012:role/deploy"),
        allow=(*base.allow, *_read_actions(table, "allow")),
        deny=(*base.deny, *_read_actions(table, "deny")),
        endpoint=endpoint,
        account=account,
    )
    credential = api.credential
    if source is not None and credential is not None:
        credential = replace(credential, source=source)
    elif credential is not None and profile is not None:
        words = (*credential.source.words, "--profile", profile)
        credential = replace(credential, source=replace(credential.source, words=words))
    hosts = (*_read_private(table), *list_hosts(grant))
    return replace(
        api,
        hosts=tuple(dict.fromkeys(hosts)),
        ports=(443,) if port is None else (port,),
        ca=table.string("ca"),
        credential=credential,
        aws=grant,
    )


def fill_client(client: Client, api: Api) -> Client:
    """Return the client settings with the region and endpoint of the grant."""
    grant, env = api.aws, dict(client.env)
    if grant is not None and grant.regions:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            env.setdefault(name, grant.regions[0])
    if grant is not None and grant.endpoint is not None:
        port = "" if api.ports == (443,) else f":{api.ports[0]}"
        env.setdefault("AWS_ENDPOINT_URL_S3", f"https://{grant.endpoint}{port}")
    return replace(client, env=env)


def list_hosts(grant: Grant) -> tuple[str, ...]:
    """Return patterns of all hosts a grant may cover; each call's host is judged separately."""
    if grant.endpoint is not None:
        is_address = re.fullmatch(r"[0-9.]+", grant.endpoint)
        return (grant.endpoint,) if is_address else (grant.endpoint, f"*.{grant.endpoint}")
    hosts: list[str] = []
    for region in grant.regions:
        suffix, dual_stack, first = _find_partition(region)
        hosts += [f"**.{region}.{suffix}", f"**.{region}.{dual_stack}"]
        if region == "us-east-1":
            hosts += [f"s3.{suffix}", f"*.s3.{suffix}"]
        if grant.has_global:
            hosts += [f"*.{suffix}", f"*.global.{dual_stack}", f"*.us-gov.{suffix}"]
            hosts += [f"**.{first}.{suffix}", f"**.{first}.{dual_stack}"]
    return tuple(dict.fromkeys(hosts))


def _find_partition(region: str) -> tuple[str, str, str]:
    return next(each for start, each in _PARTITIONS.items() if region.startswith(start))


def _read_actions(table: TableReader, key: str) -> tuple[str, ...]:
    actions = table.strings(key)
    for action in actions:
        problem = find_action_problem(action)
        if problem is not None:
            remedy = 'write it like "s3:GetObject" or "ec2:Describe*"'
            table.fault(key, f"{quote(action, limit=120)} {problem}", remedy)
    return actions


def _read_all(
    table: TableReader,
    key: Literal["regions", "buckets", "roles"],
    form: re.Pattern[str],
    example: str,
    *,
    default: Sequence[str] = (),
) -> tuple[str, ...]:
    given = table.strings(key)
    texts = given if table.has(key) else tuple(default)
    for text in texts:
        if not form.fullmatch(text):
            table.fault(key, f"{quote(text)} is none", f'write it like "{example}"')
    return texts


def _read_private(table: TableReader) -> tuple[str, ...]:
    """Read AWS hosts written in full because their addresses are private (VPC endpoints)."""
    hosts = tuple(host.lower() for host in table.strings("hosts"))
    for host in hosts:
        if not is_host_pattern(host) or "*" in host:
            remedy = 'write it like "s3.eu-west-1.amazonaws.com"'
            table.fault("hosts", f"{quote(host)} is no name of a host", remedy)
    if hosts and table.has("endpoint"):
        remedy = "remove one; an endpoint is the only service then"
        table.fault("hosts", "names hosts of AWS, and endpoint another service", remedy)
    return hosts


def _read_endpoint(table: TableReader) -> tuple[str | None, int | None]:
    """Read host and port of `endpoint`, both None for AWS's own."""
    text = table.string("endpoint")
    if text is None:
        return None, None
    try:
        url = urllib.parse.urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        url, host, port = urllib.parse.urlsplit(""), "", None
    if url.scheme != "https" or url.path not in ("", "/") or not is_host_pattern(host):
        remedy = 'write it like "https://minio.example.com:9000"'
        table.fault("endpoint", f"{quote(text)} is no address of a service", remedy)
        return None, None
    domains = {domain for *both, _ in _PARTITIONS.values() for domain in both}
    if any(f".{host}".endswith(f".{each}") for each in domains):
        table.fault("endpoint", f"{quote(host)} is AWS itself", "write it into hosts")
    return host, port
