"""The project's Markdown pages, taken apart: links, fenced blocks, and the words in backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tests.support.tidy import ROOT

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[\s;&|(]|\.venv/bin/)penstock (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `info` is what stands behind the fence: the language, then our own words (`runs`)."""

    page: str
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def runs(self) -> bool:
        return "runs" in self.info.split()[1:]

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One Markdown file; `path` is relative to the project."""

    path: str
    text: str

    def blocks(self) -> Iterator[Block]:
        for match in FENCE.finditer(self.text):
            line = self.text.count("\n", 0, match.start()) + 1
            yield Block(self.path, line, match["info"].strip(), match["text"])

    def links(self) -> Iterator[tuple[int, str]]:
        """(line, target) of every link outside fenced blocks."""
        prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), self.text)
        for match in LINK.finditer(prose):
            yield prose.count("\n", 0, match.start()) + 1, unquote(match["target"])

    def anchors(self) -> set[str]:
        """What `#…` can point to, spelt as GitHub does."""
        headings = re.findall(r"^#+ +(.+?)\s*$", FENCE.sub("", self.text), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages() -> list[Page]:
    """README, CHANGELOG and everything below docs."""
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def broken(page: Page) -> Iterator[str]:
    """The links of a page that lead nowhere in this project. Links into the web are not followed."""
    for line, target in page.links():
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page.path).parent / file if file else ROOT / page.path
        if not path.exists():
            yield f"{page.path}:{line}: {target} does not exist"
        elif not path.resolve().is_relative_to(ROOT):
            yield f"{page.path}:{line}: {target} leaves the project"
        elif anchor and anchor not in anchors_of(path):
            yield f"{page.path}:{line}: {target}: there is no such heading"


def anchors_of(path: Path) -> set[str]:
    return Page(path.name, path.read_text(encoding="utf-8")).anchors()
