"""YAML from outside: numbers as people write them, no key twice, and nothing that grows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tasks_lib.documents import read_file
from tasks_lib.errors import ParameterError, printable, raise_all

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 50
# With what aliases repeat, which takes a few characters: ten of ten of ten ...
MAX_NODES = 1_000_000
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_NAMED = {
    "int": "a number", "float": "a number", "bool": "true or false", "null": "null",
    "timestamp": "a date", "seq": "a list", "map": "a mapping",
}  # fmt: skip


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, whose every failure is a `yaml.YAMLError` that names the place."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Make a node, unless it lies too deep."""
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise yaml.MarkedYAMLError(
                    problem=f"is nested more than {MAX_DEPTH} deep",
                    problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
                )
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Make a value; whatever is wrong with its text is said of its place."""
        try:
            value = super().construct_object(node, deep=deep)
            if type(value) is int:
                str(value)  # which Python refuses for thousands of digits, also of hexadecimal ones
            return value
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # of int(), float(), dates
            problem = f"is no {node.tag.rpartition(':')[2]}"
            if "Exceeds the limit" in str(error):
                problem = "is a whole number of thousands of digits"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


# YAML 1.1, which PyYAML reads, takes 1e-3 for text: its numbers with an exponent need a point.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+\Z"),
    list("-+.0123456789"),
)


def read_yaml(
    field: str,
    path: str | Path,
    text_keys: bool = True,
    max_bytes: int = MAX_BYTES,
    text_at: str | None = None,
    errors: list[ParameterError] | None = None,
) -> Any:
    """Return what a YAML file says.

    Parameters
    ----------
    field : str
        What the file is called in messages.
    path : str or Path
    text_keys : bool
        Whether every key must be text.
    max_bytes : int
    text_at : str, optional
        Regular expression of the places ("cohorts[0].network") whose values must be text.
    errors : list, optional
        What is wrong with keys and single values is appended here, and the rest is returned: None
        where there is no rest. Without it that is raised.

    Raises
    ------
    ParameterError
        Where the file cannot be read, is not YAML, or is nested or repeats itself too much; for
        every key that is there twice or is no text, and every number that means another one than
        it looks like (010 is 8, 1:30 is 90), as `ParameterErrors` where there are several.
        Messages name line and column.
    """
    found: list[ParameterError] = []
    content = read_file(field, path, max_bytes, "name a readable YAML file")
    try:
        loader = _Loader(content)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {}, set())
            _Checks(text_keys, text_at, found).look_at(node, "")
            if errors is None:
                raise_all(found)
            else:
                errors += found
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        if found:
            return None  # a key that no mapping can have, which has been named
        problem, remedy = _said(error)
        raise ParameterError(field, str(path), f"is not YAML: {problem}", remedy) from None
    except RecursionError:
        raise ParameterError(
            field, str(path), "is not YAML: it is nested too deep", "write it flatter"
        ) from None


def _said(error: yaml.YAMLError) -> tuple[str, str]:
    """Return what is wrong, with its place, and the remedy."""
    if isinstance(error, yaml.reader.ReaderError):
        remedy = "save the file as text in UTF-8"
        if isinstance(error.character, int):
            return f"character {error.character:#x} at {error.position} is not allowed", remedy
        byte = bytes(error.character)[:1].hex()
        return f"byte 0x{byte} at {error.position} is not {error.encoding}", remedy
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    words = printable(f"{context}, {problem}" if context else problem)
    place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    remedy = "write spaces in place of the tab" if r"'\t'" in words else "mend the named line"
    return f"{place}{words[:300]}", remedy


def _count(node: Node, known: dict[int, int], within: set[int]) -> int:
    """Return the number of nodes below and with one, each as often as it is repeated."""
    if isinstance(node, ScalarNode):
        return 1
    if id(node) in known:
        return known[id(node)]
    if id(node) in within:
        raise yaml.MarkedYAMLError(problem="contains itself", problem_mark=node.start_mark)
    within.add(id(node))
    children = node.value
    if isinstance(node, MappingNode):
        children = [part for pair in node.value for part in pair]
    total = 1 + sum(_count(child, known, within) for child in children)
    within.discard(id(node))
    if total > MAX_NODES:
        raise yaml.MarkedYAMLError(
            problem=f"repeats itself by aliases to more than {MAX_NODES} values",
            problem_mark=node.start_mark,
        )
    known[id(node)] = total
    return total


class _Checks:
    """Checks of the keys and the values of a document, at any depth."""

    def __init__(self, text_keys: bool, text_at: str | None, errors: list[ParameterError]) -> None:
        self._text_keys, self._text_at, self._errors = text_keys, text_at, errors
        self._seen: set[int] = set()

    def look_at(self, node: Node, path: str) -> None:
        """Append what is wrong with a node and those below it."""
        if isinstance(node, ScalarNode):
            self._look_at_value(node, path)
            return
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if isinstance(node, SequenceNode):
            for number, child in enumerate(node.value):
                self.look_at(child, f"{path}[{number}]")
            return
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                problem = f"has a key that is no text, line {line}"
                self._add(path or "FILE", "{...}", problem, "write name: value")
                continue
            written = f"{path}.{key.value}" if path else key.value
            if self._text_keys and key.tag not in (_TEXT, _MERGE):
                self._add(
                    written, key.value, f"is {_kind(key)} and no name, line {line}", _quoted(key)
                )
            name = (key.tag, key.value)
            if name not in lines:
                lines[name] = line
            elif key.tag != _MERGE:  # of two merges the first one's fields count, as they should
                problem = f"is there twice, in line {lines[name]} and in line {line}"
                self._add(written, key.value, problem, "remove one")
            self.look_at(value, written)

    def _look_at_value(self, node: ScalarNode, path: str) -> None:
        text, place = node.value, f"line {node.start_mark.line + 1}"
        if self._text_at is not None and re.fullmatch(self._text_at, path) and node.tag != _TEXT:
            self._add(path, text, f"is {_kind(node)} and no text, {place}", _quoted(node))
        elif node.tag == _INT and re.fullmatch(r"[-+]?0[0-7_]*[1-7][0-7_]*", text):
            digits = text.replace("_", "")
            remedy = f"write {int(digits)}; for {int(digits, 8)} write that"
            self._add(path, text, f"is read as a number to the base of 8, {place}", remedy)
        elif node.tag in (_INT, _FLOAT) and ":" in text:
            remedy = f"write it as one number, or {_quoted(node)}"
            self._add(path, text, f"is read as a number to the base of 60, {place}", remedy)

    def _add(self, path: str, value: str, problem: str, remedy: str) -> None:
        self._errors.append(ParameterError(path, value, problem, remedy))


def _kind(node: ScalarNode) -> str:
    kind = node.tag.rpartition(":")[2]
    return _NAMED.get(kind, f"a {kind}")


def _quoted(node: ScalarNode) -> str:
    return f'quote it: "{node.value}"' if node.value else "write a name"
