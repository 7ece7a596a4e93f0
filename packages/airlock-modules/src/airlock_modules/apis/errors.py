"""Why a request to an API is refused before its operation is judged."""


class BadHead(Exception):
    """A request has no single reading. `str(error)` says why, for the person who sent it."""


class ForeignCredential(Exception):
    """A request has a credential that is not the agent's placeholder, or one in a wrong place."""
