"""References among the manifests of one reading: what can be known to be wrong without asking a server. Pure.

What a reference names may already be stored on the server, so only a target that stands in the same files is judged:
a Deployment of churn@9 where the Model churn lists no version 9.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_gateway.manifests import Manifest, Problem
from penstock_registry.references import VERSION, offers, references_of


def dangling(manifests: Sequence[Manifest]) -> list[Problem]:
    """Every reference to a version or alias that its Model, in the same files, does not have."""
    by_key = {manifest.resource.key: manifest.resource for manifest in manifests}
    problems: list[Problem] = []
    for manifest in manifests:
        for reference in references_of(manifest.resource):
            target = by_key.get(reference.target)
            if target is None:
                continue
            offered = offers(target)
            if reference.selector not in offered:
                wanted = reference.selector.removeprefix(VERSION)
                # A Deployment runs a version; an alias may move under it.
                known = [name for name in offered if name.startswith(VERSION) or reference.selector == wanted]
                names = ", ".join(sorted({name.removeprefix(VERSION) for name in known if name})) or "no version"
                text = f"{reference.target[1]}@{wanted} does not exist; {reference.target[1]} has {names}"
                problems.append(Problem(manifest.file, manifest.line, reference.field, text))
    return problems
