"""Builds the table of AWS operations in airlock-modules, from botocore's models.

`python -m tasks.aws_operations` rewrites it. The models are those of the botocore locked by
`tasks/lock/development.txt`, so that the same lock gives the same table; a test fails if the table
is out of date.
`airlock_modules.apis.aws.operations` describes the table.
"""

import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TABLE = (
    Path(__file__).parents[1]
    / "packages/airlock-modules/src/airlock_modules/apis/aws/operations.json.zlib"
)

# Suffixes of the names of members with a secret, or with a link that needs no login.
_SECRET = re.compile(
    r"(secret|password|passphrase|credentials?|private_?key|secret(access)?key|secretstring"
    r"|(session|security|access|refresh|id|auth|authorization|bearer|task|secret|login)_?token"
    r"|^token|tokenvalue|secretbinary|(pre)?sharedkey|authkey|plaintext|apikeys?|userdata|seed"
    r"|(\w*signed|download|upload|embed|login|stream|streamingsession|authori[sz]ed|anonymous)url"
    r"|onetimepassword|keymaterial)$",
    re.IGNORECASE,
)
# Members named like a secret without being one: names and statuses of secrets, masked values,
# members that only callers send, and pagination tokens.
_HARMLESS = {
    "ClientSecret", "Credentials", "FsxAdminPassword", "MasterUserPassword", "MasterUserSecret",
    "ServiceSpecificCredentials", "SourceIp", "VpcSourceIp", "authorizerCredentials", "credential",
    "credentials", "registryCredential", "repositoryCredentials", "secret", "secretsManagerSecret",
    "taskCredentials",
}  # fmt: skip
# Services whose models mark names, addresses, texts and data as sensitive, but no credentials.
_PERSONAL = {
    "backup", "bedrock", "bedrock-runtime", "budgets", "comprehend", "guardduty", "identitystore",
    "organizations", "redshift-serverless", "resource-explorer-2", "s3", "sagemaker", "sns",
    "stepfunctions",
}  # fmt: skip
# Operations with marked members that are headers for origins, public keys, addresses, names of
# owners, and masked passwords.
_ACCEPTED = {
    "cloudfront": r"(Get|List)Distribution.*",
    "ec2": "GetInstanceTpmEkPub",
    "rds": "Describe(DBInstances|DBClusters|DBProxyTargetGroups|OptionGroups|TenantDatabases)",
    "redshift": "DescribeClusters",
    "ssm": "DescribeInstance.*|.*MaintenanceWindow(s|Targets)?|GetPatchBaseline|ListNodes",
    "fsx": ".*",
}
# Marked as sensitive, but harmless: the caller's own encryption key.
_CALLERS_OWN = re.compile(r"SSE|KMS")
# Operations whose answers have a secret, a link or a setting that their models do not mark.
_ALSO_SECRET: dict[str, str] = {
    "amplify": "GetArtifactUrl",
    "amplifybackend": "CreateToken|GetToken",
    "apigateway": "GetApiKey|GetApiKeys|CreateApiKey|UpdateApiKey|(Get|Create)UsagePlanKeys?",
    "appsync": "GetGraphqlApiEnvironmentVariables|(Create|Update|List)ApiKeys?",
    "backup": "GetRecoveryPointRestoreMetadata|GetRestoreJobMetadata|GetRestoreTestingSelection",
    "codebuild": "BatchGetProjects",
    "connectparticipant": "GetAuthenticationUrl",
    "datazone": "GetIamPortalLoginUrl",
    "emr-serverless": "GetDashboardForJobRun",
    "glue": "GetConnection|GetConnections",
    "iam": "GetCredentialReport",
    "imagebuilder": "GetMarketplaceResource|GetImage|GetImageRecipe",
    "inspector2": "GetCisScanReport",
    "lambda": "GetLayerVersion|GetLayerVersionByArn",
    "m2": "GetSignedBluinsightsUrl",
    "sagemaker": "CreatePartnerAppPresignedUrl|CreateHubContentPresignedUrls",
    "sesv2": "GetImportJob",
    "ssm": "DescribeAutomationExecutions|GetAutomationExecution|GetDocument",
    "wafv2": "GetDecryptedAPIKey|(Get|Generate)MobileSdkRelease(Url)?|(Create|List)APIKeys?",
}
# Protocols of older SDKs that services still support.
_FORMER_PROTOCOLS = {"sqs": ["query"]}


def main() -> int:
    """Write the table."""
    data = build()
    TABLE.write_bytes(data)
    print(f"{TABLE.name}: {len(data)} bytes", file=sys.stderr)
    return 0


def build() -> bytes:
    """Return the table in its shipped form."""
    return zlib.compress(json.dumps(read_models(), separators=(",", ":")).encode(), 9)


