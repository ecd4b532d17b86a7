import gc

import pytest

from pipeline.imports import no_garbage


def test_what_was_imported_is_never_searched(monkeypatch):
    done = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append(gc.isenabled()))
    with no_garbage():
        assert done == []
    assert done == [False]  # nothing was searched before


def test_the_search_goes_on_after_an_import_that_failed():
    with pytest.raises(ImportError), no_garbage():
        raise ImportError
    assert gc.isenabled()
