from airlock_modules.reading.option_table import FlagSet, FlagSpec

FORCE = FlagSpec(names=("-f", "--force"))
LEASE = FlagSpec(names=("--force-with-lease",), takes="optional")
QUIET = FlagSpec(names=("-q", "--quiet", "--quite"))
FLAGS = FlagSet.of([FORCE, LEASE, QUIET])


def test_a_whole_name_is_one_flag_though_others_begin_with_it() -> None:
    """The tool prefers the exact name, too."""
    assert FLAGS.find("--force", abbreviations=True) == (FORCE,)
    assert FLAGS.find("-f", abbreviations=True) == (FORCE,)


def test_a_beginning_means_all_flags_that_have_it() -> None:
    """Two names of one flag do not make a beginning ambiguous."""
    assert FLAGS.find("--forc", abbreviations=True) == (FORCE, LEASE)
    assert FLAGS.find("--force-", abbreviations=True) == (LEASE,)
    assert FLAGS.find("--qui", abbreviations=True) == (QUIET,)
    assert FLAGS.find("--z", abbreviations=True) == ()


def test_without_abbreviations_a_beginning_means_nothing() -> None:
    """Names must then be whole; two dashes alone are never a beginning."""
    assert FLAGS.find("--forc", abbreviations=False) == ()
    assert FLAGS.find("--", abbreviations=True) == ()


def test_an_own_flag_goes_before_a_shared_one_of_the_same_name() -> None:
    """Behind a subcommand a letter may mean something else than before it."""
    own = FlagSpec(names=("-q",), takes="value")
    assert FlagSet.of([own], shared=[QUIET]).find("-q", abbreviations=False) == (own,)
