"""Fields of settings, declared once: default, range, unit and text stand at the field.

From there come the check when a dataclass is made (`check_parameters`), its docstring
(`documented`), the column of the table that stores it (`pipeline.tables.parameters`) and the page
docs/parameters.md::

    @documented
    @dataclass(frozen=True)
    class Settings:
        \"\"\"Settings of something.\"\"\"

        tau: float = number(10.0, exclusive_minimum=0.0, unit="ms", text="time constant")

        def __post_init__(self) -> None:
            check_parameters(self)
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypeVar

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    check_int,
    collecting,
    raise_all,
)
from tasks_lib.stored_values import are_stored

Kind = Literal["whole", "number", "flag", "choice", "name", "mapping"]
Settings = TypeVar("Settings")
_KEY = "parameter"
_HEADING = "Attributes\n----------"
_TYPES = {"whole": "int", "number": "float", "flag": "bool", "name": "str", "mapping": "dict"}


@dataclass(frozen=True)
class Parameter:
    """Declaration of a field: range, unit, text and column.

    Attributes
    ----------
    kind : {"whole", "number", "flag", "choice", "name", "mapping"}
        What its values are: whole numbers, numbers, true or false, one of some texts, a text, or
        a mapping.
    text : str
        What it means, in one short line without a full stop.
    details : str
        What else there is to say, in whole sentences.
    unit : str
        Of numbers, as in "in ``unit``".
    minimum, maximum, exclusive_minimum, exclusive_maximum : float, optional
        Range of numbers; the exclusive bounds do not belong to it.
    choices : tuple of str
    nullable : bool
        Whether None is a value.
    derived : str
        What None is replaced by when the settings are made, in words; "" where it is not.
    least, most : float, optional
        Range of what is entered, within that above; rows of before may hold other values, which
        stay readable (`tasks_lib.stored_values`).
    or_zero : bool
        Whether 0 is entered too, which means none.
    because : str
        Why nothing beyond ``least`` or ``most`` can be meant, after "field = value": "is ...".
    """

    kind: Kind
    text: str
    details: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = False
    derived: str = ""
    least: float | None = None
    most: float | None = None
    or_zero: bool = False
    because: str = ""

    def checked(self, name: str, value: Any) -> Any:
        """Return a value in its normal form; raise `ParameterError` where it cannot be used."""
        if value is None and (self.nullable or self.derived):
            return None
        if self.kind == "whole":
            low, high = (None if m is None else int(m) for m in (self.minimum, self.maximum))
            return self._meant(name, check_int(name, value, low, high))
        if self.kind == "number":
            made = check_float(
                name, value, self.minimum, self.maximum,
                self.exclusive_minimum, self.exclusive_maximum,
            )  # fmt: skip
            return self._meant(name, made)
        if self.kind == "flag":
            return check_bool(name, value)
        if self.kind == "choice":
            return check_choice(name, value, self.choices)
        # The dataclass checks the rest: it knows the names or the keys.
        if self.kind == "name" and not isinstance(value, str):
            raise ParameterError(name, value, "is no text", "write a name")
        if self.kind == "mapping" and not isinstance(value, Mapping):
            raise ParameterError(name, value, "is not a set of named values", "write name: value")
        return value

    def _meant(self, name: str, value: Any) -> Any:
        """Return a number; refuse what nobody can mean, unless it is stored already."""
        is_low = self.least is not None and value < self.least and not (self.or_zero and not value)
        is_high = self.most is not None and value > self.most
        if is_low or is_high:
            bound = f"at least {self.least:g}" if is_low else f"at most {self.most:g}"
            remedy = f"use {bound}" + (", or 0 for none" if self.or_zero and is_low else "")
            refuse_unmeant(name, value, self.because, remedy)
        return value

    @property
    def summary(self) -> str:
        """Text and unit in one line."""
        return f"{self.text}, in {self.unit}" if self.unit else self.text

    @property
    def range(self) -> str:
        """The values that are accepted, in words or as an interval; "" where any are."""
        if self.kind == "choice":
            return ", ".join(self.choices)
        least = self.minimum if self.least is None else self.least
        most = self.most
        if most is None and self.maximum != MAX_COUNT:
            most = self.maximum
        parts = (
            ("at least", least),
            ("more than", self.exclusive_minimum if self.least is None else None),
            ("at most", most),
            ("less than", self.exclusive_maximum),
        )
        words = " and ".join(f"{word} {bound:g}" for word, bound in parts if bound is not None)
        return f"0, or {words}" if self.or_zero else words


def whole(
    default: int | None,
    text: str,
    *,
    minimum: int | None = None,
    maximum: int | None = MAX_COUNT,
    unit: str = "",
    details: str = "",
    least: int | None = None,
    or_zero: bool = False,
    because: str = "",
) -> Any:
    """Return a field of whole numbers, which a column of them holds."""
    parameter = Parameter(
        "whole", text, details, unit, minimum, maximum,
        least=least, or_zero=or_zero, because=because,
    )  # fmt: skip
    return _field(default, parameter)


def number(
    default: float | None,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
    exclusive_maximum: float | None = None,
    unit: str = "",
    details: str = "",
    nullable: bool = False,
    derived: str = "",
    least: float | None = None,
    most: float | None = None,
    or_zero: bool = False,
    because: str = "",
) -> Any:
    """Return a field of finite numbers."""
    parameter = Parameter(
        "number", text, details, unit, minimum, maximum, exclusive_minimum, exclusive_maximum,
        nullable=nullable, derived=derived, least=least, most=most, or_zero=or_zero,
        because=because,
    )  # fmt: skip
    return _field(default, parameter)


def flag(default: bool | None, text: str, *, details: str = "", derived: str = "") -> Any:
    """Return a field that is true or false."""
    return _field(default, Parameter("flag", text, details, derived=derived))


def choice(default: str, choices: Sequence[str], text: str, *, details: str = "") -> Any:
    """Return a field that is one of some texts."""
    return _field(default, Parameter("choice", text, details, choices=tuple(choices)))


def name(default: str, text: str, *, details: str = "") -> Any:
    """Return a field that is the name of something, which the dataclass checks."""
    return _field(default, Parameter("name", text, details))


def mapping(text: str, *, details: str = "") -> Any:
    """Return a field that is a mapping, empty by default, which the dataclass checks."""
    return field(default_factory=dict, metadata={_KEY: Parameter("mapping", text, details)})


def field_of(settings: type[Any], name: str) -> Any:
    """Return a field with default, range, unit and text of another dataclass's field."""
    original = settings.__dataclass_fields__[name]
    return field(default=original.default, metadata=original.metadata)


