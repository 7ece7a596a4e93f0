"""The version of the distribution; the protocol has its own, `PROTOCOL_VERSION`."""

__version__ = "0.6.0"
