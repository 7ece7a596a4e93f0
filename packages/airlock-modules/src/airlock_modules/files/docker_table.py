"""Reading `[docker]` of a profile: what an agent's containers may be made of."""

from airlock_modules.engine import DockerGrant, Refused, read_image_name
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.remotes.grants import is_pattern

_IMAGE_REMEDY = "write it like docker.io/library/* or ghcr.io/acme/**, without a tag"
_NAME_REMEDY = "write a name, or a pattern such as db-*"
_NETWORKS = ("internal", "isolated", "bridge")
_MAX_CONTAINERS = 10_000


def read_docker_grant(table: TableReader) -> DockerGrant:
    """Read the table, which records the faults. Workspaces and limits are not in it."""
    registries = table.strings("registries")
    for each in registries:
        if not each or "/" in each or "*" in each:
            table.fault("registries", f'"{each}" is no registry', "write it like ghcr.io")
    network = table.choice("network", _NETWORKS, default="internal")
    grant = DockerGrant(
        images=_read_patterns(table, "images", remedy=_IMAGE_REMEDY),
        registries=registries,
        push=_read_patterns(table, "push", remedy=_IMAGE_REMEDY),
        read=_read_patterns(table, "read", remedy=_NAME_REMEDY),
        is_bridged=network == "bridge",
        is_isolated=network == "isolated",
        publishes_on_host=table.boolean("host_ports", default=False),
        root_binds=table.boolean("root_binds", default=False),
        containers=table.integer("containers", default=50, minimum=1, maximum=_MAX_CONTAINERS),
        engine=_read_engine(table),
        builder=_read_builder(table),
    )
    if grant.publishes_on_host and not grant.is_bridged:
        problem = "has no effect: an engine publishes no port of an internal network"
        table.fault("host_ports", problem, 'write network = "bridge" beside it, or remove it')
    table.finish()
    return grant


def _read_patterns(table: TableReader, key: str, *, remedy: str) -> tuple[str, ...]:
    patterns = table.strings(key)
    for each in patterns:
        is_named = key == "read" or "/" in each
        if not is_pattern(each) or not is_named or (key != "read" and "@" in each):
            table.fault(key, f'"{each}" is no pattern of {key}', remedy)
    return patterns


def _read_builder(table: TableReader) -> str:
    builder = table.string("builder", default="")
    try:
        return str(read_image_name(builder)) if builder else ""
    except Refused:
        remedy = 'write it like "docker.io/moby/buildkit:rootless"'
        table.fault("builder", f'"{builder}" is no name of an image', remedy)
        return ""


def _read_engine(table: TableReader) -> str:
    engine = table.string("engine", default="")
    path = engine.removeprefix("unix://")
    if engine and not path.startswith("/"):
        table.fault("engine", f'"{engine}" is no unix socket', 'write it like "unix:///PATH"')
        return ""
    return path
