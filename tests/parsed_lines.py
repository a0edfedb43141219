"""Lines of definitions, parsed once: each declaration of all tables parses the same 1,300 again."""

from __future__ import annotations

from functools import cache
from typing import Any

from datajoint import declare


def install() -> None:
    """Have DataJoint's parser of columns remember what it has parsed in this process."""
    parse = declare.attribute_parser.parse_string

    @cache
    def parsed(line: str, parse_all: bool) -> Any:
        return parse(line, parse_all=parse_all)

    def parse_string(line: str, *, parse_all: bool = False) -> Any:
        return parsed(line, parse_all).copy()  # DataJoint writes into it

    declare.attribute_parser.parse_string = parse_string
