"""Requests to AWS made by botocore: the oracle for operations, hosts and signatures."""

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

KEY = "AKIAABCDEFGHIJKLMNOP"
SECRET = "S" * 40


class _Captured(Exception):
    """Carries the request instead of sending it."""


def why_not() -> str | None:
    """Return why botocore is not available, or None."""
    found = importlib.util.find_spec("botocore")
    return None if found else "botocore is not installed in the environment of the tests"


@cache
def session() -> Any:
    import botocore.session  # noqa: PLC0415 - not in every environment

    made = botocore.session.Session()
    made.set_credentials(KEY, SECRET)
    return made


@cache
def client(
    service: str, region: str = "eu-west-1", *, style: str = "auto", signature: str | None = None
) -> Any:
    """Return a botocore client that sends nothing; see `request`.

    `style` is S3's addressing style, `signature` a signature version.
    """
    from botocore.config import Config  # noqa: PLC0415 - as above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = Config(
            parameter_validation=False,
            retries={"max_attempts": 0},
            s3={"addressing_style": style},
            signature_version=signature,
        )
        return session().create_client(service, region_name=region, config=config)


def head_of(prepared: Any) -> tuple[bytes, str]:
    """Return a prepared request's head as sent, and its host."""
    from urllib.parse import urlsplit  # noqa: PLC0415

    url = urlsplit(prepared.url)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{prepared.method} {target} HTTP/1.1", f"host: {url.netloc}"]
    for name, value in prepared.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() != "host":
            lines.append(f"{name}: {text}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1"), url.netloc


def body_of(prepared: Any) -> bytes:
    body = prepared.body
    if body is None:
        return b""
    if hasattr(body, "read"):
        return bytes(body.read())
    return body.encode() if isinstance(body, str) else bytes(body)


def request(made: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
    """Return the request that a client prepares and signs for an operation."""

    def capture(request: Any, **_: Any) -> None:
        raise _Captured(request)

    made.meta.events.register("before-send", capture)
    try:
        made._make_api_call(operation, dict(parameters))
    except _Captured as captured:
        return captured.args[0]
    finally:
        made.meta.events.unregister("before-send", capture)
    raise AssertionError(operation)


def least(shape: Any, depth: int = 0) -> Any:
    """Return the minimal parameters of an operation."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members
        return {name: least(members[name], depth + 1) for name in shape.required_members}
    if kind == "list":
        return [least(shape.member, depth + 1)] if depth < 6 else []
    if kind == "map":
        return {}
    if kind == "string":
        return (
            shape.enum[0]
            if getattr(shape, "enum", None)
            else "a" * max(12, int(shape.metadata.get("min", 1)))
        )
    return {
        "integer": 1,
        "long": 1,
        "float": 1.0,
        "double": 1.0,
        "boolean": True,
        "blob": b"x",
        "timestamp": 0,
    }[kind]


def operations(made: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation of a client with its minimal parameters."""
    for name in made.meta.service_model.operation_names:
        shape = made.meta.service_model.operation_model(name).input_shape
        yield name, least(shape) if shape is not None else {}
