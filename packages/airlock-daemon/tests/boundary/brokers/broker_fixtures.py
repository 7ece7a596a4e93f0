"""A service for the tests of the HTTPS broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer, Certificates, serving


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The authority of the services."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[ApiServer]:
    """A service at localhost."""
    with serving(certificates.issue("localhost", "127.0.0.1")) as server:
        yield server


@pytest.fixture
def variables(tmp_path: Path, certificates: Certificates) -> dict[str, str]:
    """The daemon's environment."""
    return {"SSL_CERT_FILE": str(certificates.file), "HOME": str(tmp_path)}
