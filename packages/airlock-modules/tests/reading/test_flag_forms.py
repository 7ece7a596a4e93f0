import pytest

from airlock_modules import FlagSpec
from airlock_modules.reading.flag_forms import consumes, cut, split_glued


@pytest.mark.parametrize(
    ("text", "parts"),
    [("--x", ("--x", None)), ("--x=", ("--x", "")), ("--x=a=b", ("--x", "a=b"))],
)
def test_a_joined_value_begins_at_the_first_equals_sign(
    text: str, parts: tuple[str, str | None]
) -> None:
    """An empty value is one, too."""
    assert cut(text) == parts


def test_a_glued_value_may_have_an_equals_sign_of_its_own() -> None:
    """Both readings are kept."""
    assert split_glued("a=b") == ("a=b",)
    assert split_glued("=a") == ("=a", "a")


def test_only_some_flags_take_following_words() -> None:
    """An optional value is joined, so it takes none."""
    assert consumes(FlagSpec(names=("-x",), takes="optional")) == "nothing"
    assert consumes(FlagSpec(names=("-x",), takes="value")) == "value"
