"""The pages say what the code does: generated parts are current, links lead somewhere, blocks parse, commands exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess

import pytest
import typer.main
import yaml
from docs import generate

from penstock_adapters.protocol.reasons import REASONS
from penstock_gateway.cli.application import application
from penstock_gateway.settings import Settings
from penstock_registry.kinds import API_VERSION, KINDS, SPECS, Metadata
from penstock_router.metrics import Metrics
from tests.support.pages import COMMAND, Block, Page, broken, pages
from tests.support.tidy import ROOT

PAGES = pages()
PARTS = ["Context", "Decision", "Rejected", "How we would notice that we were wrong"]
BLOCKS = [block for page in PAGES for block in page.blocks()]
REFERENCE = {page.path.removeprefix("docs/reference/"): page.text for page in PAGES if "/reference/" in page.path}


def commands() -> set[str]:
    """Every command of the command line, `db upgrade` and the like in two words."""
    group = typer.main.get_command(application())
    found = set()
    for name, command in getattr(group, "commands", {}).items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {word}" for word in below} if below else {name}
    return found


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def where(block: Block) -> str:
    return block.where


def test_the_generated_pages_are_current() -> None:
    assert generate.out_of_date() == [], "run python -m docs.generate"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_link_leads_somewhere(page: Page) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_is_explained(reason: str) -> None:
    assert f"`{reason}`" in REFERENCE["errors.md"]


@pytest.mark.parametrize("family", Metrics().families(), ids=lambda family: family.name)
def test_every_metric_is_explained(family: object) -> None:
    assert f"`penstock_{getattr(family, 'name', '')}`" in REFERENCE["metrics.md"]


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_explained(name: str) -> None:
    assert f"`{name}`" in REFERENCE["settings.md"]


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_explained(command: str) -> None:
    assert f"penstock {command}" in REFERENCE["cli.md"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_manifest_is_explained(kind: str) -> None:
    spec = next(spec for name, spec in SPECS.items() if name == kind)
    fields = {field.alias or name for model in (spec, Metadata) for name, field in model.model_fields.items()}

    missing = sorted(field for field in fields if f"{field}`" not in REFERENCE["manifests.md"])

    assert not missing


@pytest.mark.parametrize("block", of("python"), ids=where)
def test_python_blocks_parse(block: Block) -> None:
    ast.parse(block.text, block.where)


@pytest.mark.parametrize("block", of("sh"), ids=where)
def test_shell_blocks_parse(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False, timeout=20)

    assert done.returncode == 0, done.stderr


def test_json_blocks_parse() -> None:
    for block in of("json"):
        json.loads(block.text)


@pytest.mark.parametrize("block", of("yaml"), ids=where)
def test_manifests_in_the_pages_are_valid(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        if isinstance(document, dict) and document.get("apiVersion") == API_VERSION:
            SPECS[document["kind"]].model_validate(document["spec"])


def test_every_block_names_its_language() -> None:
    assert [block.where for block in BLOCKS if not block.language] == []


def test_commands_in_the_pages_exist() -> None:
    known = commands()
    strays = [
        f"{page.path}: penstock {match['words']}"
        for page in PAGES
        for block in page.blocks()
        for match in COMMAND.finditer(block.text)
        if block.language in ("sh", "console")
        and match["words"] not in known
        and match["words"].partition(" ")[0] not in known
    ]

    assert not strays


def test_make_targets_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {(page.path, word) for page in PAGES for word in re.findall(r"`make ([a-z-]+)", page.text)}
    named |= {
        (block.where, word) for block in of("sh") for word in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)
    }

    assert [(path, word) for path, word in sorted(named) if word not in targets] == []


def test_every_decision_is_listed_and_has_the_same_four_parts() -> None:
    decisions = [page for page in PAGES if re.fullmatch(r"docs/adr/\d{4}-.*\.md", page.path)]
    listed = [target for page in PAGES if page.path == "docs/adr/README.md" for _, target in page.links()]

    assert sorted(page.path.removeprefix("docs/adr/") for page in decisions) == sorted(listed)
    assert len({page.path[:13] for page in decisions}) == len(decisions)  # no number twice
    for page in decisions:
        assert re.findall(r"^## (.*)$", page.text, re.MULTILINE) == PARTS, page.path


def test_a_broken_link_is_seen() -> None:
    page = Page(
        "README.md", "[a](nowhere.md) [b](README.md#no-such-heading) [c](README.md#two-commands)\n```sh\n[d](x)\n```\n"
    )

    assert [line.partition(": ")[2] for line in broken(page)] == [
        "nowhere.md does not exist",
        "README.md#no-such-heading: there is no such heading",
    ]
