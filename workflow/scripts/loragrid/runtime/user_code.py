"""The user's own code, named in the configuration. It is loaded from its file, and its exceptions become one sentence."""

from __future__ import annotations

import ast
import importlib.util
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loragrid.errors import UserError, nearest
from loragrid.runtime.job import log
from loragrid.runtime.redaction import redacted


def load_function(function: str) -> Callable[..., Any]:
    """The function that `path.py:name` names. Raises whatever the file raises."""
    path, _, name = function.rpartition(":")
    # The module gets a name of its own: the file may have the name of a package, which must not be replaced.
    module_name = f"user_code_{Path(path).stem}"
    specification = importlib.util.spec_from_file_location(module_name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Data classes look up their module.
    sys.modules[module_name] = module
    specification.loader.exec_module(module)
    loaded: Callable[..., Any] = getattr(module, name)
    if not callable(loaded):
        raise TypeError(f"'{name}' is no function")
    return loaded


def problem_of_function(function: str, keywords: Collection[str]) -> str | None:
    """What is wrong with the function that `path.py:name` names, as far as its file tells without being run; None if nothing is.

    Args:
        function: in a file that is there.
        keywords: of the call.
    """
    path, _, name = function.rpartition(":")
    if (tree := parsed(path)) is None or isinstance(tree, str):
        return tree
    bound: dict[str, list[ast.AST]] = {}
    for binding, node in _bindings(tree.body):
        bound.setdefault(binding, []).append(node)
    # Code that runs may bind any name.
    may_be_bound = {"*", "__getattr__"} & bound.keys() or any(isinstance(node, ast.Global) for node in ast.walk(tree))
    if name not in bound:
        functions = [known for known, nodes in bound.items() if not isinstance(nodes[-1], ast.Import | ast.ImportFrom)]
        return None if may_be_bound else f"'{path}' has no function '{name}'; {nearest(name, functions)}"
    problems = [_problem_of_binding(node, keywords) for node in bound[name]]
    return None if None in problems else f"'{path}': '{name}' {problems[-1]}."


def parsed(path: str | Path) -> ast.Module | str | None:
    """The syntax tree of a Python file, or what is wrong with the file; None if it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(Path(path).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"'{path}' cannot be read ({error.strerror})."
    except SyntaxError as error:
        where = f", line {error.lineno}," if error.lineno else ""
        return f"'{path}'{where} is not valid Python ({error.msg})."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"'{path}' is not valid Python ({error})."


def _bindings(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The names that the statements of a module bind, each with what says what it is; `*` for all names of another module."""
    for statement in statements:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name.partition(".")[0], statement) for alias in statement.names)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                assert isinstance(statement.value, ast.expr)
                yield name, statement.value
            case _:
                own = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
                yield from ((node.id, node) for node in own)
                for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                    for inner in getattr(statement, field, ()):
                        yield from _bindings([inner] if isinstance(inner, ast.stmt) else inner.body)


def _problem_of_binding(node: ast.AST, keywords: Collection[str]) -> str | None:
    """Why what a name stands for cannot be called with keywords; None if it can, or if only running the code would tell."""
    match node:
        case ast.AsyncFunctionDef():
            return "is a coroutine ('async def'); expected a function"
        case ast.Constant() | ast.List() | ast.Tuple() | ast.Dict() | ast.Set() | ast.JoinedStr():
            return "is a value; expected a function"
        case ast.FunctionDef(decorator_list=[]) | ast.Lambda():
            return _problem_of_arguments(node.args, keywords)
    return None


def _problem_of_arguments(arguments: ast.arguments, keywords: Collection[str]) -> str | None:
    named = [*arguments.posonlyargs, *arguments.args]
    needed = [argument.arg for argument in named[: len(named) - len(arguments.defaults)]]
    needed += [one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    by_place = {argument.arg for argument in arguments.posonlyargs}
    taken = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}
    if closed := [name for name in needed if name in by_place]:
        return f"takes '{closed[0]}' by its place only; it is called with the keywords {', '.join(keywords)}"
    if arguments.kwarg is None and (surplus := [name for name in keywords if name not in taken]):
        return f"does not take '{surplus[0]}'; it is called with the keywords {', '.join(keywords)}"
    if lacking := [name for name in needed if name not in keywords]:
        return f"needs '{lacking[0]}'; it is called with the keywords {', '.join(keywords)}"
    return None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an exception of the user's code into a sentence; its traceback goes to the log.

    Args:
        what: names the code.

    Raises:
        UserError: if the block raises anything.
    """
    try:
        yield
    except Exception as error:
        log.info("%s failed", what, exc_info=True)
        raise UserError(f"{what} failed: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Type and message of an exception, in one line and without secrets."""
    return redacted(f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": "))
