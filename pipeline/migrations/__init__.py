"""Changes of the tables between releases, one module each, in the order of their numbers.

A module ``mNNNN_what_it_does`` says in its docstring what it changes and why, and has a function
``migrate(database)``; `database` is a `pipeline.database.alterations.Alterations`. It may be run
again where it was interrupted, on either back end, and with rows in the tables. ``REQUIRED = True``
says that this version cannot work before it. `rnn declare` runs what a database has not had; a
database that is made anew has all of them. What a release has brought is never changed or
renumbered.

A column of a parameter with a default, a longer text, an index and a new table need no migration:
`rnn declare` makes them as they are defined.
"""
