"""Published results as studies: a submission each, the numbers to hit, and how they are measured.

`rnn reproduce --list` names them. A study is a folder with ``study.yaml`` and ``measures.py``;
docs/studies.md says what these hold.
"""
