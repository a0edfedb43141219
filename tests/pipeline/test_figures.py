"""Stored figures: what their files say, other formats and styles, and files of their names."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.sharing.figures import export_figures
from pipeline.tables.figures import FigureTable
from pipeline.tables.provenance import code_version
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

TABLES = ("Training", "TrialPlot", "FixedPoints", "FixedPointPlot", "Psychometric")


@pytest.fixture
def p(database, submission, prepared):
    submission["cohorts"][0]["n_networks"] = 1

    def fill():
        database.submit(submission)
        assert not database.fill([getattr(database, name) for name in TABLES]).errors

    prepared(fill)
    return database


def described(png):
    with Image.open(io.BytesIO(png)) as image:
        return dict(image.text)


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_figures_in_every_format_and_style(p, tmp_path):
    noisy = p.TrialPlot & {"validation_name": "noisy"}
    figure = noisy.fetch1("figure")

    # What the file says.
    texts = described(figure.png)
    about = json.loads(texts["Description"])
    assert about["table"] == "TrialPlot" and about["column"] == "figure"
    assert about["of"] == noisy.fetch1("KEY")
    assert about["parameters"]["NetworkParams"]["n_units"] == p.NetworkParams.fetch1("n_units")
    assert about["parameters"]["TrainingParams"]["max_iter"] == p.TrainingParams.fetch1("max_iter")
    assert about["parameters"]["Task"]["task_class"] == p.Task.fetch1("task_class")
    assert about["parameters"]["ValidationParams"]["noise"]
    assert code_version()[0] in texts["Software"] == about["code"]
    assert texts["Title"].startswith("TrialPlot") and "seed 3" in texts["Title"]
    assert "Date" not in "".join(texts)

    # Other formats, drawn from the rows: the same network, the same noise.
    assert figure.save(tmp_path / "a.png").read_bytes() == figure.png
    again = figure.save(tmp_path / "a.pdf").read_bytes()
    assert again.startswith(b"%PDF") and b"/Title" in again and b"CreationDate" not in again
    assert again == figure.save(tmp_path / "b.PDF").read_bytes()
    assert b"/Type3" not in again and b"/CIDFontType2" in again  # letters, not drawings of them
    svg = figure.save(tmp_path / "a.svg").read_text()
    assert svg.startswith("<?xml") and "TrialPlot" in svg and "<dc:date>" not in svg
    assert noisy.plot().axes[0].lines
    assert figure.redrawn(figure.path, "png") == figure.png

    # A style and a footer.
    large = figure.save(tmp_path / "large.png", style={"font.size": 16}).read_bytes()
    assert pixels(large).shape[0] > 1.7 * pixels(figure.png).shape[0]
    with_foot = pixels(figure.save(tmp_path / "foot.png", footer=True).read_bytes())
    n_rows = len(with_foot) - len(pixels(figure.png))
    assert 10 < n_rows < 200 and with_foot[-n_rows:].min() < 200
    moved = abs(with_foot[:-n_rows] - pixels(figure.png))
    assert moved.mean() < 0.9  # by a part of a pixel; the legend stays above the footer

    # What cannot be done is said.
    with pytest.raises(ParameterError, match=r"\.pdf"):
        figure.save(tmp_path / "a.jpg")
    with pytest.raises(ParameterError, match="style"):
        figure.save(tmp_path / "c.png", style="no such style")
    assert not (tmp_path / "c.png").exists()
    assert p.FixedPointPlot().plot("figure_3d").axes[0].name == "3d"
    with pytest.raises(ParameterError, match="figure_2d, figure_3d"):
        p.FixedPointPlot().plot()
    space = p.FixedPointPlot.fetch1("figure_3d")
    assert space.redrawn(space.path, "png") == space.png
    noisy.delete(prompt=False)
    with pytest.raises(ParameterError, match="no row"):
        figure.save(tmp_path / "gone.pdf")


def test_all_figures_of_networks_as_files(p, tmp_path, monkeypatch):
    for name in ("connect", "disconnect"):  # the command's own
        monkeypatch.setattr(p, name, lambda **options: None)
    written = export_figures(tmp_path / "plain")
    name = "cddm--small--short--seed3--trials--noisy.png"
    assert name in {path.name for path in written}
    stored = (p.TrialPlot & {"validation_name": "noisy"}).fetch1("figure")
    assert (tmp_path / "plain" / name).read_bytes() == stored.png
    assert {path.suffix for path in written} == {".png"}

    both = export_figures(tmp_path / "both", formats=("pdf", "png"), footer=True, by="lr")
    assert len(both) == 2 * (len(written) + 1) and not any("," in path.name for path in both)
    assert (tmp_path / "both" / "learning_curves_by--lr.pdf").exists()
    (curves,) = (tmp_path / "both").glob("*seeds_from3--learning_curves.png")
    about = json.loads(described(curves.read_bytes())["Description"])
    assert about["of"]["first_seed"] == 3 and "TrainingParams" in about["parameters"]
    more = ("--out", str(tmp_path / "typed"), "--task", "cddm", "--format", "svg")
    done = CliRunner().invoke(app, ["figures", *more])
    assert done.exit_code == 0 and "figures in" in done.output, done.output
    assert len(list((tmp_path / "typed").glob("*.svg"))) == len(written)
    refused = CliRunner().invoke(app, ["figures", *more[:2], "--task", "nothing"])
    assert refused.exit_code == 1
    with pytest.raises(ParameterError, match="format"):
        export_figures(tmp_path / "none", formats=("jpg",))
    with pytest.raises(ParameterError, match="style"):
        export_figures(tmp_path / "none", style="no such style")
    assert not (tmp_path / "none").exists()


def test_every_table_with_figures_draws_them_anew():
    from pipeline.report.rows import FIGURES

    assert set(FIGURES) <= set(FigureTable.known)
