"""Gather the pages of the site in build/site_source, from where they lie in this repository.

`make docs` builds the site from there (mkdocs.yml). Pages keep their paths, so that a link is right
in both places. A file that a page links to, and that is no page, is taken along: sources and
submissions as pages that show them. Whatever else a link names is missing in the site, and the
build, which is strict, fails.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from reference_pages import reference_pages

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "site_source"
PAGES = ("*.md", "docs/*.md", "docs/howto/*.md", "benchmarks/*.md", "docker/*.md", "cluster/*.md")
NOTEBOOKS = "notebooks/*.ipynb"
ASSETS = "docs/assets/*"
# Shown as pages where a page links to them.
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".toml": "toml"}
# Code, blocks of it and within a line, in which nothing is a link; or where a link leads.
CODE_OR_LINK = re.compile(
    r"(?ms:^```.*?^```$)|(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)"
    r"|\]\((?P<target>[^)\s#]+)(?P<after>(?:#[^)\s]*)?)\)"
)


def gather(target: Path = TARGET) -> list[str]:
    """Write the pages, and what they show or link to; return the paths of the pages."""
    shutil.rmtree(target, ignore_errors=True)
    for path in tracked(ASSETS):
        copy(path, target)
    pages = {path: (ROOT / path).read_text(encoding="utf-8") for path in tracked(*PAGES)}
    for path in tracked(NOTEBOOKS):
        pages[f"{path}.md"], pictures = notebook_page(ROOT / path)
        for name, data in pictures.items():
            write(target / posixpath.dirname(path) / name, data)
    for name, text in reference_pages().items():
        pages[f"reference/{name}"] = text
    for page, text in [*pages.items()]:
        for linked in links(page, text):
            if linked in pages or f"{linked}.md" in pages or not is_published(linked):
                continue
            if Path(linked).suffix in LANGUAGES:
                pages[f"{linked}.md"] = source_page(linked)
            else:
                copy(linked, target)
    for page, text in pages.items():
        write(target / page, relinked(page, text, lambda path: f"{path}.md" in pages).encode())
    return sorted(pages)


def tracked(*patterns: str) -> list[str]:
    """Return the files of these patterns: not what lies about in a folder."""
    wanted = [f":(glob){pattern}" for pattern in patterns]
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *wanted]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in found.split("\0") if path and (ROOT / path).is_file())


def copy(path: str, target: Path) -> None:
    """Copy a file to the same place below the target."""
    write(target / path, (ROOT / path).read_bytes())


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def links(page: str, text: str) -> Iterator[str]:
    """Yield what a page links to, by its path in the repository."""
    for match in CODE_OR_LINK.finditer(text):
        path = resolved(page, match["target"])
        if path:
            yield path


def relinked(page: str, text: str, is_shown: Callable[[str], bool]) -> str:
    """Return a page whose links to sources and notebooks lead to the pages that show them."""

    def shown(match: re.Match[str]) -> str:
        path = resolved(page, match["target"])
        if not path or not is_shown(path):
            return match[0]
        return f"]({match['target']}.md{match['after']})"

    return CODE_OR_LINK.sub(shown, text)


def resolved(page: str, target: str | None) -> str | None:
    """Return the path of a link's target in the repository; None where it is elsewhere."""
    if not target or "://" in target or target.startswith(("/", "mailto:")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    return None if path.startswith("..") else path


def is_published(path: str) -> bool:
    """Return whether a file may be taken along."""
    return (ROOT / path).is_file() and not any(part.startswith(".") for part in path.split("/"))


def source_page(path: str) -> str:
    """Return the page that shows a file of source text."""
    text = (ROOT / path).read_text(encoding="utf-8").rstrip()
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    head = "---\nhide: [toc]\nsearch: {exclude: true}\n---\n"
    language = LANGUAGES[Path(path).suffix]
    return f"{head}# `{path}`\n\n{fence}{language}\n{text}\n{fence}\n"


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook with its outputs as a page, and its pictures by name."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    text, more = MarkdownExporter().from_notebook_node(notebook, resources)
    return text, dict(more["outputs"])


def main() -> None:
    """Gather the pages."""
    print(f"gathered {len(gather())} pages in {TARGET}")


if __name__ == "__main__":
    main()
