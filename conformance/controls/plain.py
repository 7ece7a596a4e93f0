"""Implementations without any feature: they keep to the base, and to what all versions require."""

from reference_daemon import ReferenceDaemon
from reference_shim import ReferenceShim


class PlainDaemon(ReferenceDaemon):
    """A daemon that answers each list of features with an empty one."""

    features = frozenset()


class PlainShim(ReferenceShim):
    """A shim that asks for no feature."""

    features = ()
