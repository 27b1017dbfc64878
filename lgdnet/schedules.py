"""Learning rates and averages as pure functions of the step: nothing to save, nothing to restore."""

import math
from collections.abc import Callable, Sequence


def learning_rate(
    step: int,
    *,
    peak: float,
    num_steps: int,
    schedule: str = "cosine",
    warmup_steps: int = 0,
    drops: Sequence[float] = (),
) -> float:
    """Learning rate of optimiser step `step`, 0-based.

    It rises linearly over the first `warmup_steps`, from `peak / warmup_steps` to `peak`, and then follows
    the schedule over what is left. `drops` are the shares of that rest after which `step` divides by ten.
    Errors: ValueError for an unknown schedule or a step outside the run.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}")
    if not 0 <= step < num_steps:
        raise ValueError(f"step {step} is not one of the {num_steps} steps of this run")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    share = (step - warmup_steps) / (num_steps - warmup_steps)
    return peak * SCHEDULES[schedule](share, drops)


def cosine(share: float, drops: Sequence[float] = ()) -> float:
    """Half a cosine from 1 to 0. The author's recipe, per step rather than per epoch."""
    return 0.5 * (1 + math.cos(math.pi * share))


def step_decay(share: float, drops: Sequence[float] = ()) -> float:
    """A tenth after each of `drops`."""
    return 0.1 ** sum(share >= drop for drop in drops)


def constant(share: float, drops: Sequence[float] = ()) -> float:
    """1, whatever the step."""
    return 1.0


SCHEDULES: dict[str, Callable[[float, Sequence[float]], float]] = {
    "cosine": cosine,
    "step": step_decay,
    "constant": constant,
}


def scaled(rate: float, *, batch_size: int, reference_batch: int) -> float:
    """Learning rate for another batch size: proportional to it (Goyal et al. 2017, the linear rule)."""
    return rate * batch_size / reference_batch


def average_decay(step: int, decay: float) -> float:
    """How much of the running average of the weights stays after `step`: little at first, then `decay`.

    Without the ramp (1 + step) / (10 + step) the average would remember the random first weights for
    1 / (1 - decay) steps. The same ramp as in TensorFlow's ExponentialMovingAverage.
    """
    return min(decay, (1 + step) / (10 + step))


def last_steps(epochs: Sequence[float], *, num_steps: int) -> list[int]:
    """Step at which each part of a run ends, when its parts share `num_steps` in proportion to their `epochs`.

    The last part ends at `num_steps` exactly, whatever the rounding before it.
    """
    total, done, ends = math.fsum(epochs), 0.0, []
    for share in epochs:
        done += share
        ends.append(round(num_steps * done / total))
    return [*ends[:-1], num_steps]
