"""Write what docs/architecture.md says of folders, modules and layers, from the sources themselves.

Between the marks of the page stands what this script writes; the rest is written by hand. A folder
says what it is in the docstring of its package, layers are the contracts of import-linter.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
# Folders that are no packages.
TEXTS = {
    ".ci": "what must pass for a change to land",
    "benchmarks": "measured speed and completeness, and the programs that measure",
    "cluster": "workers under SLURM and on Kubernetes",
    "docker": "an image, and a compose file with MySQL and as many workers as you like",
    "docs": "the pages of the site, and their figures",
    "examples": "submissions for every task, and a task of your own to copy",
    "notebooks": "the guided tour",
    "paper": "a draft of the software paper, with the command behind each number",
    ".github": "continuous integration of a public repository",
    "scripts": "set-up, generated pages, servers for the tests",
    "tests": "proof: a folder for each package, and the tests of what lies around them",
    "typings": "types of DataJoint for mypy, where its own annotations lack them",
}
MARK = "<!-- {name}: written by make docs -->"
END = "<!-- end -->"


def settings() -> dict[str, Any]:
    """Return the contracts between layers: "" -> the packages, package -> its folders."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = read["tool"]["importlinter"]["contracts"]
    return {
        (contract.get("containers") or [""])[0]: [
            [name.strip() for name in re.split(r"[|:]", layer)] for layer in contract["layers"]
        ]
        for contract in contracts
        if contract["type"] == "layers"
    }


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = said.partition("\n")[0].rstrip(".")
    if not line:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring that says what it is")
    if re.match(r"[A-Z][a-z ]", line):
        line = line[:1].lower() + line[1:]
    return line.replace("``", "`").replace("|", r"\|")


def folders() -> list[str]:
    """Return the folders of the repository that git has files of."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({line.partition("/")[0] for line in found.splitlines() if "/" in line})


def tree() -> str:
    """Return the table of folders and modules, each with its line."""
    layers = settings()
    packages = [name for row in reversed(layers[""]) for name in row]
    others = [name for name in folders() if name not in packages]
    lines = []
    for name in [*packages, *others]:
        init = ROOT / name / "__init__.py"
        if name in packages or (name not in TEXTS and init.exists()):
            lines.append((f"**`{name}/`**", first_line(init)))
            lines += [(f"`{name}/{i}`", text) for i, text in inside(name, layers.get(name))]
        elif name in TEXTS:
            lines.append((f"**`{name}/`**", TEXTS[name]))
        else:
            raise ValueError(f"say in scripts/make_architecture_page.py what {name}/ is")
    rows = [f"| {name} | {text} |" for name, text in lines]
    return "\n".join(["| folder or module | what it is |", "|---|---|", *rows])


def inside(package: str, layers: list[list[str]] | None) -> list[tuple[str, str]]:
    """Return what is in a package: its layers from the lowest to the highest, or its modules."""
    folder = ROOT / package
    there = {
        path.stem if path.suffix == ".py" else path.name: path
        for path in sorted(folder.iterdir())
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
    }
    names = [name for row in reversed(layers) for name in row] if layers else [*there]
    return [
        (f"{name}/", first_line(there[name] / "__init__.py"))
        if there[name].is_dir()
        else (f"{name}.py", first_line(there[name]))
        for name in names
    ]


def diagram() -> str:
    """Return the picture of the layers: what is above imports what is below, never the reverse."""
    layers = settings()
    lines = ["flowchart LR"]
    for row in layers[""]:
        for package in row:
            lines += [f"    subgraph {package}", "        direction TB"]
            rows = layers.get(package, [["all modules"]])
            for i, names in enumerate(rows):
                lines.append(f'        {package}_{i}["{" · ".join(names)}"]')
            for i in range(len(rows) - 1):
                lines.append(f"        {package}_{i} --> {package}_{i + 1}")
            lines.append("    end")
    for above, below in zip(layers[""], layers[""][1:], strict=False):
        lines += [f"    {a} ==> {b}" for a in above for b in below]
    return "```mermaid\n" + "\n".join(lines) + "\n```"


def inner_layers() -> str:
    """Return the layers of modules inside single folders, the highest first, one line a folder."""
    lines = []
    for container, rows in settings().items():
        if "." in container:
            chain = " → ".join(" · ".join(f"`{name}`" for name in row) for row in rows)
            lines.append(f"- inside `{container.replace('.', '/')}/`: {chain}")
    return "\n".join(lines)


def page() -> str:
    """Return the page with what is generated written anew."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = {"tree": tree(), "layers": f"{diagram()}\n\n{inner_layers()}".rstrip()}
    for name, content in blocks.items():
        mark = MARK.format(name=name)
        pattern = re.escape(mark) + r".*?" + re.escape(END)
        if len(re.findall(pattern, text, re.DOTALL)) != 1:
            raise ValueError(f"{PAGE.name} needs one block from {mark!r} to {END!r}")
        block = f"{mark}\n\n{content}\n\n{END}"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
