"""``python -m pipeline.cli`` is ``rnn``."""

from . import main

main()
