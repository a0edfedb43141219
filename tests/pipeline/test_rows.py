"""Rows as DataJoint users give them, in one form; without a database."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.rows import given_rows, kind_of_column, normal_row
from tasks_lib import ParameterError

KINDS = {
    "name": "text", "n": "whole", "x": "number", "on": "flag", "args": "mapping", "v": "array"
}  # fmt: skip


def rows(source, kinds=KINDS):
    return [normal_row(row, kinds) for row in given_rows(source)]


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("boolean", "flag"), ("tinyint", "flag"), ("int", "whole"), ("integer", "whole"),
        ("double", "number"), ("double precision", "number"), ("json", "mapping"),
        ("jsonb", "mapping"), ("varchar(64)", "text"), ("enum('a','b')", "text"),
        ("enum_517eca0e", "text"),
    ],
)  # fmt: skip
def test_kinds_of_columns_on_both_back_ends(type_, kind):
    assert kind_of_column(SimpleNamespace(type=type_, codec=None)) == kind
    assert kind_of_column(SimpleNamespace(type=type_, codec=object())) == "array"


PLAIN = [{"name": "a", "n": 3, "x": 0.5, "on": True}, {"name": "b"}]


def frames():
    frame = pd.DataFrame(PLAIN)
    yield "float for a gap", frame
    yield "an index with names", frame.set_index("name")
    yield "types with gaps", frame.convert_dtypes()
    yield "any objects", frame.astype(object)
    yield "records", frame.to_records(index=False)


@pytest.mark.parametrize("frame", [pytest.param(f, id=name) for name, f in frames()])
def test_a_gap_in_a_column_is_left_out(frame):
    found = rows(frame)
    assert found == PLAIN
    assert [type(found[0][field]) for field in ("n", "x", "on")] == [int, float, bool]


def test_frames_of_polars_and_arrow_are_read_without_being_imported():
    frame = type("DataFrame", (), {"__module__": "polars.frame", "to_dicts": lambda _: made})
    table = type(
        "Table", (), {
            "__module__": "pyarrow.lib", "to_pylist": lambda _: made, "column_names": ["name"]
        },
    )  # fmt: skip
    made = [{"name": "a", "n": 3.0, "x": None}]
    assert rows(frame()) == rows(table()) == [{"name": "a", "n": 3}]


def test_a_structured_array_and_a_row_of_a_frame():
    array = np.array([(b"a", 3, 0.5, 1)], [("name", "S4"), ("n", "i4"), ("x", "f4"), ("on", "i1")])
    assert rows(array) == rows([array[0]]) == rows(array[0:1].view(np.recarray)) == PLAIN[:1]
    assert rows([pd.DataFrame(PLAIN).iloc[1]]) == PLAIN[1:]


def test_a_file_says_its_values_in_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        '\ufeffname,n,x,on,args\na,3,1e-3,True,"{""slope"": 2.0}"\n'
        'b,4.0,2,0,"{\'slope\': 2.0}"\n"c, d",,,,\n',
        encoding="utf-8",
    )
    assert rows(path) == [
        {"name": "a", "n": 3, "x": 1e-3, "on": True, "args": {"slope": 2.0}},
        {"name": "b", "n": 4.0, "x": 2, "on": False, "args": {"slope": 2.0}} | {"n": 4},
        {"name": "c, d"},
    ]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.text("abc", min_size=1), "n": st.integers(-(2**31), 2**31)},
            optional={
                "x": st.floats(allow_nan=False),
                "on": st.booleans(),
                "args": st.dictionaries(st.text("ab"), st.floats(-9, 9)),
            },
        ),
        max_size=5,
    )
)
def test_rows_are_the_same_by_every_way(tmp_path_factory, made):
    assert rows(made) == made
    if made:
        frame = pd.DataFrame(made)
        assert rows(frame) == made
        path = tmp_path_factory.mktemp("rows") / "rows.csv"
        frame.to_csv(path, index=False)
        assert rows(path) == made
    assert rows(iter(made)) == made


def test_values_of_numpy_become_plain():
    row = {"name": np.str_("a"), "n": np.int32(3), "on": np.True_, "args": {"a": np.arange(2)}}
    (found,) = rows([{**row, "v": np.arange(2)}])
    assert {k: type(v) for k, v in found.items()} == {
        "name": str, "n": int, "on": bool, "args": dict, "v": np.ndarray
    }  # fmt: skip
    assert found["args"] == {"a": [0, 1]}


def test_booleans_as_mysql_returns_them():
    assert rows([{"on": 1, "n": 1}]) == [{"on": True, "n": 1}]
    assert rows([{"on": 2}]) == [{"on": 2}]  # said of the field later
    assert rows([{"n": 3.0}]) == [{"n": 3.0}]  # only a column makes whole numbers floats


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "a"}, "is one row; use insert1"),
        ("rows.csv", "pathlib.Path"),
        (3, "are no rows"),
        (["abc"], "is not a set of fields"),
        ([("a", 3)], "would change with every column that is added; insert dicts"),
        ([["a", 3]], "insert dicts"),
        (np.zeros((2, 2)), "insert dicts"),
        ([{3: 4}], "field = 3"),
        ([{"x": math.nan}], "x = nan: is not a value; leave the field out for its default"),
        ([{"n": pd.NA}], "n = <NA>: is not a value"),
        (pd.DataFrame([[1, 2]], columns=["n", "n"]), "column = 'n': is there twice"),
        (pd.DataFrame({"n": [1]}, index=pd.Index([2], name="n")), "column = 'n': is there twice"),
    ],
)
def test_what_is_no_row_is_one_line(source, message):
    with pytest.raises(ParameterError) as caught:
        rows(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"name,n\na\n", "row 1 has 1 cells"),
        (b"name,n\na,1,2\n", "row 1 has 3 cells"),
        (b"n,n\n1,2\n", "is there twice"),
        (b"name\n\xff\n", "no CSV file in UTF-8"),
        (b'name\n"a\n', "no CSV file in UTF-8"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, text, message):
    path = tmp_path / "rows.csv"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ParameterError, match=message):
        rows(path)
