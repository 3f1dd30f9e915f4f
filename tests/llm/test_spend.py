from concurrent.futures import ThreadPoolExecutor

import pytest

from fairnad.config import LLMConfig
from fairnad.errors import LLMError, SpendLimitError
from fairnad.llm.spend import Estimate, Spend, Spent, cost_of, estimate, guess_tokens


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_sums_are_of_all_threads():
    spend = Spend(LLMConfig(), clock=Clock())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: spend.add(3, 0.5), range(400)))
    assert spend.total == Spent(1200, 200.0, 0.0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_total_tokens": 100}, r"llm\.max_total_tokens is reached: 100 of 100; raise it in config.yaml"),
        ({"max_cost": 0.5}, r"llm\.max_cost is reached: 0\.5 of 0\.5"),
        ({"max_hours": 2.0}, r"llm\.max_hours is reached: 2 of 2"),
    ],
)
def test_each_limit_stops_and_is_named(limits, message):
    clock = Clock()
    spend = Spend(LLMConfig(**limits), clock=clock)
    spend.add(99, 0.4)
    clock.now += 7199
    spend.check()
    spend.add(1, 0.1)
    clock.now += 1
    with pytest.raises(SpendLimitError, match=message) as caught:
        spend.check()
    assert isinstance(caught.value, LLMError)


def test_without_limits_nothing_stops():
    spend = Spend(LLMConfig(), Spent(10**12, 1e9, 1e9))
    spend.check()


def test_a_resumed_run_begins_where_it_stopped():
    clock = Clock()
    spend = Spend(LLMConfig(max_total_tokens=100), Spent(90, 1.0, 60.0), clock=clock)
    spend.check()
    clock.now += 30
    spend.add(10, 0.5)
    assert spend.total == Spent(100, 1.5, 90.0)
    with pytest.raises(SpendLimitError):
        spend.check()


def test_prices_are_for_a_million_tokens():
    config = LLMConfig(price_prompt=3.0, price_reply=15.0)
    assert cost_of(config, 1_000_000, 100_000) == pytest.approx(4.5)


def test_an_estimate_counts_tokens_money_and_hours():
    config = LLMConfig(price_prompt=1.0, price_reply=2.0, concurrency=8)
    found = estimate(config, calls=720, prompt_tokens=4000, reply_tokens=2000, seconds_per_call=40.0)
    assert found == Estimate(calls=720, tokens=4_320_000, cost=pytest.approx(5.76), hours=pytest.approx(1.0))
    alone = estimate(config, calls=1, prompt_tokens=1, reply_tokens=1, seconds_per_call=3600)
    assert alone.hours == pytest.approx(1.0)
    assert estimate(config, calls=0, prompt_tokens=1, reply_tokens=1, seconds_per_call=1) == Estimate(0, 0, 0.0, 0.0)


def test_tokens_are_guessed_rather_too_many():
    assert guess_tokens(3500) >= 1000