def _field(default: Any, parameter: Parameter) -> Any:
    return field(default=default, metadata={_KEY: parameter})


def parameters_of(settings: type[Any] | Any) -> dict[str, Parameter]:
    """Return the declarations of a dataclass's fields by name."""
    return {f.name: f.metadata[_KEY] for f in fields(settings) if _KEY in f.metadata}


def check_parameters(instance: Any) -> None:
    """Check every field of a dataclass and put it into its normal form, while it is made.

    Raises
    ------
    ParameterError
        For each field that is wrong; where several are, as `ParameterErrors`.
    """
    errors: list[ParameterError] = []
    for name, parameter in parameters_of(instance).items():
        with collecting(errors):
            assign(instance, **{name: parameter.checked(name, getattr(instance, name))})
    raise_all(errors)


def refuse_unmeant(name: str, value: Any, problem: str, remedy: str) -> None:
    """Refuse a value that nobody can mean; one that is stored already is read as it is.

    Raises
    ------
    ParameterError
    """
    if not are_stored():
        raise ParameterError(name, value, problem, remedy)


def assign(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is made."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def default_of(settings: type[Any], name: str) -> str:
    """Return the default of a field as a submission has it, or what is said of it."""
    own: Field[Any] = settings.__dataclass_fields__[name]
    parameter: Parameter = own.metadata[_KEY]
    if parameter.derived:
        return parameter.derived
    if own.default is MISSING:
        return "{}"
    if own.default is None or isinstance(own.default, bool):
        return {None: "null", True: "true", False: "false"}[own.default]
    return f"{own.default:g}" if isinstance(own.default, float) else str(own.default)


def documented(settings: type[Settings]) -> type[Settings]:
    """Append the fields of a dataclass to its docstring, after attributes that stand there."""
    lines = []
    for name, parameter in parameters_of(settings).items():
        kind = _TYPES.get(parameter.kind) or "{" + ", ".join(map(repr, parameter.choices)) + "}"
        parts = [kind, "optional" if parameter.nullable else "", _default(settings, name)]
        lines.append(f"{name} : {', '.join(filter(None, parts))}")
        lines += textwrap.wrap(
            sentence(parameter), 96, initial_indent="    ", subsequent_indent="    "
        )
    said = inspect.cleandoc(settings.__doc__ or "")
    if _HEADING not in said:
        said += f"\n\n{_HEADING}"
    settings.__doc__ = "\n".join([said, *lines, ""])
    return settings


def _default(settings: type[Any], name: str) -> str:
    return f"default {default_of(settings, name)}"


def sentence(parameter: Parameter) -> str:
    """Return the documentation of a field: its text, range and details."""
    said = parameter.summary
    if parameter.kind != "name":
        said = said[0].upper() + said[1:]
    limits = parameter.range if parameter.kind != "choice" else ""
    said += f" ({limits})." if limits else "."
    return f"{said} {parameter.details}".strip()
