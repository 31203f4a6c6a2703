"""What a report shows of a model of sentences at work: samples, reconstructions, a walk between two sentences."""

from __future__ import annotations

from jaxtyping import Int64
from torch import Tensor, nn

from avae_lib.report.page_parts import Panel
from avae_lib.run_sentences import interpolated_sentences, reconstructed_sentences, sampled_sentences, spread

__all__ = ["sentence_panels"]

_LINES = 8


def sentence_panels(
    model: nn.Module, sentences: Int64[Tensor, "examples length"], held_out: str, seed: int
) -> tuple[Panel, ...]:
    """The panels of a model of sentences.

    Args:
        sentences: held-out sentences; some from all over them are shown.
        held_out: what the sentences are called, "validation" or "test".
        seed: for sampling.

    >>> from avae_lib.data import recorded_model
    >>> from avae_lib.data.sentences import fixed_vocabulary
    >>> sentences = fixed_vocabulary().to_tokens([("the", "file", "is", "closed"), ("return", "a", "list")], length=21)
    >>> [panel.title for panel in sentence_panels(recorded_model("sentences"), sentences, "test", seed=0)]
    ['Samples', 'Reconstructions', 'From one sentence to another']
    """
    shown = spread(sentences, _LINES)
    return (_samples(model, seed), _reconstructions(model, shown, held_out, seed), _interpolation(model, shown))


def _samples(model: nn.Module, seed: int) -> Panel:
    text = (
        "Latents drawn from the prior and decoded in two ways: each word drawn from its distribution, which is the "
        "model itself, or the most probable known word taken each time. Both start from the same latents."
    )
    ways = (("words drawn", 1.0), ("most probable words", 0.0))
    lines = tuple((name, sampled_sentences(model, _LINES, 1.0, temperature, seed)) for name, temperature in ways)
    return Panel("samples", "Samples", text, lines=lines)


def _reconstructions(model: nn.Module, sentences: Tensor, held_out: str, seed: int) -> Panel:
    text = (
        f"{held_out.capitalize()} sentences, and below each the one decoded from its latents, most probable words. "
        "Sentences that all come back as the same few mean that the latents are ignored."
    )
    pairs = reconstructed_sentences(model, sentences, seed)
    lines = tuple(
        (str(number), (sentence, f"→ {decoded}")) for number, (sentence, decoded) in enumerate(pairs, start=1)
    )
    return Panel("reconstructions", "Reconstructions", text, lines=lines)


def _interpolation(model: nn.Module, sentences: Tensor) -> Panel:
    text = (
        "Sentences decoded on the straight line between the posterior means of two others, which stand first and last."
    )
    first, *between, last = interpolated_sentences(model, sentences[0], sentences[-1])
    lines = (("from", (first,)), ("between", tuple(between)), ("to", (last,)))
    return Panel("interpolation", "From one sentence to another", text, lines=lines)
