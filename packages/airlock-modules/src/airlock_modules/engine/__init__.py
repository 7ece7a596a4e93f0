"""The API of a docker engine, judged: which calls an agent may make, and what they may say.

A call is found in a table (`find_call`), its body read strictly and written anew (`read_container`
and others), each name in it replaced by the full id that the engine gives (`list_references`,
`resolve`), and the answer rewritten with the client's names (`rewrite`). Archives of images are
seldom sent, and `engine.archive` is imported by itself. Nothing here does I/O.
"""

from airlock_modules.engine.answers import (
    MAX_OBJECT,
    Listing,
    View,
    list_names,
    rewrite,
    rewrite_error,
    rewrite_event,
    rewrite_stats,
    spell_refusal,
)
from airlock_modules.engine.builder import (
    NoConfiguration,
    find_builder,
    is_builder,
    order_builder,
    require_ordinary,
)
from airlock_modules.engine.calls import NEWEST, OLDEST, Call, FoundCall, Version, find_call
from airlock_modules.engine.container import JOINS, OWN_NETWORK, ContainerOrder, read_container
from airlock_modules.engine.egress import (
    SHIM,
    Egress,
    ImageConfig,
    read_image_config,
    restore_words,
)
from airlock_modules.engine.grant import DockerGrant, Root, is_below
from airlock_modules.engine.held import find_excess
from airlock_modules.engine.images import (
    ImageName,
    OwnImages,
    is_image_id,
    join_tag,
    read_engine_name,
    read_image_name,
    read_image_reference,
    shorten_name,
)
from airlock_modules.engine.names import IMAGE_LABEL, LABEL, ROOT_LABEL, USER_LABEL, Ownership
from airlock_modules.engine.ports import LOOPBACK, MAX_PORTS, read_ports
from airlock_modules.engine.resources import (
    confine_network,
    find_connected,
    is_isolated,
    judge_network,
    read_commit,
    read_connection,
    read_disconnection,
    read_exec,
    read_exec_start,
    read_network,
    read_volume,
)
from airlock_modules.engine.strict import (
    MAX_BODY,
    Reference,
    Refused,
    decode,
    encode,
    list_references,
    malformed,
    resolve,
)

__all__ = [
    "IMAGE_LABEL",
    "JOINS",
    "LABEL",
    "LOOPBACK",
    "MAX_BODY",
    "MAX_OBJECT",
    "MAX_PORTS",
    "NEWEST",
    "OLDEST",
    "OWN_NETWORK",
    "ROOT_LABEL",
    "SHIM",
    "USER_LABEL",
    "Call",
    "ContainerOrder",
    "DockerGrant",
    "Egress",
    "FoundCall",
    "ImageConfig",
    "ImageName",
    "Listing",
    "NoConfiguration",
    "OwnImages",
    "Ownership",
    "Reference",
    "Refused",
    "Root",
    "Version",
    "View",
    "confine_network",
    "decode",
    "encode",
    "find_builder",
    "find_call",
    "find_connected",
    "find_excess",
    "is_below",
    "is_builder",
    "is_image_id",
    "is_isolated",
    "join_tag",
    "judge_network",
    "list_names",
    "list_references",
    "malformed",
    "order_builder",
    "read_commit",
    "read_connection",
    "read_container",
    "read_disconnection",
    "read_engine_name",
    "read_exec",
    "read_exec_start",
    "read_image_config",
    "read_image_name",
    "read_image_reference",
    "read_network",
    "read_ports",
    "read_volume",
    "require_ordinary",
    "resolve",
    "restore_words",
    "rewrite",
    "rewrite_error",
    "rewrite_event",
    "rewrite_stats",
    "shorten_name",
    "spell_refusal",
]
