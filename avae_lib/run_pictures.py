"""Pictures from a trained model: samples, reconstructions, and the information in each depth of latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from avae_lib import plotting
from avae_lib.atomic_write import write_atomically
from avae_lib.data import DataConfig, split_to_look_at
from avae_lib.evaluation import code_usage, measuring
from avae_lib.models.contract import ModelWithCodes, label_arguments, num_classes
from avae_lib.observations import AnyModel, Tokens, observed_by
from avae_lib.run_sentences import write_sentences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "class_rows",
    "depth_rows",
    "kept_depths",
    "temperature_rows",
    "write_classes",
    "write_code_usage",
    "write_interpolation",
    "write_pictures",
    "write_reconstructions",
    "write_samples",
    "write_traversal",
]

_MOST_ROWS = 7
_MOST_CLASSES = 20


def write_pictures(
    model: AnyModel,
    data: DataConfig,
    folder: Path,
    count: int = 64,
    temperature: float | Sequence[float] = 1.0,
    seed: int = 0,
) -> Iterator[Path]:
    """Write the pictures of a model one after the other, and yield the path of each.

    ``samples.png``, of a conditional model ``classes.png``, ``reconstructions.png`` of validation images (test images
    if the data set has no others), and of a model with a codebook ``codes.png``. The data are loaded once the pictures
    that need none are written. A model of sentences has
    text files instead (:func:`avae_lib.run_sentences.write_sentences`).

    Args:
        data: images or sentences that the model was trained on.
        folder: folder of the files.
        count: images in ``samples.png``.
        temperature: factor on the prior's standard deviation, for all layers or one for each, top first.
        seed: for sampling.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(hidden_sizes=(16,)).build()
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in write_pictures(model, DataConfig("digits", binarize="dynamic"), Path(folder))]
    ['samples.png', 'reconstructions.png']
    """
    if isinstance(observed_by(model), Tokens):
        yield from write_sentences(model, data, folder, count, temperature, seed)
        return
    yield write_samples(model, folder / "samples.png", count, temperature, seed)
    if num_classes(model):
        yield write_classes(model, folder / "classes.png", temperature, seed)
    dataset = data.load()
    split = split_to_look_at(dataset)
    images, labels = dataset.examples(split), dataset.labels(split)
    yield write_reconstructions(model, images, folder / "reconstructions.png", seed, labels=labels)
    if isinstance(model, ModelWithCodes):
        yield write_code_usage(model, images, folder / "codes.png", labels)


def temperature_rows(
    model: AnyModel, temperatures: Sequence[float] = (0.5, 0.7, 0.85, 1.0), count: int = 16, seed: int = 0
) -> dict[str, UInt8[Tensor, "count channels height width"]]:
    """Samples at several temperatures, ``{"temperature 0.5": images, …}``, all from the same noise.

    >>> from avae_lib.models.vae import VAEConfig
    >>> rows = temperature_rows(VAEConfig().build(), temperatures=(0.5, 1.0), count=4)
    >>> {label: tuple(images.shape) for label, images in rows.items()}
    {'temperature 0.5': (4, 1, 8, 8), 'temperature 1': (4, 1, 8, 8)}
    """
    rows = {}
    for temperature in temperatures:
        with measuring(model, seed):
            rows[f"temperature {temperature:g}"] = model.sample(count, temperature).cpu()
    return rows


def class_rows(
    model: AnyModel, temperature: float | Sequence[float] = 1.0, count: int = 12, seed: int = 0
) -> dict[str, UInt8[Tensor, "count channels height width"]]:
    """Samples of each class of a conditional model, ``{"class 0": images, …}``, at most 20 classes.

    All rows are drawn from the same noise: what a column has in common comes from the latents, not from the class.

    >>> from avae_lib.models.conditional_vae import ConditionalVAEConfig
    >>> list(class_rows(ConditionalVAEConfig(num_classes=3).build(), count=2))
    ['class 0', 'class 1', 'class 2']
    """
    device = next(model.parameters()).device
    rows = {}
    for number in range(min(num_classes(model), _MOST_CLASSES)):
        labels = torch.full((count,), number, device=device)
        with measuring(model, seed):
            rows[f"class {number}"] = model.sample(count, temperature, labels=labels).cpu()
    return rows


def depth_rows(
    model: AnyModel,
    images: UInt8[Tensor, "count channels height width"],
    seed: int = 0,
    labels: Int[Tensor, " count"] | None = None,
) -> dict[str, UInt8[Tensor, "count channels height width"]]:
    """Images, and what is left of them when ever fewer layers keep their latents and the others are drawn anew.

    Labelled rows, from the data over reconstructions to samples that know nothing of it.

    >>> from avae_lib.data import load, recorded_model
    >>> list(depth_rows(recorded_model("two-levels-photos32"), load("photos32").test[:2]))
    ['data', 'all 2 layers', 'top layer kept', 'no layer kept']
    """
    device = next(model.parameters()).device
    rows = {"data": images.cpu()}
    classes = {name: values.to(device) for name, values in label_arguments(model, labels).items()}
    for keep in kept_depths(model.num_layers):
        with measuring(model, seed):
            rows[_depth_label(keep, model.num_layers)] = model.reconstruct(images.to(device), keep, **classes).cpu()
    return rows


def kept_depths(num_layers: int) -> tuple[int, ...]:
    """How many top layers are kept in each row: from all to none, at most seven rows, evenly spread.

    >>> kept_depths(2), kept_depths(12)
    ((2, 1, 0), (12, 10, 8, 6, 4, 2, 0))
    """
    count = min(num_layers + 1, _MOST_ROWS)
    return tuple(round(num_layers * (1 - row / (count - 1))) for row in range(count))


def write_samples(
    model: AnyModel, path: Path, count: int = 64, temperature: float | Sequence[float] = 1.0, seed: int = 0
) -> Path:
    r"""Write images drawn from the prior as one PNG; returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> with TemporaryDirectory() as folder:
    ...     write_samples(VAEConfig().build(), Path(folder) / "samples.png", count=4).read_bytes()[:4]
    b'\x89PNG'
    """
    with measuring(model, seed):
        images = model.sample(count, temperature).cpu()
    return _write(plotting.image_grid(images, model.bits, title=f"samples at {_in_words(temperature)}"), path)


def write_reconstructions(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"],
    path: Path,
    seed: int = 0,
    count: int = 12,
    labels: Int[Tensor, " examples"] | None = None,
) -> Path:
    r"""Write the first ``count`` images and their :func:`depth_rows` as one PNG; returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> model, images = VAEConfig().build(), torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     write_reconstructions(model, images, Path(folder) / "reconstructions.png").read_bytes()[:4]
    b'\x89PNG'
    """
    rows = depth_rows(model, images[:count], seed, None if labels is None else labels[:count])
    return _write(plotting.image_rows(rows, model.bits), path)


def write_classes(model: AnyModel, path: Path, temperature: float | Sequence[float] = 1.0, seed: int = 0) -> Path:
    r"""Write the :func:`class_rows` of a conditional model as one PNG; returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.conditional_vae import ConditionalVAEConfig
    >>> with TemporaryDirectory() as folder:
    ...     write_classes(ConditionalVAEConfig().build(), Path(folder) / "classes.png").read_bytes()[:4]
    b'\x89PNG'
    """
    title = f"samples of each class at {_in_words(temperature)}"
    return _write(plotting.image_rows(class_rows(model, temperature, seed=seed), model.bits, title), path)


def write_code_usage(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"],
    path: Path,
    labels: Int[Tensor, " examples"] | None = None,
) -> Path:
    r"""Write how often each code is used for some images as one PNG; returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.data import load, recorded_model
    >>> model, images = recorded_model("codes-photos32"), load("photos32").test[:4]
    >>> with TemporaryDirectory() as folder:
    ...     write_code_usage(model, images, Path(folder) / "codes.png").read_bytes()[:4]
    b'\x89PNG'
    """
    with measuring(model):
        usage = code_usage(model, images, labels=labels)
    return _write(plotting.codes_in_use(usage.counts, usage.perplexity), path)


def write_interpolation(
    model: AnyModel,
    first: UInt8[Tensor, "channels height width"],
    last: UInt8[Tensor, "channels height width"],
    path: Path,
    steps: int = 9,
    **options: Any,
) -> Path:
    r"""Write the way from one image to another as one PNG (:func:`avae_lib.plotting.interpolation`); returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> model, (first, last) = VAEConfig().build(), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     write_interpolation(model, first, last, Path(folder) / "interpolation.png").read_bytes()[:4]
    b'\x89PNG'
    """
    with measuring(model):
        return _write(plotting.interpolation(model, first, last, steps, **options), path)


def write_traversal(
    model: AnyModel,
    image: UInt8[Tensor, "channels height width"],
    path: Path,
    layer: int = 1,
    steps: int = 9,
    **options: Any,
) -> Path:
    r"""Write what single units of a layer do as one PNG (:func:`avae_lib.plotting.traversal`); returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "traversal.png"
    ...     write_traversal(VAEConfig().build(), torch.zeros(1, 8, 8, dtype=torch.uint8), path).read_bytes()[:4]
    b'\x89PNG'
    """
    where = f"layer {layer} of {model.num_layers}, " if model.num_layers > 1 else ""
    title = f"{where}each unit from −3 to 3 standard deviations of its prior"
    with measuring(model):
        return _write(plotting.traversal(model, image, layer, steps=steps, title=title, **options), path)


def _in_words(temperature: float | Sequence[float]) -> str:
    """One temperature, or those of the layers; of many layers the first and the last two."""
    if isinstance(temperature, float | int):
        return f"temperature {temperature:g}"
    words = [f"{of_layer:g}" for of_layer in temperature]
    if len(words) > _MOST_ROWS:
        words = [*words[:2], "…", *words[-2:]]
    return f"temperatures {', '.join(words)} (top layer first)"


def _depth_label(keep: int, num_layers: int) -> str:
    if keep == num_layers:
        return "reconstruction" if num_layers == 1 else f"all {num_layers} layers"
    if keep == 0:
        return "no layer kept"
    return "top layer kept" if keep == 1 else f"top {keep} layers kept"


def _write(figure: Figure, path: Path) -> Path:
    write_atomically(path, plotting.png_bytes(figure))
    return path
