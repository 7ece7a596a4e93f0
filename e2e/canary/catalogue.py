"""All families of attacks on the brokers."""

from e2e.canary.attack import Family
from e2e.canary.families import (
    forge,
    hosts,
    places,
    proxies,
    pushes,
    races,
    servers,
    sessions,
    signing,
    streams,
    texts,
    urls,
    words,
)

FAMILIES: tuple[Family, ...] = (
    words.FAMILY,
    places.FAMILY,
    hosts.FAMILY,
    pushes.FAMILY,
    sessions.FAMILY,
    streams.FAMILY,
    races.FAMILY,
    texts.FAMILY,
    forge.FAMILY,
    urls.FAMILY,
    servers.FAMILY,
    proxies.FAMILY,
    signing.FAMILY,
)
"""In the order in which they are carried out."""
