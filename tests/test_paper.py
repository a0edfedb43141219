"""The paper: every number names the command that prints it, and stands in the page it is from."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from pipeline.cli.commands import app

ROOT = Path(__file__).resolve().parent.parent
PAPER = ROOT / "paper" / "paper.md"
_, FRONT, TEXT = PAPER.read_text(encoding="utf-8").split("---\n", 2)
BODY, _, NOTES_TEXT = TEXT.partition("\n# References\n")
NOTES = dict(re.findall(r"(?ms)^\[\^(\w+)\]: (.*?)(?=^\[\^|\Z)", NOTES_TEXT))
BIBLIOGRAPHY = (ROOT / "paper" / "paper.bib").read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)")


def flat(text):
    return re.sub(r"\s+", " ", text)


def quotes(note):
    return re.findall(r'"([^"]+)"', flat(NOTES[note]))


def sentences(text):
    """Return the sentences of a text, each with the notes behind its full stop."""
    text = flat(re.sub(r"(?m)^#.*$", "", text))
    return [found.strip() for found in re.findall(r".+?[.?](?:\[\^\w+\])*(?=\s|$)", text)]


def stated(sentence):
    """Return the numbers of a sentence, without citations, code and names of notes."""
    return NUMBER.findall(re.sub(r"`[^`]*`|\[\^\w+\]|@\w+", "", sentence))


def test_every_number_stands_in_what_its_notes_quote():
    with_numbers = [sentence for sentence in sentences(BODY) if stated(sentence)]
    assert len(with_numbers) > 8
    for sentence in with_numbers:
        quoted = " ".join(q for note in re.findall(r"\[\^(\w+)\]", sentence) for q in quotes(note))
        missing = [n for n in stated(sentence) if n not in NUMBER.findall(quoted)]
        assert not missing, f"{missing} of {sentence!r}: no note quotes the page that says so"


def test_a_number_without_a_note_is_noticed():
    assert sentences("It takes 1.5 s.[^a] Or 3 `x 4` [@B2013].") == [
        "It takes 1.5 s.[^a]", "Or 3 `x 4` [@B2013]."
    ]  # fmt: skip
    assert stated("Or 3 `x 4` [@B2013], N1.[^c2]") == ["3"]


@pytest.mark.parametrize("note", NOTES)
def test_every_note_quotes_a_page_as_it_is(note):
    text = flat(NOTES[note])
    (page,) = re.findall(r"\]\(\.\./([\w/.]+)\)", text)
    content = flat((ROOT / page).read_text(encoding="utf-8"))
    assert quotes(note)
    for quote in quotes(note):
        assert quote in content, f"{page} does not say {quote!r} any more: put the paper right"
    assert f"[^{note}]" in BODY
    (command,) = re.findall(r"`([^`]+)`", text)
    words = shlex.split(command)
    if words[0] == "python":
        script = ROOT / words[1]
        assert script.exists(), words[1]
        options = {word for word in words[2:] if word.startswith("--")}
        package = script.with_name(f"{script.stem.removesuffix('s')}_benchmark")
        sources = [script, *package.glob("*.py")]
        said = " ".join(source.read_text(encoding="utf-8") for source in sources)
        assert all(option in said for option in options), command
    else:
        assert words[:2] == ["rnn", "reproduce"]
        assert "reproduce" in typer.main.get_command(app).commands
        assert (ROOT / "studies" / words[2] / "study.yaml").exists()


def test_what_is_cited_is_in_the_bibliography_and_nothing_else():
    cited = set(re.findall(r"@(\w+)", BODY))
    entries = re.findall(r"(?m)^@\w+\{(\w+),$", BIBLIOGRAPHY)
    assert len(entries) == len(set(entries)) and cited == set(entries)


def test_every_note_is_defined():
    assert set(re.findall(r"\[\^(\w+)\]", BODY)) == set(NOTES)


def test_authors_and_keywords_are_those_of_the_citation_file():
    front = yaml.safe_load(FRONT)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert [a["name"] for a in front["authors"]] == [a["name"] for a in citation["authors"]]
    assert set(citation["keywords"]) - set(front["tags"]) <= {"fixed points"}
    assert (PAPER.parent / front["bibliography"]).exists()
