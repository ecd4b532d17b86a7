"""Packages that MONAI imports for all that it can do, executed when something of them is used.

``import monai`` imports whatever MONAI can use: Matplotlib for its plots, scikit-learn for one
metric, SciPy's filters for ultrasound. That is half of the time of a start, and a run uses little
of it. Within :func:`deferring`, an import of such a package gives a module that is executed when
something asks for one of its names, as ``importlib.util.LazyLoader`` of the standard library does.
So all of MONAI works, and so do the imports of a user's own transforms.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, NamedTuple

DEFERRED: Mapping[str, Sequence[str]] = {
    "matplotlib": (),
    "matplotlib.pyplot": (),
    "scipy.signal": ("hilbert", "iirnotch"),
    "skimage.exposure": (),
    "skimage.measure": ("centroid", "find_contours"),
    "skimage.morphology": ("disk", "opening"),
    "skimage.segmentation": ("watershed",),
    "sklearn": (),
    "sklearn.linear_model": ("LogisticRegression",),
    "sklearn.metrics": ("silhouette_score",),
    "torch.distributed.optim": ("ZeroRedundancyOptimizer",),  # Ignite imports it, for one check
}
"""Modules, and the names that MONAI or Ignite imports from each: to call them, to annotate with
them, or to ask whether something is an instance."""


@contextmanager
def deferring(
    names: Mapping[str, Sequence[str]] = DEFERRED,
    stand_ins: Mapping[str, Mapping[str, Callable[..., Any]]] | None = None,
) -> Iterator[None]:
    """Defer modules that are imported within, until one of their names is used.

    A module that is imported already stays as it is.

    Args:
        names: modules, and the names of each that can be imported without executing it.
        stand_ins: further modules, and functions that stand for theirs of the same name for as
            long as nothing else executes the module.

    Example:
        >>> _ = sys.modules.pop("colorsys", None)
        >>> with deferring({"colorsys": ()}):
        ...     import colorsys
        >>> type(colorsys).__name__
        'DeferredModule'
        >>> colorsys.rgb_to_hsv(0, 0, 1)[2]
        1
        >>> type(colorsys).__name__
        'module'
    """
    finder = _Finder(names, stand_ins or {})
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.end()


class DeferredModule(ModuleType):
    """A module that is executed when it is asked for a name that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        finder = _state(self).finder
        if name in finder.stand_ins.get(self.__name__, ()):
            return finder.stand_ins[self.__name__][name]
        if finder.is_waiting(self, name):
            return DeferredName(self, name)
        _execute(self)
        return ModuleType.__getattribute__(self, name)


class DeferredName:
    """A function or class that is imported when it is called, or asked about its instances."""

    def __init__(self, module: ModuleType, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, or an instance of the class."""
        return self._value()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._value())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._value())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._value(),)

    def _value(self) -> Any:
        return getattr(self._module, self._name)


class _State(NamedTuple):
    """What executes a deferred module, once."""

    finder: "_Finder"
    loader: Any
    lock: AbstractContextManager[Any]
    begun: list[bool]


class _Finder(MetaPathFinder, Loader):
    """Finds the modules to defer, and makes them without executing them."""

    def __init__(
        self,
        names: Mapping[str, Sequence[str]],
        stand_ins: Mapping[str, Mapping[str, Callable[..., Any]]],
    ) -> None:
        self.names = names
        self.stand_ins = stand_ins
        self.is_active = True
        self.modules: list[ModuleType] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that Python itself finds, with this loader before its own."""
        package = sys.modules.get(fullname.rpartition(".")[0])
        is_named = fullname in self.names or fullname in self.stand_ins
        if not self.is_active or not (is_named or isinstance(package, DeferredModule)):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader_state = _State(self, spec.loader, RLock(), [])
            spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Keep the module for later."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = _state(module).loader
        module.__class__ = DeferredModule
        self.modules.append(module)

    def is_waiting(self, module: ModuleType, name: str) -> bool:
        """Whether a name is imported without executing its module."""
        return self.is_active and name in self.names.get(module.__name__, ())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Import as usual, what an executed module imports."""
        before, self.is_active = self.is_active, False
        try:
            yield
        finally:
            self.is_active = before

    def end(self) -> None:
        """Defer no further module; an import of a submodule executes its package first."""
        self.is_active = False
        for module in self.modules:
            if isinstance(module, DeferredModule):
                vars(module).pop("__path__", None)


def _state(module: ModuleType) -> _State:
    assert module.__spec__ is not None
    state: _State = module.__spec__.loader_state
    return state


def _execute(module: ModuleType) -> None:
    """Execute a deferred module, after its package; what it imports is imported as usual."""
    state = _state(module)
    with state.lock:
        package = sys.modules.get(module.__name__.rpartition(".")[0])
        if isinstance(package, DeferredModule):
            _execute(package)
        if state.begun:  # in a circle of imports, or by another thread, which ended
            return
        assert module.__spec__ is not None
        if module.__spec__.submodule_search_locations is not None:
            module.__path__ = module.__spec__.submodule_search_locations
        state.begun.append(True)
        try:
            with state.finder.paused():
                state.loader.exec_module(module)
        except BaseException:
            state.begun.clear()
            raise
        module.__class__ = ModuleType
