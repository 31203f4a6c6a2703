"""The pages of the reference: one for each module or package at the top of the library, made from its docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["reference_pages"]


def reference_pages(library: Path, folder: Path) -> None:
    """Write a page for each top-level module or package, and one that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    tops = sorted(path for path in library.iterdir() if _is_public(path))
    rows = []
    for top in tops:
        name = top.stem
        (folder / f"{name}.md").write_text(_page(library, top), encoding="utf-8")
        rows.append(f"| [{name}]({name}.md) | {_first_sentence(top)} |")
    listing = "\n".join(["| module | what it has |", "|---|---|", *rows])
    entries = "\n".join(top.stem for top in tops)
    text = (
        "# Reference of the library\n\n"
        "What stands at the top of the package is listed under [avae_lib](../reference/avae_lib.md). "
        "Shapes are written as jaxtyping annotations, log-likelihoods and KLs are in nats, and every example runs in "
        f"the tests.\n\n{listing}\n\n```{{toctree}}\n:hidden:\navae_lib\n{entries}\n```\n"
    )
    (folder / "index.md").write_text(text, encoding="utf-8")
    (folder / "avae_lib.md").write_text(
        "# avae_lib\n\n" + _automodule("avae_lib", members=False) + _names_at_the_top(library), encoding="utf-8"
    )


def _is_public(path: Path) -> bool:
    if path.suffix == ".py":
        return not path.name.startswith("__")
    return (path / "__init__.py").is_file()


def _page(library: Path, top: Path) -> str:
    """The docstring of a module or package, then its modules, each under a heading of its own."""
    if top.is_file():
        return f"# {top.stem}\n\n" + _automodule(f"avae_lib.{top.stem}")
    parts = [f"# {top.name}\n\n" + _automodule(f"avae_lib.{top.name}", members=False)]
    for path in sorted(top.rglob("*.py")):
        dotted = ".".join(path.relative_to(library).with_suffix("").parts)
        if not path.name.startswith("__"):
            parts.append(f"## {dotted}\n\n" + _automodule(f"avae_lib.{dotted}"))
    return "\n".join(parts)


def _automodule(name: str, members: bool = True) -> str:
    option = "" if members else ":no-members:\n"
    return f"```{{eval-rst}}\n.. automodule:: {name}\n{''.join(f'   {line}' for line in [option] if line)}\n```\n"


def _names_at_the_top(library: Path) -> str:
    """The names that `import avae_lib` gives, by the module that has each."""
    rows = ["", "| name | module |", "|---|---|"]
    for node in ast.walk(ast.parse((library / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("avae_lib."):
            top = node.module.split(".")[1]
            names = ", ".join(f"`{alias.asname or alias.name}`" for alias in node.names)
            rows.append(f"| {names} | [{node.module}]({top}.md) |")
    return "\n".join(rows) + "\n"


def _first_sentence(top: Path) -> str:
    source = top if top.is_file() else top / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|").split(". ")[0].rstrip(".:") + "."
