"""What a count proves: exact binomial bounds (Clopper and Pearson 1934), one-sided."""

from __future__ import annotations

from scipy.stats import beta  # type: ignore[import-untyped]


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """The rate (0..1) that the true one does not exceed, after `events` in `trials` independent trials.

    The smallest rate at which so few events would have a probability of at most 1 - confidence: the
    `confidence` quantile of Beta(events + 1, trials - events). 1.0 without trials: nothing is proven then.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials")
    if events == trials:
        return 1.0
    return float(beta.ppf(confidence, events + 1, trials - events))


def lower_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """The rate (0..1) that the true one is not below, after `events` in `trials`; 0.0 without events."""
    return 1.0 - upper_bound(trials - events, trials, confidence) if events else 0.0


def most_events(trials: int, rate: float, confidence: float = 0.95) -> int:
    """The largest count whose upper bound is at most `rate`; -1 where not even none would prove it."""
    low, high = -1, trials
    while low < high:
        middle = (low + high + 1) // 2
        if upper_bound(middle, trials, confidence) <= rate:
            low = middle
        else:
            high = middle - 1
    return low


def trials_needed(rate: float, confidence: float = 0.95, events: int = 0) -> int:
    """How many trials it takes until `events` prove a rate of at most `rate` (0 < rate < 1)."""
    low, high = events + 1, events + 1
    while upper_bound(events, high, confidence) > rate:
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        if upper_bound(events, middle, confidence) <= rate:
            high = middle
        else:
            low = middle + 1
    return low
