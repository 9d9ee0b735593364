"""What a count proves, on a device without scipy: the exact binomial bound (Clopper and Pearson 1934), one-sided."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_HALVINGS = 60  # of the interval from 0 to 1: finer than a float's digits near any rate that matters
_NOTHING = 1e-18  # of the sum so far: terms of this size change no digit of it


def upper_bound(events: int, trials: int, confidence: float) -> float:
    """The rate (0..1) that the true one does not exceed, after `events` in `trials` independent trials.

    The smallest rate at which so few events would have a probability of at most 1 - confidence (0.5 to below 1); 1.0
    without trials. The host's `calibration.bounds` computes the same with scipy; tests hold both to 1e-9.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"a confidence of {confidence:g}")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0  # at the first, at least half of the probability lies at so few events
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        if _at_most(events, trials, rate) > 1 - confidence:
            low = rate
        else:
            high = rate
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of `events` or fewer at a rate above events / trials: summed from the last one, the largest."""
    chosen = lgamma(trials + 1) - lgamma(events + 1) - lgamma(trials - events + 1)
    term = exp(chosen + events * log(rate) + (trials - events) * log1p(-rate))
    total = term
    for count in range(events, 0, -1):
        term *= count / (trials - count + 1) * (1 - rate) / rate
        total += term
        if term < _NOTHING * total:
            break
    return total
