"""The command line: ``rnn``, which `rnn_start` begins."""

from rnn_start import main

__all__ = ["main"]
