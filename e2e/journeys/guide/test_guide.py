"""Each block of README.md and docs/ that somebody types, typed as it stands, page by page."""

from collections.abc import Iterator

import pytest
from e2e.journeys.guide.host import HOME, GuideHost, following
from e2e.journeys.guide.pages import Page, read_left_out
from e2e.journeys.guide.stories import STORIES
from e2e.world.fresh_host import FreshHosts
from e2e.world.images import Images
from tasks.blocks import PAGES


@pytest.fixture(scope="module")
def installed(
    images: Images, fresh_hosts: FreshHosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuideHost]:
    """A host on which README.md was followed as far as the installation."""
    with following(images, fresh_hosts, tmp_path_factory.mktemp("guide")) as host:
        said = host.type(Page("README.md").take("sh install.sh"), cwd=f"{HOME}/airlock")
        assert "airlock: installed airlock-daemon" in said
        yield host


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_followed(name: str, request: pytest.FixtureRequest) -> None:
    """All of its blocks are typed, and those that are not stand in left_out.toml."""
    page = Page(name)
    if name in STORIES:
        host: GuideHost = request.getfixturevalue("installed")
        host.forget()
        STORIES[name](page, host)
    assert page.list_left() == []


def test_nothing_is_told_of_a_page_that_is_not_there() -> None:
    """A page that was renamed takes its story and what is left out of it along."""
    assert {*STORIES, *(entry["page"] for entry in read_left_out())} <= set(PAGES)
