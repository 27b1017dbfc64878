import math

import pytest

from lgdnet.schedules import SCHEDULES, average_decay, last_steps, learning_rate, scaled


def test_warm_up_rises_linearly_to_the_peak():
    rates = [learning_rate(step, peak=1.0, num_steps=100, warmup_steps=4) for step in range(5)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_cosine_is_half_at_the_middle_of_what_follows_the_warm_up_and_small_at_the_end():
    assert learning_rate(55, peak=2.0, num_steps=100, warmup_steps=10) == pytest.approx(1.0)
    assert learning_rate(99, peak=2.0, num_steps=100, warmup_steps=10) == pytest.approx(
        1 + math.cos(math.pi * 89 / 90)
    )


def test_step_divides_by_ten_at_each_drop():
    rates = [
        learning_rate(step, peak=1.0, num_steps=10, schedule="step", drops=(0.5, 0.8)) for step in range(10)
    ]
    assert rates == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_constant_stays():
    assert {learning_rate(step, peak=0.3, num_steps=7, schedule="constant") for step in range(7)} == {0.3}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
@pytest.mark.parametrize("warmup_steps", [0, 1, 5])
def test_every_schedule_stays_between_zero_and_its_peak(schedule, num_steps, warmup_steps):
    for step in range(num_steps):
        rate = learning_rate(
            step,
            peak=0.3,
            num_steps=num_steps,
            schedule=schedule,
            warmup_steps=warmup_steps,
            drops=(0.3, 0.6),
        )
        assert 0 < rate <= 0.3


def test_an_unknown_schedule_and_a_step_outside_are_errors():
    with pytest.raises(ValueError, match="unknown schedule 'linear'; known: cosine, step, constant"):
        learning_rate(0, peak=1.0, num_steps=10, schedule="linear")
    with pytest.raises(ValueError, match="step 10 is not one of the 10 steps of this run"):
        learning_rate(10, peak=1.0, num_steps=10)


def test_the_rate_is_proportional_to_the_batch():
    assert scaled(0.16, batch_size=64, reference_batch=256) == pytest.approx(0.04)


def test_the_average_follows_quickly_at_first():
    assert average_decay(0, 0.999) == pytest.approx(0.1)
    assert average_decay(10**6, 0.999) == 0.999


def test_progressive_lengths_share_the_steps_by_their_epochs():
    assert last_steps([2, 1, 1], num_steps=41) == [20, 31, 41]


@pytest.mark.parametrize("epochs", [[1.0], [0.1, 50, 3], [1, 1, 1, 1, 1], [0.3] * 6])
@pytest.mark.parametrize("num_steps", [1, 2, 13, 1000])
def test_progressive_lengths_end_with_the_run_and_never_go_back(epochs, num_steps):
    ends = last_steps(epochs, num_steps=num_steps)
    assert ends == sorted(ends) and ends[-1] == num_steps and len(ends) == len(epochs)
