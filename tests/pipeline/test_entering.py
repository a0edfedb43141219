"""New jobs: whether there are any is asked at once, and keys that settings bring are seen."""

from __future__ import annotations

import datajoint as dj

from pipeline.database.connection import connection
from pipeline.tables.computed import COMPUTED
from pipeline.workers.entering import with_news
from pipeline.workers.queue import Queue
from pipeline.workers.worker import fill


def prepared(tables):
    queues = [Queue(table) for table in tables]
    for queue in queues:
        queue.prepare()
    return queues


def names(queues):
    return [queue.name for queue in queues]


def test_what_is_new_is_asked_at_once(entered, monkeypatch):
    p, here = entered, connection()
    queues = prepared(COMPUTED)
    assert names(with_news(here, queues)) == ["Training"]
    training, others = queues[0], queues[1:]
    assert training.enter(here) == 1
    asked, query = [], dj.Connection.query
    monkeypatch.setattr(
        dj.Connection, "query", lambda self, text, **o: asked.append(text) or query(self, text, **o)
    )
    assert with_news(here, queues) == [] and with_news(here, []) == []
    *rows, news = asked  # some keys are made from rows
    assert len(rows) == 3 and news.startswith("(SELECT 0 WHERE EXISTS")
    monkeypatch.undo()
    # Of some keys only.
    p.Cohort.insert1({**p.Cohort.fetch1(), "first_seed": 100})
    assert with_news(here, [training], ["first_seed = 3"]) == []
    assert with_news(here, [training], ["first_seed = 100"]) == [training]
    # A job whose key has gone is to be removed, one that was kept to be looked at.
    p.LeftOut.insert1({**p.Cohort.fetch("KEY")[0], "left_out": "Validation"})
    assert training.enter(here) == 1 and with_news(here, queues) == []
    (p.Cohort & "first_seed = 100").delete_quick()
    assert names(with_news(here, queues)) == ["Training"]
    training.enter(here)
    assert with_news(here, queues) == [] and len(training.jobs) == 1
    fill([p.Training])
    assert "Population" in names(with_news(here, others))
    assert "Validation" not in names(with_news(here, others))


def test_it_is_known_of_which_tables_the_keys_are_made_from_rows(entered, monkeypatch):
    for table in COMPUTED:
        table().key_source.make_sql()  # headings
    asked, query = [], dj.Connection.query
    monkeypatch.setattr(
        dj.Connection, "query", lambda self, text, **o: asked.append(text) or query(self, text, **o)
    )
    for queue in map(Queue, COMPUTED):
        asked.clear()
        queue.table().key_source.make_sql()
        assert queue.has_constant_keys == (not asked), queue.name


def test_settings_that_name_a_clustering_bring_jobs_to_workers_that_run(entered):
    """Their keys are not the same query before and after."""
    p, here = entered, connection()
    done = fill([p.Training, p.Population, p.Clusters])
    assert done.errors == [], done
    (queue,) = prepared([p.Intervention])
    queue.enter(here)
    asked = queue.n_pending(here)
    key = queue.jobs.keys()[0]
    text, arguments = queue.wanted_key(key)
    assert here.query(text, args=arguments).fetchone() and with_news(here, [queue]) == []
    column = p.InterventionParams.renamed
    (way,) = {*p.Clusters.to_arrays("cluster_name")}
    p.InterventionParams.insert1(
        {**p.InterventionParams.fetch1(), "intervention_name": "later",
         column["target"]: "cluster", column["target_of"]: f"{way}: 0"}
    )  # fmt: skip
    assert with_news(here, [queue]) == [queue]
    assert queue.enter(here) == asked == 2
    text, arguments = queue.wanted_key({**key, "intervention_name": "later"})
    assert here.query(text, args=arguments).fetchone()