def read_models() -> dict[str, Any]:
    """Return the table as plain values."""
    import botocore.loaders  # noqa: PLC0415 - in the environment of the tests alone

    loader = botocore.loaders.Loader()
    services: dict[str, list[Any]] = {}
    for service in loader.list_available_services("service-2"):
        model = loader.load_service_model(service, "service-2")
        meta = model["metadata"]
        if meta.get("signatureVersion") in {"v2", "bearer"}:
            continue
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        protocols = [*(meta.get("protocols") or [meta["protocol"]])]
        protocols += _FORMER_PROTOCOLS.get(service, [])
        hosts = sorted(_hosts(rules))
        if service == "s3":  # access points and directory buckets are not supported
            hosts = [each for each in hosts if each.startswith(("s3.", "s3-fips."))]
        entry = [
            service,
            protocols,
            meta.get("targetPrefix", ""),
            meta["apiVersion"],
            hosts,
            {
                name: _operation(service, name, op, model)
                for name, op in model["operations"].items()
            },
        ]
        signing = meta.get("signingName") or meta["endpointPrefix"]
        services.setdefault(signing, []).append(entry)
    partitions = loader.load_data("partitions")["partitions"]
    return {"partitions": [_partition(each) for each in partitions], "services": services}


def _partition(entry: Mapping[str, Any]) -> list[Any]:
    outputs = entry["outputs"]
    regions = [each for each in entry["regions"] if not each.endswith("-global")]
    return [
        entry["id"],
        outputs["dnsSuffix"],
        outputs["dualStackDnsSuffix"],
        outputs["implicitGlobalRegion"],
        entry["regionRegex"],
        regions,
    ]


_NAMES = {
    "Region": "R",
    "PartitionResult#dnsSuffix": "D",
    "partitionResult#dnsSuffix": "D",
    "PartitionResult#dualStackDnsSuffix": "U",
    "partitionResult#dualStackDnsSuffix": "U",
    "PartitionResult#implicitGlobalRegion": "G",
    "AccountId": "A",
    "ParsedArn#accountId": "A",
}


def _hosts(rules: Any) -> Iterator[str]:
    """Yield the hosts of the rules as templates, in which capitals are variables."""
    found = set()
    for url in _urls(rules):
        host = url.removeprefix("https://").removesuffix("/{uri_encoded_bucket}")
        host = re.sub(r"\{([^}]*)\}", lambda m: _NAMES.get(m[1], "?"), host)
        if url.startswith("https://") and "?" not in host and "/" not in host:
            found.add(host)
    yield from found


def _urls(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        url = node["endpoint"]["url"] if node.get("type") == "endpoint" else None
        if isinstance(url, str):
            yield url
        for value in node.values():
            yield from _urls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _urls(value)


def _operation(
    service: str, name: str, operation: Mapping[str, Any], model: Mapping[str, Any]
) -> str:
    """Return `[!]METHOD URI|HEADERS|PREFIX|ALLOWED`, without empty ends; `POST /` becomes ""."""
    shapes = model["shapes"]
    http = operation.get("http", {})
    uri = http.get("requestUri", "/")
    headers, allowed = [], []
    shape = shapes.get(operation.get("input", {}).get("shape"), {})
    for member, reference in shape.get("members", {}).items():
        place, wire = reference.get("location"), reference.get("locationName", member)
        is_required = member in shape.get("required", ())
        if place == "querystring" and is_required:
            uri += f"{'&' if '?' in uri else '?'}{wire}"
        elif place == "header" and is_required:
            headers.append(wire.lower())
        elif service == "s3" and place in {"querystring", "header"}:
            allowed.append(wire.lower() if place == "header" else f"?{wire}")
    prefix = operation.get("endpoint", {}).get("hostPrefix", "")
    prefix = re.sub(r"\{([^}]*)\}", lambda m: _NAMES.get(m[1], "?"), prefix)
    fields = [f"{http.get('method', 'POST')} {uri}", ",".join(headers), prefix, ",".join(allowed)]
    text = "|".join(fields).rstrip("|")
    text = "" if text == "POST /" else text
    return f"!{text}" if answers_with_secret(service, name, operation, shapes) else text


def answers_with_secret(
    service: str, name: str, operation: Mapping[str, Any], shapes: Mapping[str, Any]
) -> bool:
    """Return whether the answer may have a secret: by the model's mark, names, or our list."""
    if re.fullmatch(_ALSO_SECRET.get(service, ""), name):
        return True
    has_marks = service not in _PERSONAL and not re.fullmatch(_ACCEPTED.get(service, ""), name)
    seen, todo = set(), [operation["output"]["shape"]] if "output" in operation else []
    while todo:
        shape_name = todo.pop()
        if shape_name in seen:
            continue
        seen.add(shape_name)
        shape = shapes[shape_name]
        if has_marks and shape.get("sensitive") and not _CALLERS_OWN.match(shape_name):
            return True
        for member, reference in shape.get("members", {}).items():
            kind = shapes[reference["shape"]]["type"]
            is_secret = _SECRET.search(member) and member not in _HARMLESS
            if is_secret and kind in {"string", "blob", "structure", "list", "map"}:
                return True
            todo.append(reference["shape"])
        todo += [shape[each]["shape"] for each in ("member", "key", "value") if each in shape]
    return False


if __name__ == "__main__":
    sys.exit(main())
