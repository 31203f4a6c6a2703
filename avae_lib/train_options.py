"""The options of ``avae train``: one for each field of a preset's configuration, with the field's text as its help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from avae_lib.errors import InvalidInput, UserError
from avae_lib.nn.output_heads import LIKELIHOODS, ReleasedFiveBitHead
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import LATEST
from avae_lib.training.experiment import Experiment
from avae_lib.training.older_configs import PLACES

__all__ = ["TrainOptions", "WrongOption", "parse_train_options"]

_FOLDER = "Folder of the run. If it has a checkpoint, training continues from it."
_INIT_FROM = (
    "Folder of another run: a new run begins from its weights. The model must have the same tensors; where else it "
    "differs is said and noted, for example for fine-tuning under another objective. Data set and training may differ. "
    "The other run stays as it is."
)
_INIT_WEIGHTS = (
    "With --init-from: file of weights in that folder: weights.safetensors has the latest, best.safetensors those with "
    "the best validation bound."
)
_REPORT = "Write report.html at the end."


class WrongOption(UserError, ValueError):
    """An option that does not exist under this name, or a value that the configuration refuses."""

    exit_status = 2


@dataclass(frozen=True)
class TrainOptions:
    """What ``avae train`` was asked for.

    >>> from avae_lib.presets import find_preset
    >>> TrainOptions(find_preset("digits-vae"), Path("runs/mine")).report
    True
    """

    experiment: Experiment
    """The experiment with the changes that the options make."""
    run_dir: Path
    """Folder of the run."""
    init_from: Path | None = None
    """Folder of the run whose weights the new one begins from; None for fresh weights."""
    init_weights: str = LATEST
    """File of weights in that folder."""
    report: bool = True
    """Whether to write the report."""


def parse_train_options(base: Experiment, arguments: Sequence[str], run_dir: Path | None = None) -> TrainOptions:
    """The options of ``avae train`` for a preset, or for the experiment in a run folder.

    Args:
        base: the experiment that the options change.
        arguments: the options as typed.
        run_dir: folder of the run that ``base`` was read from; None for a preset, whose runs lie in ``runs``.

    Raises:
        WrongOption: an option has another name, or the configuration refuses a value; the message says what to do.

    >>> from avae_lib.presets import find_preset
    >>> options = parse_train_options(find_preset("digits-vae"), ["--training.learning-rate.peak", "0.01"])
    >>> options.experiment.training.learning_rate.peak, options.run_dir.name
    (0.01, 'digits-vae')
    """
    named = base.name if run_dir is None else str(run_dir)
    _require_grouped_names(arguments, named)
    groups = [_group(name, getattr(base, name)) for name in ("data", "model", "training")]
    folder = _options_beside_the_groups(run_dir or Path("runs") / base.name)
    options = dataclasses.make_dataclass("Options", [*folder, *groups], frozen=True)
    options.__doc__ = _about(base, run_dir)
    values = _as_dict(tyro.cli(options, prog=f"avae train {named}", args=arguments))
    others = {name: values.pop(name) for name, _, _ in folder}
    if others["init_from"] is None and _names(arguments) & {"--init-weights", "--init_weights"}:
        raise WrongOption(
            f"--init-weights {others['init_weights']} needs --init-from RUN, the run folder that holds this file"
        )
    try:
        return TrainOptions(derive(base, **values), **others)
    except InvalidInput as problem:
        raise WrongOption(str(problem)) from problem


def _options_beside_the_groups(run_dir: Path) -> list[tuple[str, Any, Any]]:
    """Name, type and default of each option that is no field of the configuration."""
    other_run = tyro.conf.arg(help=_INIT_FROM, metavar="RUN", help_behavior_hint="")
    return [
        ("run_dir", Annotated[Path, tyro.conf.arg(help=_FOLDER, metavar="DIR")], run_dir),
        ("init_from", Annotated[Path | None, other_run], None),
        ("init_weights", Annotated[str, tyro.conf.arg(help=_INIT_WEIGHTS, metavar="FILE")], LATEST),
        ("report", Annotated[bool, tyro.conf.arg(help=_REPORT)], True),
    ]


def _about(base: Experiment, run_dir: Path | None) -> str:
    if run_dir is None:
        return f"Train {base.name} ({base.source})."
    return (
        f"Continue the run in {run_dir} with its stored configuration. Its length (--training.steps), what it writes "
        "(--training.logging), which updates it skips (--training.skipping) and how the machine is used may be "
        "changed; anything else is refused. With another --run-dir: a new run of the same configuration, in which "
        "everything may be changed."
    )


def _require_grouped_names(arguments: Sequence[str], preset: str) -> None:
    """Refuse an option named after a field alone, without the group that the field belongs to; name the full option."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        name = flag.removeprefix("--training.").removeprefix("no-").replace("-", "_")
        if flag.startswith("--training.") and name in PLACES:
            place = PLACES[name].replace("_", "-")
            raise WrongOption(f"{flag} is called --training.{place}: `avae train {preset} --help` lists all options")


def _names(arguments: Sequence[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}


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
            text = texts.get(field.name)
            shown = tyro.conf.arg(help=text, **_shown(field.name, value, text or ""))
            described = Annotated[types[field.name], shown]
            fields.append((field.name, described, value))
    options = dataclasses.make_dataclass(type(config).__name__, fields, frozen=True)
    about = inspect.cleandoc(type(config).__doc__ or "").partition("\n\n")[0]
    return name, Annotated[options, tyro.conf.arg(help=_plain(about))], options()


def _shown(name: str, value: Any, text: str) -> dict[str, Any]:
    """What stands in the place of a value in the help, where its type says too little."""
    if value == ():
        return {"help_behavior_hint": "(default: none)"}
    if name == "device" and isinstance(value, str):
        return {"metavar": "DEVICE"}
    # A model explains those of the likelihoods that it can have.
    explained = [kind for kind in (*LIKELIHOODS, ReleasedFiveBitHead.name) if re.search(rf"\b{kind}\b", text)]
    return {"metavar": "|".join(explained)} if name == "likelihood" and explained else {}


def _help_texts(kind: type) -> dict[str, str]:
    """The text below each field of a dataclass and of its parents, as one paragraph."""
    texts = {}
    for parent in reversed(kind.__mro__):
        if dataclasses.is_dataclass(parent):
            definition = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
            assert isinstance(definition, ast.ClassDef), "a dataclass is a class"
            for field, below in itertools.pairwise(definition.body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    texts[ast.unparse(field.target)] = _plain(ast.literal_eval(below.value))
    return texts


def _plain(text: str) -> str:
    """A docstring as one paragraph, without marks for the reference: of a class in a module the name alone."""
    return " ".join(re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`|``(.+?)``", r"\1\2", text).split())


def _as_dict(options: Any) -> dict[str, Any]:
    """The values of the options, with a dictionary for each group."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: _as_dict(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()}
