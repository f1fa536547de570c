from __future__ import annotations

from penstock_adapters.triton_legs import LONG_S, MODELS_MAX, LegChoice


def test_of_an_unknown_model_the_callers_deadline_decides() -> None:
    legs = LegChoice()
    assert legs.worth_stopping("m", 256, caller_deadline=True)
    assert not legs.worth_stopping("m", 256, caller_deadline=False)


def test_a_quick_model_is_not_worth_stopping_whatever_the_caller_says() -> None:
    legs = LegChoice()
    legs.took("m", 0.001, 256)
    assert not legs.worth_stopping("m", 256, caller_deadline=True)


def test_one_long_call_is_enough_to_make_a_model_worth_stopping() -> None:
    legs = LegChoice()
    for seconds in (0.001, 2 * LONG_S):
        legs.took("m", seconds, 256)
    assert legs.worth_stopping("m", 256, caller_deadline=False)


def test_a_model_that_became_quick_is_believed_after_a_while() -> None:
    legs = LegChoice()
    legs.took("m", 1.0, 256)
    calls = 0
    while legs.worth_stopping("m", 256, caller_deadline=False):
        legs.took("m", 0.001, 256)
        calls += 1
    assert 20 < calls < 200


def test_models_do_not_share_what_was_seen() -> None:
    legs = LegChoice()
    legs.took("slow", 1.0, 256)
    assert not legs.worth_stopping("other", 256, caller_deadline=False)


def test_time_that_the_transfer_explains_is_not_the_models() -> None:
    legs = LegChoice()
    legs.took("m", 0.1, 32_000_000)
    assert not legs.worth_stopping("m", 256, caller_deadline=True)
    legs.took("m", 1.0, 32_000_000)
    assert legs.worth_stopping("m", 256, caller_deadline=True)


def test_the_larger_the_tensors_the_longer_a_model_must_take() -> None:
    legs = LegChoice()
    assert not legs.worth_stopping("new", 16_000_000, caller_deadline=True)
    legs.took("m", 1.0, 256)
    assert not legs.worth_stopping("m", 16_000_000, caller_deadline=True)
    legs.took("m", 10.0, 256)
    assert legs.worth_stopping("m", 16_000_000, caller_deadline=True)


def test_what_is_remembered_is_bounded() -> None:
    legs = LegChoice()
    for at in range(MODELS_MAX + 1):
        legs.took(f"m{at}", 1.0, 256)
    assert len(legs._seen_s) <= MODELS_MAX
