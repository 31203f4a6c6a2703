"""The ``avae`` command: one line for each of its commands, and the way to the module that carries it out."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from types import FunctionType

import tyro

from avae_lib.errors import UserError, one_line
from avae_lib.plugins import add_plugin
from avae_lib.training.run_guards import status_of_unfinished

__all__ = ["main"]

_COMMANDS = {
    "presets": "list what can be trained",
    "train": "train a preset, or continue a run",
    "evaluate": "bounds, likelihoods and use of each layer on held-out images",
    "sweep": "train every combination of some settings, and compare the runs",
    "compare": "compare results, costs and settings of several runs side by side",
    "report": "write the report page of a run again, also of an unfinished one",
    "sample": "draw images or sentences from a trained model",
    "interpolate": "decode a path between two held-out images, and vary single latents",
    "import-openai": "make a run folder of a checkpoint of OpenAI's Very Deep VAE code",
    "import-attentive": "make a run folder of the authors' weights of the Deep Attentive VAE",
    "export-openai": "write the weights of a Very Deep VAE for OpenAI's code",
}
"""Each command with what it does; the module of that name in ``avae_lib.commands`` has the function."""
_PACKAGES = {"sklearn": "scikit-learn", "scipy": "scipy", "PIL": "pillow", "matplotlib": "matplotlib"}
"""Modules that only some commands and data sets import, with the packages that they are installed by."""

_INTRODUCTION = """usage: avae [--import MODULE] COMMAND …

Train and examine deep latent-variable models.

Commands (`avae COMMAND --help` describes one):"""

_EXAMPLES = """Examples:
  avae presets
  avae train digits-vae                           the same command continues a run that was stopped
  avae train runs/digits-vae                      so does this, with the configuration stored in the folder
  avae train digits-vae --run-dir runs/tuned --init-from runs/digits-vae    begin from the weights of another run
  avae train digits-vae --training.steps 500      train for 500 updates; any setting can be changed like this
  avae train digits-vae --training.minutes 5      train for five minutes; the same command continues
  torchrun --nproc-per-node 2 -m avae_lib train digits-vae    train with two processes, one GPU each
  avae evaluate runs/digits-vae --split valid     on validation images
  avae evaluate runs/digits-vae                   on the test images, once all choices are made
  avae evaluate runs/digits-vae --ood NAME        and how well the model tells another data set from its own
  avae compare runs/digits-vae runs/tuned         by validation images
  avae sweep digits-vae --grid training.learning-rate.peak=1e-3,2e-3 --seeds 0,1,2    six runs, compared at the end
  avae sample runs/digits-vae
  avae interpolate runs/digits-vae --from 3 --to 7
  avae import-openai FILE.th --preset cifar10-vdvae
  avae import-attentive final_model.h5 --preset cifar10-attentive-16
  avae export-openai runs/photos32-vdvae FILE.th
"""

_NOTES = """Models of your own: write a module with a configuration, its model and a tuple PRESETS, then run
  avae --import my_models train my-preset
Setting AVAE_PLUGINS=my_models does the same for all commands, and so does an entry point "avae.presets" of an installed
package. avae_lib/models/contract.py says what a model must be able to do, and CONTRIBUTING.md has an example.

Other data sets than the embedded ones are read from the folder that AVAE_DATA names.

Exit status: 0 if all went well; 1 if the command failed, with one line that says why; 2 for wrong arguments; 75 if
SIGTERM, SIGUSR1 or SIGUSR2 has stopped training, which has saved everything: the same command continues; 130 if Ctrl-C
has interrupted it. --training.minutes that are used up are no failure: 0."""


class UnknownCommand(UserError):
    """The first word is not a command."""

    exit_status = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 1 if it failed, 2 for wrong arguments, 130 if interrupted.

    It is 75 if a scheduler's signal has stopped training, which has saved its state.

    What a user can put right is one line on standard error; any other exception is a bug and shows a traceback.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _dispatch(arguments)
    except KeyboardInterrupt as interruption:
        saved, status = str(interruption), getattr(interruption, "exit_status", 130)
        return _complain(f"{saved}; the same command continues from there" if saved else "stopped", status)
    except UserError as error:
        return _complain(one_line(error), error.exit_status)
    except BrokenPipeError:  # the reader has closed the pipe, as in `avae presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(one_line(error), 1)
    except ModuleNotFoundError as missing:
        if missing.name not in _PACKAGES:
            raise
        package = _PACKAGES[missing.name]
        return _complain(f"this needs {package}, which is not installed: pip install {package}", 1)
    return 0


def _dispatch(arguments: Sequence[str]) -> None:
    arguments = _without_imports(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return
    name, rest = arguments[0], arguments[1:]
    if name not in _COMMANDS:
        raise UnknownCommand(f"no command is called {name!r}: {_suggestion(name)}")
    with status_of_unfinished() if name == "train" else contextlib.nullcontext():
        module = importlib.import_module(f"avae_lib.commands.{name.replace('-', '_')}")
        if name == "train" and rest and not rest[0].startswith("-"):
            module.train_with_options(rest[0], rest[1:])  # the options depend on what is trained
        else:
            _run(getattr(module, name.replace("-", "_")), name, rest)


def _run(command: FunctionType, name: str, arguments: Sequence[str]) -> None:
    """Run a command; if its help is asked for, print what its docstring says in lines that fit the terminal."""
    about = re.sub(r"(?<=\S)\n(?=\S)|\n {8,}(?=\S)", " ", inspect.cleandoc(command.__doc__ or ""))
    if {"-h", "--help"} & set(arguments):
        width = min(100, shutil.get_terminal_size().columns)
        paragraphs = about.partition("\n\nArgs:")[0].split("\n\n")
        print("\n\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs), end="\n\n")
    tyro.cli(_with_docstring(inspect.unwrap(command), about), prog=f"avae {name}", description="", args=arguments)


def _with_docstring(command: FunctionType, text: str) -> FunctionType:
    """A copy of a function with another docstring, from which tyro takes the help of the options."""
    copy = FunctionType(command.__code__, command.__globals__, command.__name__, command.__defaults__)
    copy.__doc__, copy.__module__ = text, command.__module__
    copy.__annotations__, copy.__kwdefaults__ = command.__annotations__, command.__kwdefaults__
    return copy


def _without_imports(arguments: Sequence[str]) -> Sequence[str]:
    """What follows the options --import MODULE, after the modules are added to the plugins."""
    words = list(arguments)
    while words and words[0].partition("=")[0] == "--import":
        _, equals, module = words.pop(0).partition("=")
        if not equals and words:
            module = words.pop(0)
        add_plugin(module)
    return words


def _help() -> str:
    commands = "\n".join(f"  {name:18}{what}" for name, what in _COMMANDS.items())
    return f"{_INTRODUCTION}\n{commands}\n\n{_EXAMPLES}\n{_NOTES}"


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, _COMMANDS, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(_COMMANDS)}"


def _complain(message: str, status: int) -> int:
    print(f"avae: {_as_typed(message)}", file=sys.stderr)
    return status


def _as_typed(message: str) -> str:
    """A message that names settings as the command line does: training.batch-size for training.batch_size."""
    setting = r"(?<![\w./\\-])(?:data|model|training)(?:\.[a-z_0-9]+)+(?![\w/\\])"
    return re.sub(setting, lambda name: name.group().replace("_", "-"), message)
