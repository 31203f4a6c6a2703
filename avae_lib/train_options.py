"""The options of ``avae train``: one for each field of a preset's configuration, with the field's text as its help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from avae_lib.errors import InvalidInput, UserError
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.older_configs import PLACES

__all__ = ["WrongOption", "parse_train_options"]

_FOLDER = "Folder of the run. If it has a checkpoint, training continues from it."


class WrongOption(UserError, ValueError):
    """An option that does not exist under this name, or a value that the configuration refuses."""

    exit_status = 2


def parse_train_options(preset: Experiment, arguments: Sequence[str]) -> tuple[Experiment, Path]:
    """The preset with the changes that the options make, and the folder of the run.

    Raises:
        WrongOption: an option has another name, or the configuration refuses a value; the message says what to do.

    >>> from avae_lib.presets import find_preset
    >>> experiment, folder = parse_train_options(find_preset("digits-vae"), ["--training.learning-rate.peak", "0.01"])
    >>> experiment.training.learning_rate.peak, folder.name
    (0.01, 'digits-vae')
    """
    _require_grouped_names(arguments, preset.name)
    run_dir = ("run_dir", Annotated[Path, tyro.conf.arg(help=_FOLDER)], Path("runs") / preset.name)
    groups = [_group(name, getattr(preset, name)) for name in ("data", "model", "training")]
    options = dataclasses.make_dataclass("Options", [run_dir, *groups], frozen=True)
    options.__doc__ = f"Train {preset.name} ({preset.source})."
    values = _as_dict(tyro.cli(options, prog=f"avae train {preset.name}", args=arguments))
    folder = values.pop("run_dir")
    try:
        return derive(preset, **values), folder
    except InvalidInput as problem:
        raise WrongOption(str(problem)) from problem


def _require_grouped_names(arguments: Sequence[str], preset: str) -> None:
    """Refuse an option named after a field alone, without the group that the field belongs to; name the full option."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        name = flag.removeprefix("--training.").removeprefix("no-").replace("-", "_")
        if flag.startswith("--training.") and name in PLACES:
            place = PLACES[name].replace("_", "-")
            raise WrongOption(f"{flag} is called --training.{place}: `avae train {preset} --help` lists all options")


def _group(name: str, config: Any) -> tuple[str, Any, Any]:
    """Name, type and default of the options for one configuration, and for those nested in it.

    tyro makes one option of each field of a dataclass. So the type is a dataclass like the configuration, but with this
    configuration's values as defaults and with the help texts attached.
    """
    types = get_type_hints(type(config))
    texts = _help_texts(type(config))
    fields = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            fields.append(_group(field.name, value))
        else:
            described = Annotated[types[field.name], tyro.conf.arg(help=texts.get(field.name))]
            fields.append((field.name, described, value))
    options = dataclasses.make_dataclass(type(config).__name__, fields, frozen=True)
    about = inspect.cleandoc(type(config).__doc__ or "").partition("\n\n")[0]
    return name, Annotated[options, tyro.conf.arg(help=" ".join(about.split()))], options()


def _help_texts(kind: type) -> dict[str, str]:
    """The text below each field of a dataclass and of its parents, as one paragraph."""
    texts = {}
    for parent in reversed(kind.__mro__):
        if dataclasses.is_dataclass(parent):
            definition = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
            assert isinstance(definition, ast.ClassDef), "a dataclass is a class"
            for field, below in itertools.pairwise(definition.body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    texts[ast.unparse(field.target)] = " ".join(ast.literal_eval(below.value).split())
    return texts


def _as_dict(options: Any) -> dict[str, Any]:
    """The values of the options, with a dictionary for each group."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: _as_dict(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()}
