from uuid import uuid4

from ca_connector.breaker import Breaker

HERE, THERE = uuid4(), uuid4()


def test_a_ca_that_was_not_reached_five_times_in_a_row_is_left_alone_and_no_other():
    breaker = Breaker()
    for _ in range(4):
        breaker.missed(HERE)
    assert breaker.reason(HERE) is None
    breaker.missed(HERE)
    assert breaker.reason(HERE) == "the CA cannot be reached"
    assert breaker.reason(THERE) is None


def test_an_answer_begins_the_count_again():
    breaker = Breaker()
    for _ in range(4):
        breaker.missed(HERE)
    breaker.reached(HERE)
    breaker.missed(HERE)
    assert breaker.reason(HERE) is None


def test_a_pause_is_kept_as_long_as_it_was_asked_for():
    breaker = Breaker()
    breaker.paused(HERE, 60)
    breaker.paused(THERE, 0)
    assert breaker.reason(HERE) == "the CA asked for a pause"
    assert breaker.reason(THERE) is None
