"""The folder under test, and what of it an installation may use."""

import os
from pathlib import Path

import pytest

from tasks.release.images import why_no_images


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--distributions", type=Path, help="the folder that ./dev build made")
    parser.addoption("--base", default="", help="an image of a Debian with git and Python's venv")
    parser.addoption("--no-images", action="store_true", help="the images were left out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests more time: they install packages, and load images."""
    for item in items:
        item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def dist(request: pytest.FixtureRequest) -> Path:
    """The folder with everything that was built."""
    folder: Path | None = request.config.getoption("--distributions")
    if folder is None:
        pytest.fail("name what was built with --distributions; `./dev build --check` does")
    return folder.absolute()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> None:
    """Require a Docker engine, or skip the test with the reason."""
    if request.config.getoption("--no-images"):
        pytest.skip("the images were left out of this build, and with them every container")
    _need(why_no_images())


@pytest.fixture
def clean_image(request: pytest.FixtureRequest, engine: None) -> str:
    """An image without anything of Airlock's."""
    base: str = request.config.getoption("--base")
    _need(None if base else "no image to install in was named with --base")
    return base


def _need(obstacle: str | None) -> None:
    """Skip the test if there is an obstacle, or fail it if everything is required."""
    if obstacle is None:
        return
    if os.environ.get("REQUIRE_DOCKER") == "1":
        pytest.fail(f"REQUIRE_DOCKER=1, but {obstacle}")
    pytest.skip(obstacle)
