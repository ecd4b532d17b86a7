"""Judge an expression of a config (``$…``) by its syntax tree, without evaluating it.

MONAI passes the text after ``$`` to Python's ``eval``. A custom config may need a little of that:
arithmetic, joined lists, a condition, a list comprehension, a few functions of torch, and a few
methods of the objects that references (``@…``) stand for. Everything else is refused, whatever it
would do. A path has one form: ``$@key + '/literal'``.
"""

import ast
import re
from collections.abc import Iterable
from typing import NamedTuple

from monai.bundle.reference_resolver import ReferenceResolver

REFERENCE = re.compile(r"@@?\w+(?:(?:::|#)\w+)*")
"""A reference, as ``@train#trainer``; to MONAI ``::`` and ``#`` mean the same."""
PLACEHOLDER = "reference_"
"""The name that replaces a reference before the text is parsed as Python."""
MAX_EXPRESSION_CHARACTERS = 300
PATH = re.compile(r"\$@(\w+) \+ '((?:/[\w-][\w.-]*)+/?)'( \+ @run_name)?")
"""A path: a folder's key, a literal below it, and nothing else."""
MAX_CONSTANT = 10_000
"""Largest absolute value of a number."""
ALLOWED_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


class AllowedNames(NamedTuple):
    """The names that expressions may use.

    Attributes:
        names: whole dotted names, as ``torch.device``; they may also be called.
        methods: methods of the object that a reference stands for, as ``run``.
        attributes: attributes of such an object, which are read and not called.
        paths: keys of folders, see :data:`PATH`.
    """

    names: frozenset[str]
    methods: frozenset[str]
    attributes: frozenset[str]
    paths: frozenset[str]


