"""What all broken controls share: a fault, and the case that must fail for it."""

from typing import ClassVar

from reference_bridge import ReferenceBridge
from reference_daemon import ReferenceDaemon
from reference_shim import ReferenceShim


class BrokenDaemon(ReferenceDaemon):
    """A daemon with one fault; the subclass says which."""

    caught_by: ClassVar[str]


class BrokenShim(ReferenceShim):
    """A shim with one fault; the subclass says which."""

    caught_by: ClassVar[str]


class BrokenBridge(ReferenceBridge):
    """A bridge's container end with one fault; the subclass says which."""

    caught_by: ClassVar[str]
