import sys
import threading
from types import ModuleType

import pytest

from pipeline.deferred import DeferredModule, deferring

PACKAGE = """
import sys
EXECUTED = [name for name in sys.modules if name.startswith("slow")]
class Thing:
    pass
def double(number):
    return 2 * number
from slow.inner import VALUE
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package ``slow`` with a module ``inner``, which is forgotten after the test."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "slow" / "inner.py").write_text("import slow\nVALUE = 3\nEARLY = slow.Thing\n")
    (tmp_path / "slow" / "broken.py").write_text("raise ImportError('no driver')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "slow"]:
        del sys.modules[name]


def is_executed(name: str) -> bool:
    return "EXECUTED" in vars(sys.modules[name]) or "EARLY" in vars(sys.modules[name])


def test_a_module_is_executed_when_a_name_is_asked_for():
    with deferring({"slow": ()}):
        import slow
    assert isinstance(slow, DeferredModule)
    assert not is_executed("slow")
    assert slow.VALUE == 3
    assert type(sys.modules["slow"]) is ModuleType
    with pytest.raises(AttributeError, match="nothing"):
        _ = slow.nothing


def test_what_a_user_imports_later_is_whole():
    with deferring({"slow": ()}):
        import slow  # noqa: F401
    from slow import Thing
    from slow.inner import EARLY

    assert EARLY is Thing


def test_a_submodule_executes_its_package_first():
    with deferring({"slow": ()}):
        import slow.inner
    assert not is_executed("slow")
    assert not is_executed("slow.inner")
    assert slow.inner.EARLY is slow.Thing

    with deferring({"slow": ()}):
        assert slow.inner.VALUE == 3  # nothing that is there already is deferred


def test_a_submodule_that_is_imported_later_executes_its_package_first():
    with deferring({"slow": ()}):
        import slow
    import slow.inner

    assert is_executed("slow")
    assert slow.inner.EARLY is slow.Thing


def test_a_name_waits_until_it_is_used():
    with deferring({"slow": ("double", "Thing")}):
        from slow import Thing, double
    assert not is_executed("slow")
    assert double(4) == 8
    import slow

    class Special(Thing):
        pass

    assert Special.__mro__[1] is slow.Thing
    assert isinstance(Special(), Thing)
    assert issubclass(Special, Thing)
    assert not isinstance(3, Thing)
    assert isinstance(Thing(), slow.Thing)
    assert Thing.__name__ == "Thing"


def test_a_function_stands_in_until_the_module_is_executed():
    with deferring(stand_ins={"slow": {"double": lambda number: number}}):
        import slow
    assert slow.double(2) == 2
    assert not is_executed("slow")
    assert slow.VALUE == 3
    assert slow.double(2) == 4


def test_another_name_is_the_thing_itself():
    with deferring({"slow": ("double",)}):
        from slow import Thing
    import slow

    assert Thing is slow.Thing


def test_a_module_that_fails_says_so_each_time():
    with deferring({"slow.broken": ()}):
        import slow.broken
    for _ in range(2):
        with pytest.raises(ImportError, match="no driver"):
            _ = slow.broken.anything


def test_what_is_absent_is_absent():
    with deferring({"slow.absent": ()}), pytest.raises(ModuleNotFoundError):
        import slow.absent  # noqa: F401


def test_threads_wait_for_each_other():
    with deferring({"slow": ()}):
        import slow
    values = []
    threads = [threading.Thread(target=lambda: values.append(slow.VALUE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [3] * 8


def test_nothing_is_deferred_afterwards():
    finders = list(sys.meta_path)
    with pytest.raises(KeyError), deferring({"slow": ()}):
        raise KeyError
    assert sys.meta_path == finders
    import slow  # noqa: F401

    assert is_executed("slow")
