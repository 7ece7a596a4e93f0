"""`[aws]` of a profile: what it makes of the built-in module."""

from collections.abc import Mapping

import pytest

from airlock_modules import Fault, TableReader, load_builtin
from airlock_modules.apis import Client
from airlock_modules.files.api_profile import Granted, grant_apis

FULL = """
profile = "readonly"
regions = ["eu-west-1", "us-east-1"]
buckets = ["acme-*"]
roles = ["arn:aws:iam::123456789012:role/deploy"]
account = "123456789012"
allow = ["s3:PutObject", "ssm:GetParameter"]
deny = ["ec2:DescribeHosts"]
"""


def grant(text: str, environment: Mapping[str, str] = {}) -> tuple[Granted, list[Fault]]:
    """What the module aws grants by this table of a profile, and what is wrong with it."""
    module = load_builtin("aws")
    faults: list[Fault] = []
    reader = TableReader.parse(f"[aws]\n{text}", source="airlock.toml", faults=faults)
    assert reader is not None
    table = reader.table("aws")
    granted = grant_apis(module.apis, module.clients, table, environment=environment)
    reader.finish()
    return granted, faults


def test_a_profile_adds_to_what_the_module_grants() -> None:
    """Keys are asked for with its name, hosts are those of its regions."""
    granted, faults = grant(FULL)
    assert faults == []
    [api] = granted.apis
    assert api.aws is not None
    assert api.credential is not None
    assert api.credential.source.words[-2:] == ("--profile", "readonly")
    assert {"*:Describe*", "s3:GetObject", "s3:PutObject"} <= {*api.aws.allow}
    for host in ("sts.eu-west-1.amazonaws.com", "acme-x.s3.eu-west-1.amazonaws.com"):
        assert api.serves(host, 443)
    assert api.serves("acme-x.s3.amazonaws.com", 443)
    for host in ("iam.amazonaws.com", "ec2.eu-central-1.amazonaws.com", "eu-west-1.amazonaws.com"):
        assert not api.serves(host, 443)
    client = granted.client.fill(placeholder="AKIA7/abc", ca="/ca.pem", bundle="/b.pem")
    assert client.env["AWS_ACCESS_KEY_ID"] == "AKIA7"
    assert client.env["AWS_SECRET_ACCESS_KEY"] == "abc"
    assert client.env["AWS_CA_BUNDLE"] == "/b.pem"
    assert client.env["AWS_REGION"] == "eu-west-1"


def test_without_a_table_there_is_no_api() -> None:
    """Who has granted the command alone gets no proxy, and loses no network."""
    assert grant("") == (Granted((), Client()), [])


def test_profile_and_region_of_the_environment_mean_the_same() -> None:
    """As they did for the command; the table's own count more."""
    environment = {"AWS_PROFILE": "audit", "AWS_REGION": "eu-west-1"}
    granted, _ = grant("buckets = []", environment)
    api = granted.apis[0]
    assert api.aws is not None
    assert (api.aws.profile, api.aws.regions) == ("audit", ("eu-west-1",))
    assert api.credential is not None
    assert api.credential.source.words[-1] == "audit"
    granted, _ = grant(FULL, environment)
    assert granted.apis[0].aws is not None
    assert granted.apis[0].aws.profile == "readonly"


def test_global_services_and_other_partitions_have_hosts_of_their_own() -> None:
    """Only where they are granted."""
    granted, faults = grant('profile = "x"\nregions = ["eu-west-1"]\nglobal = true')
    assert faults == []
    for host in ("iam.amazonaws.com", "ce.us-east-1.amazonaws.com", "iam.global.api.aws"):
        assert granted.apis[0].serves(host, 443)
    granted, faults = grant('profile = "x"\nregions = ["cn-north-1"]')
    assert faults == []
    assert granted.apis[0].serves("ec2.cn-north-1.amazonaws.com.cn", 443)
    assert not granted.apis[0].serves("ec2.cn-north-1.amazonaws.com", 443)


def test_an_endpoint_is_another_s3() -> None:
    """Its keys go there alone, by a source of its own."""
    granted, faults = grant(
        'profile = "x"\nendpoint = "https://minio.example.com:9000"\nregions = ["us-east-1"]\n'
        'credential = { stored = "minio" }'
    )
    assert faults == []
    api = granted.apis[0]
    assert api.serves("minio.example.com", 9000)
    assert api.serves("acme.minio.example.com", 9000)
    assert not api.serves("s3.us-east-1.amazonaws.com", 443)
    assert api.credential is not None
    assert (api.credential.source.kind, api.credential.source.format) == ("stored", "aws")
    assert granted.client.env["AWS_ENDPOINT_URL_S3"] == "https://minio.example.com:9000"


@pytest.mark.parametrize(
    ("line", "key", "problem"),
    [
        ('profile = "--debug\\n"', "profile", "cannot name a profile"),
        ('regions = ["*"]', "regions", "is none"),
        ('buckets = ["arn:aws:s3:::x"]', "buckets", "is none"),
        ('roles = ["deploy"]', "roles", "is none"),
        ('allow = ["GET /x"]', "allow", "is not SERVICE:OPERATION"),
        ('endpoint = "http://minio"', "endpoint", "is no address"),
        ('endpoint = "https://s3.eu-west-1.amazonaws.com"', "endpoint", "is AWS itself"),
        ('endpoint = "https://s3.cn-north-1.amazonaws.com.cn"', "endpoint", "is AWS itself"),
        (
            'endpoint = "https://minio.test"\nhosts = ["s3.eu-west-1.amazonaws.com"]',
            "hosts",
            "endpoint another service",
        ),
        ('account = "12"', "account", "is no number of an account"),
        ('hosts = ["*.amazonaws.com"]', "hosts", "is no name of a host"),
        ('profil = "x"', "profil", ""),
        (
            'credential = { env = "X", format = "raw" }',
            "credential.format",
            "is not that of its kind",
        ),
    ],
)
def test_a_fault_names_its_key(line: str, key: str, problem: str) -> None:
    """And what is wrong with it."""
    _, faults = grant(f'{line}\nregions = ["eu-west-1"]' if "regions" not in line else line)
    assert [fault.key for fault in faults] == [f"aws.{key}"]
    assert problem in faults[0].problem
    assert faults[0].remedy
