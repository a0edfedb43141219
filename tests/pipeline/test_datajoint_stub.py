"""What typings/ says of DataJoint is so in the DataJoint that is installed."""

import ast
import importlib
import inspect
from pathlib import Path

import datajoint
import psycopg2.extensions
import pymysql.cursors
import pytest
from datajoint import autopopulate, connection, user_tables

STUB = Path(__file__).parents[2] / "typings" / "datajoint" / "__init__.pyi"
# What DataJoint has, and does not export.
INSIDE = {
    "_Attribute": "heading.Attribute",
    "_Heading": "heading.Heading",
    "_Job": "jobs.Job",
    "_Query": "expression.QueryExpression",
    "_TableMeta": "user_tables.TableMeta",
    "_UserTable": "user_tables.UserTable",
}
CURSORS = (psycopg2.extensions.cursor, pymysql.cursors.Cursor, connection.EmulatedCursor)
HELPERS = {"_OfInstanceAndClass", "_MethodOfInstanceAndClass", "_Fetch1", "_Cursor"}
BOTH = ("_OfInstanceAndClass", "_MethodOfInstanceAndClass")
# DataJoint asks whether a table has them; whoever makes a Lookup table writes them.
LEFT_TO_SUBCLASSES = {("Lookup", "contents")}


def parsed():
    return ast.parse(STUB.read_text(encoding="utf-8")).body


def named(name):
    found = datajoint
    for part in INSIDE.get(name, name).split("."):
        found = getattr(found, part)
    return found


CLASSES = {
    node.name: node
    for node in parsed()
    if isinstance(node, ast.ClassDef) and node.name not in HELPERS
}
MEMBERS = [
    (cls, node.name if isinstance(node, ast.FunctionDef) else node.target.id, node)
    for cls, body in CLASSES.items()
    for node in body.body
    if isinstance(node, ast.FunctionDef | ast.AnnAssign)
]


def is_overload(node):
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


def decorators(node):
    return {d.id for d in getattr(node, "decorator_list", ()) if isinstance(d, ast.Name)}


def compare_parameters(node, function, n_bound=0):
    """The parameters of the stub are those of the function, in its order and with its defaults."""
    real = dict(list(inspect.signature(function).parameters.items())[n_bound:])
    takes_more = any(p.kind is p.VAR_KEYWORD for p in real.values())
    args = node.args
    by_place = [a.arg for a in (*args.posonlyargs, *args.args)][n_bound:]
    defaults = dict(zip(reversed(by_place), reversed(args.defaults), strict=False))
    defaults |= dict(zip([a.arg for a in args.kwonlyargs], args.kw_defaults, strict=True))
    positional = [
        n for n, p in real.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    assert by_place == positional[: len(by_place)]
    for name in (*by_place, *(a.arg for a in args.kwonlyargs)):
        if name not in real:
            assert takes_more, f"{name}: is no parameter"
        elif defaults.get(name) is None:
            assert real[name].default is inspect.Parameter.empty
        else:
            assert ast.literal_eval(defaults[name]) == real[name].default
    needed = {
        n
        for n, p in real.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    assert needed <= set(by_place) | {a.arg for a in args.kwonlyargs}
    if args.vararg is not None:
        assert any(p.kind is p.VAR_POSITIONAL for p in real.values())


def test_what_the_stub_imports_and_defines_is_there():
    for node in parsed():
        if isinstance(node, ast.ImportFrom) and node.module.startswith("datajoint"):
            for name in node.names:
                assert hasattr(importlib.import_module(node.module), name.name), name.name
        elif isinstance(node, ast.FunctionDef):
            compare_parameters(node, named(node.name))
        elif isinstance(node, ast.AnnAssign) and node.target.id not in ("_Row", "_Restriction"):
            assert hasattr(datajoint, node.target.id)


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "name", "node"), MEMBERS, ids=[f"{c}.{n}" for c, n, _ in MEMBERS])
def test_what_a_class_of_the_stub_has(cls, name, node):
    if (cls, name) in LEFT_TO_SUBCLASSES:
        return
    real = named(cls)
    found = inspect.getattr_static(real, name, None)
    if found is None:  # set when one is made
        sources = "".join(inspect.getsource(c) for c in real.__mro__ if c.__module__ != "builtins")
        assert isinstance(node, ast.AnnAssign) or cls == "_Attribute"
        assert f"self.{name} = " in sources or f"{name} = None" in sources
    elif isinstance(node, ast.FunctionDef):
        if "property" in decorators(node):
            assert isinstance(found, property)
        elif not is_overload(node):
            compare_parameters(node, getattr(found, "__func__", found), n_bound=1)  # of the class


@pytest.mark.parametrize(("cls", "name", "node"), MEMBERS, ids=[f"{c}.{n}" for c, n, _ in MEMBERS])
def test_what_may_be_asked_of_a_class_of_tables(cls, name, node):
    """DataJoint makes a table for some attributes alone, asked of a class."""
    helper = decorators(node) or {
        n.id for n in ast.walk(getattr(node, "annotation", node)) if isinstance(n, ast.Name)
    }
    by_class = (
        name in user_tables.supported_class_attrs
        or isinstance(inspect.getattr_static(user_tables.TableMeta, name, None), property)
        or type(inspect.getattr_static(named(cls), name, None))
        is autopopulate.AutoPopulate._JobsDescriptor
    )
    if helper & set(BOTH):
        assert by_class
    elif cls in ("_Query", "Table") and not name.startswith("_"):
        assert not by_class or name == "definition"


def test_cursors_and_one_row():
    helpers = {n.name: n for n in parsed() if isinstance(n, ast.ClassDef)}
    for node in helpers["_Cursor"].body:
        if isinstance(node, ast.FunctionDef):
            for cursor in CURSORS:
                source = inspect.getsource(cursor) if cursor is not CURSORS[0] else ""
                assert hasattr(cursor, node.name) or f"self.{node.name} = " in source
    calls = [n for n in helpers["_Fetch1"].body if isinstance(n, ast.FunctionDef)]
    real = inspect.signature(named("_Query").fetch1).parameters
    assert real["attrs"].kind is inspect.Parameter.VAR_POSITIONAL
    for call in calls:
        assert [a.arg for a in call.args.kwonlyargs] == ["squeeze"] and "squeeze" in real
