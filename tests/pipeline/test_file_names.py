"""Texts of the database as names of files: never a path, never two in one file."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store.file_names import LONGEST, file_name, safe

TEXTS = st.text(st.sampled_from("a_.-/\\,~%2F:\0\nä "), max_size=8) | st.text(max_size=90)


@pytest.mark.parametrize("name", ["cddm", "flip_flop", "tanh+noise", "a.b-c", "Größe", "3"])
def test_names_as_they_are_entered_stay_as_they_are(name):
    assert safe(name) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../../x", "%2E.%2F..%2Fx"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("-rf", "%2Drf"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("C:\\x", "C%3A%5Cx"),
        ("a,b", "a%2Cb"),
        ("line\nbreak", "line%0Abreak"),
        ("a--b-", "a%2D-b%2D"),
        ("", "%"),
    ],
)
def test_others_are_written_so_that_they_are_no_path(text, expected):
    assert safe(text) == expected


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
def test_a_name_is_one_file_in_the_folder_and_no_other_texts_have_it(one, other):
    names = [file_name(*texts, ending=".png") for texts in (one, other)]
    assert (one == other) == (names[0] == names[1])
    for name in names:
        for kind in (PurePosixPath, PureWindowsPath):
            assert kind("folder", name).parts == ("folder", name)
        assert not name.startswith(("-", ".."))
        assert "," not in name
        assert len(name.encode()) <= LONGEST and name.endswith(".png")


def test_long_names_that_differ_at_their_end_differ():
    long = "ä" * 64
    names = {file_name(long, long, long, end, ending=".png") for end in ("x", "y")}
    assert len(names) == 2 and {len(name.encode()) for name in names} <= {LONGEST - 1, LONGEST}
