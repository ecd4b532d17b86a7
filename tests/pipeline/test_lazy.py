import pytest

import pipeline.bundle
import pipeline.evaluation
import transforms
from pipeline.lazy import lazy_names


@pytest.mark.parametrize("package", [pipeline.bundle, pipeline.evaluation, transforms])
def test_every_name_of_a_package_can_be_imported(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert callable(value)
        assert value.__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_a_name_is_no_module():
    with pytest.raises(ValueError, match="prepare is a name and a module"):
        lazy_names("a", {"prepare": "prepare"})
