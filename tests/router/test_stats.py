from __future__ import annotations

from penstock_adapters.protocol.message import RequestMessage, Tensor
from penstock_router.stats import StatsBook, batch_elements


def test_success_counts_elements_runs_and_time() -> None:
    row = StatsBook().of("m", "1")
    row.succeeded(0.002, 8, unix_s=1000.5)
    row.succeeded(0.001, 1, unix_s=1001.0)
    assert (row.inferences, row.executions, row.success_count, row.success_ns) == (9, 2, 2, 3_000_000)
    assert row.last_ms == 1_001_000


def test_failure_leaves_the_inference_count_alone() -> None:
    row = StatsBook().of("m", "1")
    row.failed(0.5)
    assert (row.inferences, row.fail_count, row.fail_ns) == (0, 1, 500_000_000)


def test_a_version_keeps_its_row_until_it_is_forgotten() -> None:
    book = StatsBook()
    row = book.of("m", "1")
    assert book.of("m", "1") is row
    book.forget("m", ["1", "2"])
    assert book.of("m", "1") is not row


def test_batch_elements_are_the_first_dimension_of_a_batched_model() -> None:
    def message(shape: tuple[int, ...]) -> RequestMessage:
        return RequestMessage(id="", inputs=(Tensor("x", "FP32", shape, b""),))

    assert batch_elements(message((5, 3)), batched=True) == 5
    assert batch_elements(message((5, 3)), batched=False) == 1
    assert batch_elements(message(()), batched=True) == 1
    assert batch_elements(RequestMessage(id="", inputs=()), batched=True) == 1
