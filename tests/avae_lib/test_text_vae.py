"""The VAE of sentences against loops in float64, enumeration and quadrature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avae_lib.evaluation import measuring
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.text_vae import TextVAE, TextVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.observations import END, PADDING, START, UNKNOWN, Pixels, Tokens, observed_by

SMALL = TextVAEConfig(
    sequence_length=6, vocabulary_size=9, embedding_dim=5, hidden_dim=7, latent_dim=3, word_dropout=0.0
)
SENTENCES = torch.tensor([[4, 7, 5, END, 0, 0], [8, 3, 3, 6, 4, END], [END, 0, 0, 0, 0, 0], [5, END, 0, 0, 0, 0]])


def build(seed: int = 0, spread: float = 0.5, **changes) -> TextVAE:
    """A model in float64 whose weights are large enough for its predictions to differ."""
    torch.manual_seed(seed)
    model = TextVAEConfig(**{**vars(SMALL), **changes}).build().double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return model


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _lstm_step(cells: torch.nn.LSTM, x: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> tuple:
    """Hochreiter & Schmidhuber's unit with forget gates, written out; gates in PyTorch's order i, f, g, o."""
    weights = {name: value.detach().numpy() for name, value in cells.named_parameters()}
    gates = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"] + weights["weight_hh_l0"] @ hidden
    i, f, g, o = np.split(gates + weights["bias_hh_l0"], 4)
    cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _affine(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def looped_log_likelihood(model: TextVAE, row: list[int], z: np.ndarray) -> list[float]:
    """log p(x_t | x_<t, z) of each token of one sentence, token by token."""
    hidden, cell = np.split(_affine(model.to_first_state, z), 2)
    hidden, embedding, before, found = np.tanh(hidden), model.embedding.weight.detach().numpy(), START, []
    for token in row[: row.index(END) + 1]:
        if len(found) == model.sequence_length - 1:
            found.append(0.0)  # the longest sentences can only end
            break
        hidden, cell = _lstm_step(model.decoder, np.concatenate([embedding[before], z]), hidden, cell)
        odds = np.exp(_affine(model.to_outcomes, hidden))
        found.append(math.log(odds[token - 2] / odds.sum()))
        before = token
    return found


def looped_posterior(model: TextVAE, row: list[int]) -> np.ndarray:
    """Mean and log standard deviation of q(z | x) for one sentence."""
    hidden = cell = np.zeros(model.config.hidden_dim)
    for token in row[: row.index(END) + 1]:
        hidden, cell = _lstm_step(model.encoder, model.embedding.weight.detach().numpy()[token], hidden, cell)
    return _affine(model.to_posterior, hidden)


def all_sentences(model: TextVAE) -> Tensor:
    """Every sentence that the model gives a probability to."""
    words = range(UNKNOWN, model.vocabulary_size)
    rows = []
    for count in range(model.sequence_length):
        padding = [PADDING] * (model.sequence_length - 1 - count)
        rows += [[*sentence, END, *padding] for sentence in itertools.product(words, repeat=count)]
    return torch.tensor(rows)


def test_log_likelihood_of_each_token_is_that_of_a_loop():
    model, z = build(), torch.randn(len(SENTENCES), 3, dtype=torch.float64)
    found = model.token_log_likelihood(SENTENCES, z).detach().numpy()
    for row, of_row, values in zip(SENTENCES.tolist(), z.numpy(), found, strict=True):
        wanted = looped_log_likelihood(model, row, of_row)
        np.testing.assert_allclose(values, np.pad(wanted, (0, 6 - len(wanted))), rtol=1e-12)
    np.testing.assert_allclose(model.log_likelihood(SENTENCES, z).detach(), found.sum(axis=1))


def test_posterior_is_that_of_a_loop():
    model = build()
    found = model.posterior(SENTENCES)
    wanted = np.stack([looped_posterior(model, row) for row in SENTENCES.tolist()])
    np.testing.assert_allclose(torch.cat([found.mean, found.log_std], dim=1).detach(), wanted, rtol=1e-12)


def test_probabilities_of_all_sentences_of_a_vocabulary_of_three_words_sum_to_one():
    model = build(vocabulary_size=7, sequence_length=5)
    sentences = all_sentences(model)
    assert len(sentences) == 1 + 4 + 4**2 + 4**3 + 4**4  # three words and the unknown one
    for z in torch.randn(3, 1, 3, dtype=torch.float64):
        log_likelihood = model.log_likelihood(sentences, z.expand(len(sentences), 3))
        assert log_likelihood.logsumexp(dim=0).item() == pytest.approx(0, abs=1e-12)
        assert log_likelihood.std() > 0.5


def test_padding_never_counts():
    model = build()
    short = SENTENCES[:1, :4]
    for first, second in zip(_numbers(model, short), _numbers(model, SENTENCES[:1]), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-12, atol=0)


def _numbers(model: TextVAE, x: Tensor) -> tuple[Tensor, ...]:
    elbo, (posterior,) = model(x, posterior_temperature=0), model.latents(x)
    torch.manual_seed(3)
    return elbo.log_likelihood, elbo.kl, posterior.mean, posterior.log_std, model.log_weight(x)


def test_padding_gets_no_gradient():
    model = build()
    model(SENTENCES).bound.sum().backward()
    assert model.embedding.weight.grad[PADDING].abs().max() == 0
    assert model.embedding.weight.grad[START].abs().max() > 0


def test_neighbours_in_a_batch_do_not_matter():
    model, z = build(), torch.randn(len(SENTENCES), 3, dtype=torch.float64)
    together = model.log_likelihood(SENTENCES, z)
    alone = [model.log_likelihood(row[None], of_row[None]) for row, of_row in zip(SENTENCES, z, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_log_weight_is_unbiased_for_the_probability_by_quadrature():
    model, x = build(latent_dim=1, spread=0.7), SENTENCES[:1]
    with torch.no_grad():
        model.to_first_state.weight.mul_(4)  # so that the sentence depends on z
        model.to_posterior.bias[1] += 1.5  # wider than the prior: the weights have a variance
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    joint = model.log_likelihood(x.expand(4001, 6), z[:, None]) - 0.5 * z.square() - 0.5 * math.log(2 * math.pi)
    exact = torch.trapezoid(joint.exp(), z).item()
    with measuring(model, seed=1):
        for keep_layers in (None, 0):
            ratios = model.log_weight(x.expand(40_000, 6), keep_layers).exp() / exact
            error = (ratios.std() / math.sqrt(len(ratios))).item()
            assert 1e-3 < error < 0.03 and abs(ratios.mean().item() - 1) < 4 * error


def test_the_bound_has_the_kl_of_torch_distributions_and_is_the_mean_log_weight():
    model = build()
    x = SENTENCES[:1].expand(20_000, 6)
    with measuring(model):
        elbo, log_weights, (posterior,) = model(x), model.log_weight(x), model.latents(x[:1])
    q = torch.distributions.Normal(posterior.mean, posterior.log_std.exp())
    p = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    assert elbo.kl[0].item() == pytest.approx(torch.distributions.kl_divergence(q, p).sum().item())
    error = math.hypot(elbo.bound.std().item(), log_weights.std().item()) / math.sqrt(20_000)
    assert elbo.bound.mean().item() == pytest.approx(log_weights.mean().item(), abs=4 * error)


def test_the_encoder_sees_every_word_of_the_sentence_and_the_decoder_none_that_comes_later():
    model, row = build(), SENTENCES[1:2]
    before = model.posterior(row).mean
    z = torch.randn(1, 3, dtype=torch.float64)
    likelihoods = model.token_log_likelihood(row, z)
    for place in range(5):
        changed = row.clone()
        changed[0, place] = 7
        assert (model.posterior(changed).mean - before).abs().max() > 1e-4
        same = torch.isclose(model.token_log_likelihood(changed, z), likelihoods, rtol=1e-12)[0]
        assert bool(same[:place].all()) and not bool(same[place])


def test_words_are_hidden_in_training_only_and_from_the_decoder_only():
    model = build(word_dropout=1.0)
    z = torch.randn(len(SENTENCES), 3, dtype=torch.float64)
    seen, posterior = model.token_log_likelihood(SENTENCES, z), model.posterior(SENTENCES)
    model.train()
    hidden = model.token_log_likelihood(SENTENCES, z)
    torch.testing.assert_close(model.posterior(SENTENCES).mean, posterior.mean)
    torch.testing.assert_close(hidden[:, 0], seen[:, 0])  # the start is never hidden
    assert not torch.isclose(hidden[0, 1:4], seen[0, 1:4]).any()
    unknown = torch.tensor([[START, UNKNOWN, UNKNOWN, UNKNOWN]])
    states, _ = model.decoder(model._beside(z[:1], unknown), model._first_state(z[:1]))
    wanted = model.to_outcomes(states).log_softmax(dim=2)[0, range(4), SENTENCES[0, :4] - END]
    torch.testing.assert_close(hidden[0, :4], wanted)


def test_the_fraction_of_hidden_words_is_that_of_the_configuration():
    model = build(word_dropout=0.3, vocabulary_size=50, sequence_length=21).train()
    x = observed_by(model).random(2000).clamp(min=4)
    x[:, -1] = END
    read = model._read_by_decoder(x)
    hidden = (read[:, 1:] == UNKNOWN).double()
    assert hidden.mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / hidden.numel()))
    assert bool((read[:, 1:] == x[:, :-1])[hidden == 0].all()) and bool((read[:, 0] == START).all())


def test_greedy_decoding_takes_the_most_probable_known_word_each_time():
    model, z = build(seed=4), torch.randn(5, 3, dtype=torch.float64)
    for row, of_row in zip(model.decode(z).tolist(), z.numpy(), strict=True):
        sentence = row[: row.index(END) + 1]
        for place, token in enumerate(sentence[: model.sequence_length - 1]):
            known = [other for other in range(END, model.vocabulary_size) if other not in (token, UNKNOWN)]
            others = [[*sentence[:place], other, END] for other in known]
            best = looped_log_likelihood(model, sentence, of_row)[place]
            assert all(looped_log_likelihood(model, other, of_row)[place] < best for other in others)


def test_drawn_sentences_are_as_frequent_as_they_are_probable():
    model = build(vocabulary_size=6, sequence_length=3)
    z, sentences = torch.randn(1, 3, dtype=torch.float64), all_sentences(model)
    torch.manual_seed(0)
    drawn = model.decode(z.expand(20_000, 3), word_temperature=1.0)
    frequency = (drawn[:, None] == sentences).all(dim=2).double().mean(dim=0)
    probability = model.log_likelihood(sentences, z.expand(len(sentences), 3)).exp()
    assert frequency.sum() == 1
    assert bool(((frequency - probability).abs() < 4.5 * (probability / 20_000).sqrt()).all())


def test_a_low_word_temperature_is_almost_greedy():
    model, z = build(), torch.randn(50, 3, dtype=torch.float64)
    with torch.no_grad():
        model.to_outcomes.bias[UNKNOWN - END] = -1e9
    assert (model.decode(z, word_temperature=1e-4) == model.decode(z)).all()


def test_whatever_is_written_is_a_sentence():
    model = build()
    for written in (model.sample(200), model.sample(200, word_temperature=0), model.reconstruct(SENTENCES)):
        assert written.shape[1] == 6 and model(written).bound.isfinite().all()


def test_generator_decides_the_sample():
    model = build()
    first, again, other = (model.sample(9, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_temperature_zero_writes_one_sentence_from_the_prior_mean():
    model = build()
    drawn = model.sample(4, temperature=0, word_temperature=0)
    assert torch.equal(drawn, model.decode(torch.zeros(4, 3, dtype=torch.float64)))


def test_interpolation_begins_and_ends_at_the_posterior_means_and_goes_straight():
    model = build()
    line = model.interpolate(SENTENCES[0], SENTENCES[1], steps=5)
    first, last = model.posterior(SENTENCES[:2]).mean
    z = torch.stack([first + share * (last - first) for share in (0, 0.25, 0.5, 0.75, 1)])
    assert torch.equal(line, model.decode(z)) and line.shape == (5, 6)


def test_no_layer_kept_forgets_the_sentence():
    model = build()
    torch.manual_seed(0)
    first = model.reconstruct(SENTENCES[:1], keep_layers=0)
    torch.manual_seed(0)
    assert torch.equal(first, model.reconstruct(SENTENCES[1:2], keep_layers=0))


def test_training_on_four_sentences_learns_to_repeat_them():
    torch.manual_seed(0)
    known = torch.where(SENTENCES == UNKNOWN, 7, SENTENCES)
    model = TextVAEConfig(**{**vars(SMALL), "hidden_dim": 16}).build()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        elbo = model(known)
        optimizer.zero_grad()
        (0.05 * elbo.kl.sum(dim=1) - elbo.log_likelihood).mean().backward()
        optimizer.step()
    assert torch.equal(model.decode(model.posterior(known).mean), known)


def test_half_precision_in_the_networks_keeps_the_terms_in_float32():
    model = SMALL.build().eval()
    # PyTorch's own LSTM: oneDNN has none in half precision on some processors.
    with torch.autocast("cpu", torch.bfloat16), torch.backends.mkldnn.flags(enabled=False):
        elbo = model(SENTENCES, posterior_temperature=0)
    assert elbo.log_likelihood.dtype == elbo.kl.dtype == torch.float32
    torch.testing.assert_close(elbo.bound, model(SENTENCES, posterior_temperature=0).bound, rtol=0.02, atol=0.02)


def test_shapes_follow_on_the_meta_device():
    with torch.device("meta"), torch.no_grad():
        model = TextVAEConfig().build()
        elbo, tokens = model(observed_by(model).blank(2, "meta")), model.sample(2)
    assert (elbo.bound.shape, elbo.kl.shape, tokens.shape, tokens.dtype) == ((2,), (2, 1), (2, 21), torch.int64)


def test_what_a_model_observes_is_told_from_its_attributes():
    assert observed_by(SMALL.build()) == Tokens(length=6, vocabulary_size=9)
    assert observed_by(VAEConfig(image_shape=(1, 2, 3)).build()) == Pixels((1, 2, 3), 1)


def test_blank_and_random_examples_are_what_models_take():
    model, images = build(), VAEConfig(image_shape=(1, 2, 3)).build()
    for observed, taker in ((observed_by(model), model), (observed_by(images), images)):
        for x in (observed.blank(3), observed.random(3)):
            assert taker(x).bound.shape == (3,)


def test_values_per_example_are_tokens_without_padding_and_all_pixels():
    assert Tokens(6, 9).values_per_example(SENTENCES) == (4 + 6 + 1 + 2) / 4
    assert Pixels((3, 4, 5), 8).values_per_example(torch.zeros(2, 3, 4, 5, dtype=torch.uint8)) == 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sequence_length": 1}, "sequence_length must be at least 2, got 1"),
        ({"vocabulary_size": 3}, "vocabulary_size must be at least 4, got 3"),
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"word_dropout": 1.5}, "word_dropout must be a fraction, 0 to 1, got 1.5"),
    ],
)
def test_configurations_that_no_model_can_have_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TextVAEConfig(**changes)


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        ([[4, END]], TypeError, "x must be a tensor of int64 tokens, got list"),
        (SENTENCES.float(), TypeError, r"x must be int64 tokens 0 … 8, got torch.float32"),
        (SENTENCES[0], ValueError, r"x must be sentences \(batch, at most 6 tokens\), got shape \(6,\)"),
        (SENTENCES[:0], ValueError, "x must be sentences"),
        (torch.tensor([[4, 4, 4, 4, 4, 4, END]]), ValueError, r"at most 6 tokens\), got shape \(1, 7\)"),
        (torch.tensor([[9, END]]), ValueError, "x must hold tokens 0 … 8, got 2 … 9"),
        (torch.tensor([[4, 5]]), ValueError, "each row of x must be words, then one end"),
    ],
)
def test_what_is_no_batch_of_sentences_is_refused(x, error, said):
    for use in (SMALL.build(), SMALL.build().log_weight, SMALL.build().latents, SMALL.build().reconstruct):
        with pytest.raises(error, match=said):
            use(x)


def test_other_arguments_are_refused_by_name():
    model = SMALL.build()
    for call, said in (
        (lambda: model(SENTENCES, posterior_temperature=-1), "posterior_temperature must be a number"),
        (lambda: model.log_weight(SENTENCES, keep_layers=2), "keep_layers must be 0, 1 or None"),
        (lambda: model.sample(0), "n must be a whole number"),
        (lambda: model.sample(1, temperature=-1), "temperature must be a number"),
        (lambda: model.decode(torch.zeros(1, 3), word_temperature=-0.1), "word_temperature must be a number"),
        (lambda: model.interpolate(SENTENCES[0], SENTENCES[1], steps=1), "steps must be at least 2"),
        (lambda: model.interpolate(SENTENCES[:1], SENTENCES[1]), "first and last must be rows of tokens"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_the_posterior_is_a_diagonal_gaussian_of_the_latents():
    (posterior,) = SMALL.build().latents(SENTENCES)
    assert isinstance(posterior, DiagonalGaussian) and posterior.mean.shape == (4, 3)
