"""Retrying while a server or a store is unavailable."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from .errors import is_transient

Result = TypeVar("Result")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between attempts


def retry_transient(
    attempt: Callable[[], Result],
    stop: Event,
    waiting: Callable[[BaseException, float], Any] | None = None,
    before: Callable[[], Any] | None = None,
) -> Result:
    """Repeat an attempt until it raises no transient error, with exponentially growing waits.

    Parameters
    ----------
    attempt : callable
        What is to be done; of what it raises, only what `is_transient` is waited for.
    stop : Event
        Ends the waiting: the last error is then raised.
    waiting : callable, optional
        Called with the error and the seconds before each wait.
    before : callable, optional
        Called before each attempt but the first; what it raises counts as the attempt's.
    """

    def report_wait(state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        if waiting is not None and error is not None and state.next_action is not None:
            waiting(error, state.next_action.sleep)

    def again() -> Result:
        if before is not None and retrying.statistics.get("attempt_number", 1) > 1:
            before()
        return attempt()

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT, min=FIRST_WAIT / 2),
        sleep=sleep_using_event(stop),
        stop=stop_when_event_set(stop),
        before_sleep=report_wait,
        reraise=True,
    )
    return retrying(again)
