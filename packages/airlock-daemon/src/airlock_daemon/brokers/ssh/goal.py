"""Where an ssh is to lead."""

from typing import Literal

import msgspec


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A host and who to be there, as a client said it: `host` has brackets around an IPv6 address.

    `port` of None is ssh's own or the configured one; `family` is 4 or 6 where only addresses of
    that kind will do.
    """

    user: str | None
    host: str
    port: int | None
    family: Literal[4, 6] | None

    @property
    def word(self) -> str:
        """The destination as ssh wants it: without brackets around an address."""
        host = self.host.strip("[]")
        return host if self.user is None else f"{self.user}@{host}"

    @property
    def port_words(self) -> tuple[str, ...]:
        """The options that say the port."""
        return () if self.port is None else ("-p", str(self.port))

    @property
    def family_words(self) -> tuple[str, ...]:
        """The options that say the kind of address."""
        return () if self.family is None else (f"-{self.family}",)
