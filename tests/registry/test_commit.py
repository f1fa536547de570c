"""One attempt in one transaction: what is refused leaves an audit row and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_adapters.protocol.errors import NotFound
from penstock_registry.chain import AuditRow
from penstock_registry.commit import SLICE, Attempt, Done, commit, examine
from penstock_registry.plan import Edit, Expectation, Plan, Prepared, prepare
from penstock_registry.registry import Registry
from penstock_registry.rows import Head, head
from penstock_registry.store import Transaction
from tests.support.registries import edits
from tests.support.resources import model

ATTEMPT = Attempt("ann", "why", "write", "Model/m")


def given(*chosen: Edit) -> Sequence[Prepared]:
    return [prepare(edit) for edit in chosen]


async def committed(registry: Registry, attempt: Attempt, denials: Sequence[AuditRow] = ()) -> Done:
    async def edits_of(_: Transaction, __: Head) -> Sequence[Prepared]:
        return given(*edits(model("m")))

    return await registry._store.write(lambda transaction: commit(transaction, attempt, edits_of, denials))


async def test_a_commit_says_whether_there_is_a_new_snapshot(registry: Registry) -> None:
    assert await committed(registry, ATTEMPT) == Done(1, ("created",), advanced=True)
    assert await committed(registry, ATTEMPT) == Done(1, ("unchanged",), advanced=False)


async def test_gathered_denials_are_written_before_the_attempt(registry: Registry) -> None:
    denial = AuditRow(0, "then", "eve", "write", "Model/m", "", "", "denied", 0, 0, count=7)

    await committed(registry, ATTEMPT, [denial])

    assert [(row.id, row.author, row.count) for row in await registry.audit()] == [(2, "ann", 1), (1, "eve", 7)]
    await registry.verify()


async def test_edits_that_cannot_even_be_made_are_refused_in_the_audit(registry: Registry) -> None:
    async def edits_of(_: Transaction, __: Head) -> Sequence[Prepared]:
        raise NotFound("resource_not_found", kind="Model", name="m")

    done = await registry._store.write(lambda transaction: commit(transaction, ATTEMPT, edits_of, ()))

    assert isinstance(done.error, NotFound)
    assert [(row.result, row.target) for row in await registry.audit()] == [("refused", "Model/m")]


async def test_examining_reads_and_decides_in_slices_and_writes_nothing(registry: Registry) -> None:
    many = edits(*(model(f"m{number}") for number in range(2 * SLICE + 1)))

    async def edits_of(_: Transaction, __: Head) -> Sequence[Prepared]:
        return given(*many)

    async def work(transaction: Transaction) -> Plan:
        attempt = Attempt("ann", "", "write", "many", Expectation(revision=0))
        return await examine(transaction, await head(transaction), attempt, edits_of)

    plan = await registry._store.read(work)

    assert plan.outcomes == ("created",) * len(many)
    assert plan.error is None
    assert await registry.head() == 0
