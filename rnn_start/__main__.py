"""``python -m rnn_start``: the command ``rnn``."""

from . import main

main()
