"""Which resources a caller means: label selectors, pages, and what an apply with prune may delete. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_gateway.admin_problems import InvalidRequest
from penstock_gateway.admin_requests import PruneScope
from penstock_gateway.explanations import FieldProblem, nearest
from penstock_registry.kinds import KINDS, Kind, Resource
from penstock_registry.snapshot import Key, Snapshot

TERMS_MAX: Final = 32
_TERM: Final = re.compile(r"(?P<not>!?)(?P<key>[^\s=!,]+)(?:\s*(?P<op>==?|!=)\s*(?P<value>[^,=!]*))?")


class Term(NamedTuple):
    """One condition on a label. value None = only whether it is there."""

    key: str
    value: str | None
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        found = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return found is self.wanted


def selector(text: str) -> tuple[Term, ...]:
    """`a=b,c!=d,e,!f` -> its terms, all of which must hold. Raises InvalidArgument."""
    terms: list[Term] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _TERM.fullmatch(part)
        if match is None or (match["not"] and match["op"]):
            raise InvalidArgument(
                "parameter_invalid", name="selector", expected="label=value, label!=value, label or !label, with commas"
            )
        wanted = not match["not"] and match["op"] != "!="
        terms.append(Term(match["key"], match["value"].strip() if match["op"] else None, wanted))
    if len(terms) > TERMS_MAX:
        raise InvalidArgument("parameter_invalid", name="selector", expected=f"at most {TERMS_MAX} conditions")
    return tuple(terms)


def matches(resource: Resource, terms: Sequence[Term]) -> bool:
    labels = resource.metadata.labels
    return all(term.holds(labels) for term in terms)


def page(resources: Iterable[Resource], limit: int, after: str) -> tuple[list[Resource], str]:
    """At most `limit` resources with a name greater than `after`, and the `after` of the next page ("" = the last)."""
    rest = [resource for resource in resources if resource.metadata.name > after]
    cut = rest[:limit]
    return cut, cut[-1].metadata.name if len(rest) > limit else ""


def to_prune(snapshot: Snapshot, applied: Sequence[Resource], scope: PruneScope) -> list[Key]:
    """What an apply with prune deletes: in scope, and not in the applied set. Users first, then what they use."""
    kinds = {_kind(name) for name in scope.kinds} or {resource.kind for resource in applied}
    terms = selector(scope.selector)
    keep = {resource.key for resource in applied}
    gone = [
        key
        for key, resource in snapshot.resources.items()
        if key[0] in kinds and key not in keep and matches(resource, terms)
    ]
    return sorted(gone, key=lambda key: (-KINDS.index(key[0]), key[1]))


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    text = f"'{name}' is not a kind; {nearest(name, KINDS)}"
    raise InvalidRequest([FieldProblem(("prune_scope", "kinds"), text)])
