"""What `make docs` needs: every module imports, every reference leads somewhere, the front page names every floor."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import avae_lib

ROOT = Path(avae_lib.__file__).parent
REFERENCE = re.compile(r":(?:func|class|mod|meth|attr|data|exc):`~?([^`]+)`|`(avae_lib(?:\.\w+)+)`")


def module_of(path):
    dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    return importlib.import_module(dotted)


def references(path):
    """Each reference in a docstring, and the name of the class around it, if any."""

    def inside(node, around):
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                for role, dotted in REFERENCE.findall(child.value.value):
                    yield role or dotted, around
            yield from inside(child, child.name if isinstance(child, ast.ClassDef) else around)

    return list(inside(ast.parse(path.read_text(encoding="utf-8")), None))


def leads_somewhere(target, module, around):
    starts = [module, importlib.import_module(module.__package__ or "avae_lib")]
    if around is not None:
        starts.insert(0, getattr(module, around, None))
    return any(_has(start, target.split(".")) for start in starts) or _is_absolute(target)


def _has(start, names):
    for name in names:
        fields = getattr(start, "__dataclass_fields__", {}) | getattr(start, "__annotations__", {})
        if name in fields:
            return True
        if not hasattr(start, name):
            return False
        start = getattr(start, name)
    return True


def _is_absolute(target):
    """Whether a dotted name is a module, or something in one."""
    names = target.split(".")
    for count in range(len(names), 0, -1):
        dotted = ".".join(names[:count])
        try:
            module = importlib.import_module(dotted)
        except ImportError:
            continue
        return _has(module, names[count:])
    return False


@pytest.mark.parametrize("folder", sorted({path.parent for path in ROOT.rglob("*.py")}), ids=lambda path: path.name)
def test_each_reference_in_a_docstring_leads_somewhere(folder):
    paths = [path for path in sorted(folder.glob("*.py")) if path.name != "__main__.py"]
    lost = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in paths
        for target, around in references(path)
        if not leads_somewhere(target, module_of(path), around)
    ]
    assert lost == []


def test_a_wrong_reference_is_noticed():
    module = importlib.import_module("avae_lib.gaussians")
    assert leads_somewhere("DiagonalGaussian.kl", module, None)
    assert leads_somewhere("avae_lib.divergences.kl_categorical", module, None)
    assert not leads_somewhere("DiagonalGaussian.divergence", module, None)
    assert not leads_somewhere("avae_lib.divergences.kl", module, None)


def test_the_front_page_names_every_floor():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    named = {dotted.split(".")[1] for dotted in re.findall(r"`(avae_lib\.\w+)`", avae_lib.__doc__)}
    assert folders <= named
    assert all(importlib.util.find_spec(f"avae_lib.{name}") for name in named)
    assert len(avae_lib.__doc__.splitlines()) < 35
