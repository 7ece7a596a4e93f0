import pytest

from airlock_modules import is_name


@pytest.mark.parametrize("name", ["git", "a", "7z", "x86_64-linux-gnu.gcc", "a" * 64, "A.b_c-d"])
def test_ordinary_names_pass(name: str) -> None:
    """Letters, digits, dots, underscores and dashes make a name of up to 64 characters."""
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".git",
        "-x",
        "_a",
        "a/b",
        "..",
        "a b",
        "git\n",
        "gït",
        "a\0",
        "a" * 65,
        "\udc80",
        "a\u200b",
    ],
)
def test_paths_options_and_hidden_characters_are_no_names(name: str) -> None:
    """Paths, options and names that look like others are refused."""
    assert not is_name(name)
