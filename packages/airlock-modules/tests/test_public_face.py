import airlock_modules


def test_everything_public_is_there_and_documented() -> None:
    """What is exported exists, is sorted with constants first, and says what it is for."""
    names = [name for name in airlock_modules.__all__ if name != "__version__"]
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    undocumented = [name for name in names if not getattr(airlock_modules, name).__doc__]
    assert undocumented == []
