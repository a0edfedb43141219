"""The command line: ``rnn``."""


def main() -> None:
    """Run ``rnn`` with the arguments of this process."""
    from .commands import main as run

    run()