def judge_expression(text: str, allowed: AllowedNames) -> str:
    """Return the reason why an expression is refused; empty: it is accepted.

    Args:
        text: the expression, with its ``$``.
        allowed: the names that it may use.

    Example:
        >>> none = frozenset()
        >>> few = AllowedNames(frozenset({"torch.device"}), frozenset({"run"}), none, none)
        >>> judge_expression("$@train#trainer.run()", few)
        ''
        >>> judge_expression("$torch.load('a.pt')", few)
        'calls torch.load'
        >>> judge_expression("$import os", few)
        'imports'
    """
    if not text.isascii() or not text.isprintable():
        return "letters beyond printable ASCII"
    if path := PATH.fullmatch(text):
        return "" if path[1] in allowed.paths else f"{path[1]} is no folder's key"
    body = text.removeprefix("$").strip()
    if re.match(r"(import|from)\b", body):
        return "imports"
    if len(body) > MAX_EXPRESSION_CHARACTERS:
        return f"{len(body)} characters, more than {MAX_EXPRESSION_CHARACTERS}"
    if PLACEHOLDER in body:
        return f"the name {PLACEHOLDER}"
    code = REFERENCE.sub(PLACEHOLDER, body)
    if "#" in code or "::" in code:
        return "a '#' outside a reference, which MONAI reads as '::'"
    try:
        tree = ast.parse(code, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "not a Python expression"
    return _Judge(allowed).judge(tree.body)


def is_evaluated(value: object) -> bool:
    """Return whether MONAI evaluates a value, or puts another in its place.

    Example:
        >>> is_evaluated("$1 + 1"), is_evaluated("@window"), is_evaluated("image")
        (True, True, False)
    """
    return isinstance(value, str) and value.startswith(("$", "@"))


def as_evaluated(text: str) -> str:
    """Return an expression or a reference as MONAI evaluates it, after its own rewriting.

    Example:
        >>> as_evaluated("$@train#dataset + [1]")
        "__local_refs['train::dataset'] + [1]"
    """
    rewritten = ReferenceResolver.normalize_id(text).removeprefix("$")
    return REFERENCE.sub(lambda match: f"__local_refs['{match[0].lstrip('@')}']", rewritten)


class _Judge:
    """Walks a syntax tree.

    Each method returns the reason why its kind of node is refused, or an empty text. A kind of
    node without a method is refused.
    """

    def __init__(self, allowed: AllowedNames) -> None:
        self.allowed = allowed
        self.bound: tuple[str, ...] = ()

    def judge(self, node: ast.AST) -> str:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        reason: str = method(node) if method else f"holds {type(node).__name__}"
        return reason

    def _all(self, nodes: Iterable[ast.AST]) -> str:
        return next(filter(None, map(self.judge, nodes)), "")

    def _constant(self, node: ast.Constant) -> str:
        value = node.value
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return ""
        if not isinstance(value, int | float):
            return f"a constant of {type(value).__name__}"
        return "" if abs(value) <= MAX_CONSTANT else f"{value}, more than {MAX_CONSTANT}"

    def _text(self, value: str) -> str:
        if PLACEHOLDER in value or any(sign in value for sign in "@$%"):
            return f"{value!r} is also read by MONAI"
        if re.search(r"[/\\:~]|\.\.", value):
            return f"{value!r} may be a path; expected $@key + '/literal' as a whole"
        return ""

    def _binop(self, node: ast.BinOp) -> str:
        if not isinstance(node.op, ALLOWED_OPERATORS):
            return f"holds {type(node.op).__name__}"
        if isinstance(node.op, ast.Pow) and not _at_most_one(node.left):
            return "a power of more than 1"
        if isinstance(node.op, ast.Mult) and any(map(_repeats, (node.left, node.right))):
            return "repeats a text or a list"
        return self._all((node.left, node.right))

    def _unaryop(self, node: ast.UnaryOp) -> str:
        return self.judge(node.operand)

    def _ifexp(self, node: ast.IfExp) -> str:
        return self._all((node.test, node.body, node.orelse))

    def _compare(self, node: ast.Compare) -> str:
        return self._all((node.left, *node.comparators))

    def _list(self, node: ast.List) -> str:
        return self._all(node.elts)

    def _tuple(self, node: ast.Tuple) -> str:
        return self._all(node.elts)

    def _listcomp(self, node: ast.ListComp) -> str:
        first, *others = node.generators
        if others or first.ifs or first.is_async or not isinstance(first.target, ast.Name):
            return "more than one simple loop"
        name = first.target.id
        if name in (PLACEHOLDER, *self.bound) or any(
            n.split(".")[0] == name for n in self.allowed.names
        ):
            return f"binds the name {name} again"
        if reason := self.judge(first.iter):
            return reason
        self.bound += (name,)
        reason = self.judge(node.elt)
        self.bound = self.bound[:-1]
        return reason

    def _subscript(self, node: ast.Subscript) -> str:
        return self._all((node.value, node.slice))

    def _name(self, node: ast.Name) -> str:
        accepted = node.id == PLACEHOLDER or node.id in self.bound or node.id in self.allowed.names
        return "" if accepted else f"the name {node.id}"

    def _attribute(self, node: ast.Attribute) -> str:
        if _dotted(node) in self.allowed.names:
            return ""
        if node.attr not in self.allowed.attributes:
            return f"walks to {_dotted(node) or node.attr}"
        return self.judge(node.value)

    def _call(self, node: ast.Call) -> str:
        if not self._may_call(node.func):
            return f"calls {_dotted(node.func) or ast.unparse(node.func)}"
        if any(keyword.arg is None for keyword in node.keywords):
            return "unpacks arguments"
        return self._all((*node.args, *(keyword.value for keyword in node.keywords)))

    def _may_call(self, function: ast.expr) -> bool:
        if _dotted(function) in self.allowed.names:
            return True
        return (
            isinstance(function, ast.Attribute)
            and function.attr in self.allowed.methods
            and isinstance(function.value, ast.Name)
            and function.value.id == PLACEHOLDER
        )


def _at_most_one(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, int | float) and 0 <= value <= 1


def _repeats(node: ast.AST) -> bool:
    return isinstance(node, ast.List | ast.Tuple | ast.ListComp) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _dotted(node: ast.AST) -> str:
    """Return the whole name, as ``torch.cuda.is_available``; empty: no name at its beginning."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""
