"""What a model, a data set and a batch size must have in common; checked before training starts."""

from __future__ import annotations

from torch import nn

from avae_lib.data import Dataset
from avae_lib.errors import InvalidInput
from avae_lib.models.contract import num_classes
from avae_lib.observations import observed_by
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "has_batch_normalisation",
    "note_on_unseen_classes",
    "reason_against_micro_batch",
    "require_batches_in_pieces",
    "require_batches_that_can_be_shared",
    "require_matching_data",
    "smallest_piece",
]


def require_matching_data(model: nn.Module, dataset: Dataset) -> None:
    """Refuse a data set whose examples or classes are not those that the model takes.

    Raises:
        InvalidInput: shape, bits, vocabulary or classes differ; the message says which setting to change.

    >>> from avae_lib.data import load
    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(image_shape=(1, 8, 8), bits=4, likelihood="discretized_logistic").build()
    >>> require_matching_data(model, load("digits"))
    """
    wanted, got = observed_by(model), dataset.observed
    if wanted != got:
        raise InvalidInput(f"the model takes {wanted}, but {dataset.name} has {got}: change {wanted.decided_by}")
    _require_matching_classes(model, dataset)


def require_batches_that_can_be_shared(model: nn.Module, batch_size: int, processes: int) -> None:
    """Refuse a batch size that the processes of a run cannot divide equally, or whose shares are too small.

    Raises:
        InvalidInput: the batch size is no multiple of the number of processes; or each process gets too few examples
            for a batch normalisation of vectors (:func:`smallest_piece`; two, if there is only one process).

    >>> require_batches_that_can_be_shared(nn.Linear(2, 2), batch_size=12, processes=4)
    """
    if batch_size % processes != 0:
        raise InvalidInput(
            f"training.batch_size is shared out among {processes} processes and must be a multiple of their number, "
            f"got {batch_size}"
        )
    least = 2 if processes == 1 else smallest_piece(model)
    if batch_size // processes < least and _normalises_vectors(model):
        raise InvalidInput(
            f"training.batch_size must be at least {least} for each process: this model normalises vectors over its "
            f"part of the batch, and fewer of them have too little spread; got {batch_size} for {processes}"
        )


def has_batch_normalisation(model: nn.Module) -> bool:
    """Whether a layer normalises by the statistics of a batch.

    >>> has_batch_normalisation(nn.Sequential(nn.BatchNorm2d(3))), has_batch_normalisation(nn.GroupNorm(1, 3))
    (True, False)
    """
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def smallest_piece(model: nn.Module) -> int:
    """Fewest examples in a piece of a batch with which training is sensible.

    A batch normalisation of vectors divides by their spread, and a few vectors may have hardly any. Gradients of
    digits-ladder are about as long with pieces of eight as with all 64 at once; with pieces of two they are thousands
    of times as long.

    >>> smallest_piece(nn.BatchNorm1d(3)), smallest_piece(nn.Linear(3, 3))
    (8, 1)
    """
    return 8 if _normalises_vectors(model) else 1


def reason_against_micro_batch(model: nn.Module) -> str | None:
    """Why a batch must not be computed in pieces, if the model says so (``compares_images`` in its contract).

    >>> from avae_lib.models.wasserstein_ae import WassersteinAEConfig
    >>> reason_against_micro_batch(WassersteinAEConfig().build())
    'its distance from the prior compares the images of a batch'
    """
    return getattr(model, "compares_images", None)


def require_batches_in_pieces(model: nn.Module, config: TrainingConfig, share: int) -> None:
    """Refuse ``micro_batch`` for a model whose result would depend on it.

    Args:
        model: the model.
        config: how it is trained.
        share: examples of each batch that one process computes.

    Raises:
        InvalidInput: the model compares the images of a batch; or a piece would have too few examples for a batch
            normalisation of vectors (:func:`smallest_piece`).

    >>> require_batches_in_pieces(nn.Linear(2, 2), TrainingConfig(micro_batch=8), share=32)
    """
    if config.micro_batch is None or config.micro_batch >= share:
        return
    reason = reason_against_micro_batch(model)
    if reason is not None:
        raise InvalidInput(
            f"training.micro_batch must be None for this model ({reason}), got {config.micro_batch}: a smaller "
            "training.batch_size also needs less memory"
        )
    least = smallest_piece(model)
    if min(sizes_of_pieces(share, config.micro_batch)) < least:
        wanted = next(
            size for size in range(least, share + least) if min(sizes_of_pieces(share, size)) >= least or size >= share
        )
        raise InvalidInput(
            f"training.micro_batch must be at least {wanted} for {share} examples of each batch: this model normalises "
            f"vectors over a piece, and fewer than {least} have too little spread; got {config.micro_batch}"
        )


def _normalises_vectors(model: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm1d) for module in model.modules())


def note_on_unseen_classes(model: nn.Module, dataset: Dataset) -> str:
    """A line on the classes of a conditional model that no training example has; empty if there are none.

    >>> from avae_lib.data import load
    >>> note_on_unseen_classes(nn.Linear(2, 2), load("digits"))
    ''
    """
    classes, labels = num_classes(model), dataset.labels("train")
    if not classes or labels is None:
        return ""
    seen = labels.unique().tolist()
    if len(seen) == classes:
        return ""
    return (
        f"note: of the {classes} classes of the model, the training images of {dataset.name} have only "
        f"{', '.join(map(str, seen))}; the others stay untrained, and samples of them show nothing"
        f"{f': --model.num-classes {max(seen) + 1}' if max(seen) + 1 < classes else ''}\n"
    )


def _require_matching_classes(model: nn.Module, dataset: Dataset) -> None:
    classes, labels = num_classes(model), dataset.labels("train")
    if not classes and labels is not None:
        raise InvalidInput("data.labels must be false: this model takes no labels, so it would not use them")
    if classes and labels is None:
        raise InvalidInput(
            f"data.labels must be true: this model is conditional on one of {classes} classes, "
            f"but {dataset.name} gives it no labels"
        )
    if classes and labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InvalidInput(
            f"the model takes labels 0 … {classes - 1}, but those of {dataset.name} are "
            f"{int(labels.min())} … {int(labels.max())}: change model.num_classes"
        )
