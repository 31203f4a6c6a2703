"""The VAE of sentences of Bowman et al. (2016): LSTMs read a sentence into one vector and write one from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.likelihoods import draw_component
from avae_lib.models.contract import Inference
from avae_lib.models.requirements import (
    require_at_least,
    require_count,
    require_draws,
    require_latent_shape,
    require_layer_count,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.nn.precision import at_least_float32
from avae_lib.objectives import ELBO
from avae_lib.observations import END, PADDING, START, UNKNOWN, WORDS_BEGIN, require_sentences

__all__ = ["TextVAE", "TextVAEConfig"]


@dataclass(frozen=True)
class TextVAEConfig:
    """Configuration of a VAE of sentences.

    >>> TextVAEConfig(sequence_length=6, vocabulary_size=9).build().sample(2).shape
    torch.Size([2, 6])
    """

    sequence_length: int = 21
    """Most tokens of a sentence, its end included."""
    vocabulary_size: int = 1504
    """Number of different tokens: the words of the vocabulary and four that stand for no known word."""
    embedding_dim: int = 96
    """Numbers that stand for a token where an LSTM reads it; encoder and decoder use the same ones."""
    hidden_dim: int = 128
    """Width of both LSTMs."""
    latent_dim: int = 16
    """Number of latent variables of a sentence."""
    word_dropout: float = 0.3
    """Fraction of the words before it that the decoder does not see in training, drawn anew each time; it reads
    "unknown" in their place."""

    def __post_init__(self) -> None:
        require_at_least(2, self, "sequence_length")
        require_at_least(WORDS_BEGIN, self, "vocabulary_size")
        require_at_least(1, self, "embedding_dim", "hidden_dim", "latent_dim")
        if not 0 <= self.word_dropout <= 1:
            raise InvalidInput(f"word_dropout must be a fraction, 0 to 1, got {self.word_dropout}")

    def build(self) -> TextVAE:
        """A model with fresh weights."""
        return TextVAE(self)


class TextVAE(nn.Module):
    r"""Sentences explained by one standard normal vector.

    .. math:: p(x) = \int \mathcal{N}(z; 0, I) \prod_t p(x_t \mid x_{<t}, z)\, dz, \qquad
              q(z \mid x) = \mathcal{N}\bigl(z; \mu(x), \mathrm{diag}\,\sigma^2(x)\bigr)

    An LSTM reads the whole sentence; mean and log standard deviation of q are linear in its last state. A second LSTM
    starts from a state that is linear in z, reads the words before :math:`x_t`, each with z beside it, and predicts
    :math:`x_t`. A decoder that reads all words before can predict well without z, and then the posterior collapses to
    the prior. Bowman et al. (2016) use two remedies: ``word_dropout`` hides words from the decoder in training, and
    ``training.kl_weight.warmup_steps`` gives the KL its full weight only after a while. A third remedy is
    ``training.kl_weight.free_bits``.

    A sentence of ``sequence_length − 1`` words can only end, so the probabilities of all sentences sum to 1.

    Meets the contract of :class:`avae_lib.models.contract.LatentVariableModel`, with ``sequence_length`` and
    ``vocabulary_size`` in place of ``image_shape`` and ``bits``, and tokens, int64 ``(batch, length)``, in place of
    pixels. Rows may be shorter than ``sequence_length``. Everything measured is in nats, summed over one sentence.

    >>> model = TextVAEConfig(sequence_length=6, vocabulary_size=9).build()
    >>> sentence = torch.tensor([[4, 7, 5, END, PADDING, PADDING]])
    >>> model(sentence).bound.shape, model.sample(2).shape
    (torch.Size([1]), torch.Size([2, 6]))
    """

    num_layers = 1

    def __init__(self, config: TextVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.sequence_length, self.vocabulary_size = config.sequence_length, config.vocabulary_size
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
        self.encoder = nn.LSTM(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.to_posterior = nn.Linear(config.hidden_dim, 2 * config.latent_dim)
        self.to_first_state = nn.Linear(config.latent_dim, 2 * config.hidden_dim)
        self.decoder = nn.LSTM(config.embedding_dim + config.latent_dim, config.hidden_dim, batch_first=True)
        # Neither padding nor the start is ever predicted: outcome 0 is the end, outcome 1 an unknown word, and so on.
        self.to_outcomes = nn.Linear(config.hidden_dim, config.vocabulary_size - END)

    def posterior(self, x: Int64[Tensor, "batch length"]) -> DiagonalGaussian:
        """q(z | x), with elements ``(batch, latent_dim)``; refuses anything but sentences with a reason."""
        require_sentences(x, self.sequence_length, self.vocabulary_size)
        states, _ = self.encoder(self.embedding(x))
        at_end = (x == END).long().argmax(dim=1)
        after_sentence = states[torch.arange(len(x), device=x.device), at_end]
        mean, log_std = at_least_float32(self.to_posterior(after_sentence)).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_std)

    def forward(
        self,
        x: Int64[Tensor, "batch length"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        z, posterior = self._drawn(x, posterior_temperature, generator)
        kl = posterior.kl(DiagonalGaussian.standard_like(z))
        return ELBO(self.log_likelihood(x, z, generator), kl.unsqueeze(1))

    def infer(
        self,
        x: Int64[Tensor, "batch length"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        z, posterior = self._drawn(x, posterior_temperature, generator)
        return Inference((z,), (posterior,), (DiagonalGaussian.standard_like(z),))

    def log_weight(
        self, x: Int64[Tensor, "batch length"], keep_layers: int | None = None, generator: Generator | None = None
    ) -> Float[Tensor, "batch"]:
        proposal = self._proposal(x, keep_layers)
        z = proposal.sample(generator=generator)
        prior = DiagonalGaussian.standard_like(z)
        return self.log_likelihood(x, z, generator) + prior.log_prob(z) - proposal.log_prob(z)

    def log_likelihood(
        self, x: Int64[Tensor, "batch length"], z: Float[Tensor, "batch latent"], generator: Generator | None = None
    ) -> Float[Tensor, "batch"]:
        """log p(x | z) of each sentence, nats.

        Args:
            generator: in training mode, of the words that the decoder does not see.
        """
        return self.token_log_likelihood(x, z, generator).sum(dim=1)

    def token_log_likelihood(
        self, x: Int64[Tensor, "batch length"], z: Float[Tensor, "batch latent"], generator: Generator | None = None
    ) -> Float[Tensor, "batch length"]:
        """log p(x_t | x_<t, z) of each token, nats; 0 for padding, and for the end of the longest sentences."""
        predicted = x[:, : self.sequence_length - 1]
        states, _ = self.decoder(self._beside(z, self._read_by_decoder(predicted, generator)), self._first_state(z))
        logits = at_least_float32(self.to_outcomes(states))
        costs = functional.cross_entropy(
            logits.flatten(end_dim=1), predicted.flatten() - END, ignore_index=PADDING - END, reduction="none"
        )
        return functional.pad(-costs.unflatten(0, predicted.shape), (0, x.shape[1] - predicted.shape[1]))

    @torch.no_grad()
    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
        word_temperature: float = 0.0,
    ) -> Int64[Tensor, "batch length"]:
        r"""A sentence for each z, word by word.

        Args:
            draws: z, ``(batch, latent_dim)``, or a list with this one item.
            temperature: has no effect, as the only layer is given.
            word_temperature: 0 takes the most probable known word, or the end, each time (greedy decoding); 1 draws
                each word from its distribution; between them, from :math:`p^{1 / \mathrm{temperature}}`, normalised.
            generator: of the words drawn; torch's global one if not given.
        """
        require_temperature("word_temperature", word_temperature)
        (z,) = require_draws(draws, self.num_layers)
        assert z is not None, "require_draws has refused draws without a latent"
        require_latent_shape(0, z, (self.config.latent_dim,))
        words = [z.new_full((len(z),), START, dtype=torch.int64)]
        state = self._first_state(z)
        for _ in range(self.sequence_length - 1):
            states, state = self.decoder(self._beside(z, words[-1][:, None]), state)
            chosen = END + _choose(at_least_float32(self.to_outcomes(states[:, 0])), word_temperature, generator)
            words.append(_unless_ended(words[-1], chosen))
        words.append(_unless_ended(words[-1], torch.full_like(words[-1], END)))
        return torch.stack(words[1:], dim=1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
        word_temperature: float = 1.0,
    ) -> Int64[Tensor, "n length"]:
        """``n`` sentences drawn from the prior and the likelihood.

        Args:
            temperature: factor on the prior's standard deviation.
            word_temperature: as for :meth:`decode`.
        """
        require_count(n)
        (temperature,) = temperature_of_each_layer(temperature, self.num_layers)
        like = next(self.parameters()).new_empty(n, self.config.latent_dim)
        z = DiagonalGaussian.standard_like(like).sample(temperature=temperature, generator=generator)
        return self.decode(z, word_temperature=word_temperature, generator=generator)

    @torch.no_grad()
    def reconstruct(
        self, x: Int64[Tensor, "batch length"], keep_layers: int | None = None, generator: Generator | None = None
    ) -> Int64[Tensor, "batch length"]:
        """Sentences decoded greedily from a draw of the posterior given ``x``; with ``keep_layers`` 0, of the prior."""
        return self.decode(self._proposal(x, keep_layers).sample(generator=generator))

    @torch.no_grad()
    def interpolate(
        self, first: Int64[Tensor, " length"], last: Int64[Tensor, " length"], steps: int = 7
    ) -> Int64[Tensor, "steps length"]:
        """Sentences decoded greedily on the straight line from the posterior mean of one sentence to that of another.

        Args:
            first, last: two sentences, as rows of tokens.
            steps: number of points on the line, both ends included.

        Raises:
            ValueError: fewer than two steps, or more than one sentence at an end.
        """
        if steps < 2:
            raise InvalidInput(f"steps must be at least 2, the two ends, got {steps}")
        if first.ndim != 1 or last.ndim != 1:
            raise InvalidInput(
                f"first and last must be rows of tokens, got {tuple(first.shape)} and {tuple(last.shape)}"
            )
        start, stop = (self.posterior(row[None]).mean for row in (first, last))
        share = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
        return self.decode(torch.lerp(start, stop, share))

    def latents(
        self, x: Int64[Tensor, "batch length"], generator: Generator | None = None
    ) -> tuple[DiagonalGaussian, ...]:
        return (self.posterior(x),)

    def _drawn(self, x: Tensor, temperature: float, generator: Generator | None) -> tuple[Tensor, DiagonalGaussian]:
        """z, and the posterior that it is drawn from."""
        require_temperature("posterior_temperature", temperature)
        posterior = self.posterior(x)
        return posterior.sample(temperature=temperature, generator=generator), posterior

    def _proposal(self, x: Tensor, keep_layers: int | None) -> DiagonalGaussian:
        """What z is drawn from: the posterior, or with no layers kept the prior."""
        require_layer_count(keep_layers)
        posterior = self.posterior(x)
        return DiagonalGaussian.standard_like(posterior.mean) if keep_layers == 0 else posterior

    def _read_by_decoder(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """What the decoder reads before it predicts each token of ``x``: the start and the tokens before that one."""
        if self.training:
            drawn_on = x.device if generator is None else generator.device
            hidden = torch.rand(x.shape, generator=generator, device=drawn_on).to(x.device) < self.config.word_dropout
            x = torch.where(hidden, UNKNOWN, x)
        return functional.pad(x[:, :-1], (1, 0), value=START)

    def _beside(self, z: Tensor, tokens: Tensor) -> Tensor:
        """The vectors of the tokens, each with z behind it, ``(batch, length, embedding_dim + latent_dim)``."""
        return torch.cat([self.embedding(tokens), z.unsqueeze(1).expand(-1, tokens.shape[1], -1)], dim=2)

    def _first_state(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's hidden and cell state before the first word, each ``(1, batch, hidden_dim)``."""
        hidden, cell = self.to_first_state(z).unsqueeze(0).chunk(2, dim=2)
        return hidden.tanh().contiguous(), cell.contiguous()


def _choose(logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
    """The most probable outcome of each row at temperature 0, else one drawn from the tempered distribution."""
    if temperature == 0:
        # "Unknown" is often the most probable, since it stands for all rare words together, but it cannot be read.
        is_unknown = torch.arange(logits.shape[1], device=logits.device) == UNKNOWN - END
        return logits.masked_fill(is_unknown, -torch.inf).argmax(dim=1)
    return draw_component(logits / temperature, generator).squeeze(1)


def _unless_ended(before: Tensor, token: Tensor) -> Tensor:
    """The next token, or padding where the one before has ended the sentence."""
    return torch.where((before == END) | (before == PADDING), PADDING, token)
