"""What a report shows of a model at work: samples, reconstructions, classes and codes, where the model has them."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor

from avae_lib import plotting
from avae_lib.evaluation import CodeUsage, Evaluation
from avae_lib.models.contract import num_classes
from avae_lib.observations import AnyModel, Tokens, observed_by
from avae_lib.report.embedding import inline_svg
from avae_lib.report.latent_panels import latent_panels
from avae_lib.report.page_parts import Chart, Panel, image_strips
from avae_lib.report.sentence_panels import sentence_panels
from avae_lib.run_pictures import class_rows, depth_rows, temperature_rows

__all__ = ["panels"]

_IMAGES_IN_A_ROW = 12
_CODES_SIZE = (4.0, 2.2)  # inches, as narrow as the other graphs of a page


def panels(
    model: AnyModel,
    images: Tensor,
    labels: Int[Tensor, " examples"] | None,
    held_out: str,
    evaluation: Evaluation,
    seed: int,
) -> tuple[Panel, ...]:
    """The panels of a model, chosen by what it offers.

    Args:
        images: held-out images, of which the first twelve are reconstructed; or sentences.
        labels: their classes, for a conditional model.
        held_out: what the images are called, "validation" or "test".
        evaluation: numbers that were measured on them.
        seed: for sampling.

    >>> import torch
    >>> from avae_lib.evaluation import evaluate
    >>> from avae_lib.models.vae import VAEConfig
    >>> model, images = VAEConfig().build(), torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    >>> shown = panels(model, images, None, "test", evaluate(model, images, importance_samples=1), seed=0)
    >>> [panel.title for panel in shown]
    ['Samples', 'Reconstructions', 'From one image to another', 'Along single latents']
    """
    if isinstance(observed_by(model), Tokens):
        return sentence_panels(model, images, held_out, seed)
    shown = images[:_IMAGES_IN_A_ROW]
    found = [_samples(model, seed, has_codes=evaluation.code_usage is not None)]
    if num_classes(model):
        found.append(_classes(model, seed))
    found.append(_reconstructions(model, shown, None if labels is None else labels[: len(shown)], held_out, seed))
    found += latent_panels(model, shown, None if labels is None else labels[: len(shown)], held_out, seed)
    if evaluation.code_usage is not None:
        found.append(_codes(evaluation.code_usage, held_out))
    return tuple(found)


def _samples(model: AnyModel, seed: int, has_codes: bool) -> Panel:
    text = (
        "Codes drawn from the prior, and pixels from the likelihood given the codes. A temperature below 1 favours "
        "probable codes; on a uniform prior it has no effect."
        if has_codes
        else "Drawn from the prior, with its standard deviations multiplied by a temperature: 1 is the model itself, "
        "less shows fewer and more typical images. Each column starts from the same noise."
    )
    rows = temperature_rows(model, count=_IMAGES_IN_A_ROW, seed=seed)
    return Panel("samples", "Samples", text, strips=image_strips(rows, model.bits, "sampled images"))


def _classes(model: AnyModel, seed: int) -> Panel:
    text = (
        "One row for each class that the model was asked for. All rows start from the same noise, so what the images "
        "of a column have in common comes from the latents, and what differs from the class."
    )
    rows = class_rows(model, count=_IMAGES_IN_A_ROW, seed=seed)
    return Panel("classes", "Samples of each class", text, strips=image_strips(rows, model.bits, "sampled images"))


def _reconstructions(model: AnyModel, images: Tensor, labels: Tensor | None, held_out: str, seed: int) -> Panel:
    strips = image_strips(depth_rows(model, images, seed, labels), model.bits, "images")
    if model.num_layers == 1:
        text = (
            f"{held_out.capitalize()} images, the same images from their latents, and images for which the latents "
            "were drawn from the prior instead."
        )
        return Panel("reconstructions", "Reconstructions", text, strips=strips)
    text = (
        f"{held_out.capitalize()} images, and what is left of them when only the top layers keep the latents inferred "
        "from the image, while those below are drawn anew from the prior. What stays is what the kept layers know."
    )
    return Panel("reconstructions", "Reconstructions by depth", text, strips=strips)


def _codes(usage: CodeUsage, held_out: str) -> Panel:
    text = (
        f"How often each code is used to encode {held_out} images. Codes that are never used are lost capacity. The "
        "perplexity is the number of codes that would carry as much information if all were used equally often."
    )
    chart = Chart(
        "Share of each code",
        "The dotted line is where all bars would end if each code were used equally often.",
        inline_svg(
            plotting.codes_in_use(usage.counts, usage.perplexity, size=_CODES_SIZE),
            f"Bars of the share of positions that each code takes, sorted; {usage.text()}",
        ),
    )
    return Panel("codes", "Use of the codebook", text, charts=(chart,))
