# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 03: Variational autoencoders
#
# How can a machine that has seen 1,500 handwritten digits write a new one? A variational autoencoder learns a recipe: draw
# a few random numbers, send them through a network, read off an image. This lecture derives it from one inequality,
# trains it in two dozen lines on real digits, and measures how good the inequality is.
#
# **What you will be able to do**
#
# 1. Say why the codes of an autoencoder cannot be drawn from, and name the two changes that make a generative model of it.
# 2. Derive the evidence lower bound, split it into reconstruction and regulariser, and write both as code.
# 3. Derive the score-function and the reparameterised gradient with the conditions each one needs; compute how their
#    variances grow with the number of latent variables when $f$ is a sum over them, and give a function for which
#    reparameterisation loses.
# 4. Prove that the importance-weighted bound tightens with every sample, and split a trained model's gap into the part
#    of the encoder and the part of the Gaussian family.
# 5. Place a model trained with any $\beta$ on the rate–distortion plane, and say what the slope there means.
#
# **What you need first.** KL divergence and its form for Gaussians (unit 01), the evidence lower bound (unit 02;
# derived again here in half a page), the chain rule, and enough PyTorch to read `loss.backward()`.
#
# | what it costs | |
# |---|---|
# | reading | two hours, with a pencil for the derivations |
# | running, digits of 8 × 8 pixels, one thread | 160 seconds of processor time, measured on a busy machine with PyTorch 2.14 |
# | memory | 1.8 GB |
# | Colab | uses MNIST; not timed on Colab's GPUs |

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from avae_lib import data, plotting
from avae_lib.notebook_setup import choose
from avae_lib.objectives import ELBO

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks this small are faster on one thread than on several

# %% fast="updates, search_steps, copies, draws_per_image = 150, 5, 20, 2000"
updates = 3000  # of each network that is trained here
search_steps = 300  # when one posterior is optimised for each image
copies = 1000  # of an image, to measure the spread of gradients
draws_per_image = 10_000  # of importance samples

# %% [markdown]
# ## A first picture
#
# Here is the whole idea without any learning. Draw points from a Gaussian, which is easy. Send each through a fixed
# function. What comes out has a shape that no Gaussian has.

# %%
torch.manual_seed(0)
z = torch.randn(1500, 2)
x = z / 10 + z / z.norm(dim=1, keepdim=True)
plotting.show(plotting.pushforward(z, x, ("z ~ N(0, I)", "x = z/10 + z/|z|")))

# %% [markdown]
# **Figure 1.** Left, draws from a Gaussian in the plane; right, the same points after a fixed map. Each point keeps its colour.
# The map pushes the blob out into a ring.
#
# <!-- alt: Two scatter plots. On the left a round cloud of points, coloured from dark at the left to bright at the right. On the right the same points form a ring around an empty middle, with the same order of colours. -->

# %% tags=["build-check"]
radius = x.norm(dim=1)
assert (radius > 0.99).all() and (radius < 1.6).all(), "the points form a ring"

# %% [markdown]
# A decoder is such a function, only with weights in it. If it can turn a blob into a ring, a larger one may turn a blob into
# handwritten digits. The question is how to find the weights from data: nobody tells us which $z$ belongs to which image.

# %% [markdown]
# ## The data
#
# Real handwritten digits: on Colab the 60,000 training images of MNIST (28 × 28 pixels), elsewhere the 1,500 that come with
# scikit-learn (8 × 8). The cells below are the same for both; the numbers in the text are for the small ones.
#
# Pixels are made black or white, because the likelihood is then simple. A grey value is read as the
# probability of white, and drawn anew whenever the image is used (*dynamic binarisation*), so that the network
# hardly ever sees quite the same image twice. Test images are drawn once.

# %%
name = choose("digits", colab="mnist")
dataset = data.load(name).binarized("dynamic")
test = dataset.pixels("test")[:300].flatten(1).float().to(device)  # (images, pixels), each 0 or 1
grey = dataset.test[:300] / (2**dataset.bits - 1)  # the same images before, for pictures
num_pixels = test.shape[1]


def as_images(rows):
    return rows.reshape(-1, *dataset.image_shape).cpu()


print(f"{name}: {len(dataset.train)} training images of {num_pixels} pixels; {len(test)} test images are used here")
plotting.show(plotting.image_rows({"grey": grey[:14], "one draw": as_images(test[:14])}, bits=1))

# %% [markdown]
# **Figure 2.** Fourteen test images, and one draw of black or white pixels for each. The models see only such draws.
#
# <!-- alt: Two rows of handwritten digits: the upper in grey, the lower the same digits in black and white, ragged. -->

# %% tags=["build-check"]
assert set(test.unique().tolist()) == {0.0, 1.0} and grey.unique().numel() > 2
assert name == "mnist" or (len(dataset.train), num_pixels, len(test)) == (1500, 64, 297)

# %% [markdown]
# ## 1. An autoencoder cannot be sampled
#
# An autoencoder squeezes an image into a short *code* and unfolds it again. Both halves are networks; the loss is
# the reconstruction error: here, minus the log-probability that the decoder's output gives to the pixels.

# %%
hidden = 128 if num_pixels < 100 else 500


def network(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    ).to(device)


# %%
def train_autoencoder(code_size):
    encoder, decoder = network(num_pixels, code_size), network(code_size, num_pixels)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    batches = data.BatchSampler(dataset, batch_size=100, device=device)
    for _ in range(updates):
        x = batches.draw().flatten(1).float()
        loss = F.binary_cross_entropy_with_logits(decoder(encoder(2 * x - 1)), x, reduction="sum") / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, decoder


# %% [markdown]
# With a code of ten numbers it reconstructs well. Can it also *make* digits? We would have to put in a code of our
# own. But which? The loss never said how codes should be distributed, so they lie wherever training left them. Two
# guesses: a standard normal; or, more cleverly, a Gaussian with the mean and covariance of the codes of the training images.

# %%
torch.manual_seed(0)
encoder, decoder = train_autoencoder(code_size=10)
with torch.no_grad():
    train_pixels = dataset.pixels("train").flatten(1).float().to(device)
    train_codes, test_codes = encoder(2 * train_pixels - 1), encoder(2 * test - 1)
    noise = torch.randn(14, 10, device=device)
    fitted = train_codes.mean(0) + noise @ torch.linalg.cholesky(train_codes.T.cov()).T
    decoded = {"reconstructed": test_codes[:14], "code ~ N(0, I)": noise, "code ~ fitted": fitted}
    rows = {label: as_images(decoder(code).sigmoid()) for label, code in decoded.items()}
print(f"standard deviations of the codes: {train_codes.std(0).min():.1f} to {train_codes.std(0).max():.1f}")
plotting.show(plotting.image_rows({"test draws": as_images(test[:14])} | rows, bits=1))

# %% [markdown]
# **Figure 3.** An autoencoder reconstructs the draws of figure 2 faithfully. Codes drawn from $\mathcal N(0, I)$ decode to faint
# shapes and few digits. Codes drawn from a Gaussian fitted to the training codes do better, and many of them are still no digit.
#
# <!-- alt: Four rows: black and white test digits, sharp reconstructions, then two rows decoded from random codes. The last two contain some legible digits among broken shapes. -->

# %% tags=["build-check"]
with torch.no_grad():
    reconstruction = -F.binary_cross_entropy_with_logits(decoder(test_codes), test, reduction="sum") / len(test)
assert name == "mnist" or (-11 < reconstruction < -8 and train_codes.std(0).min() > 1.5), (reconstruction, train_codes.std(0))

# %% [markdown]
# Codes of two numbers can be plotted in the plane, where we can see what is wrong.

# %%
encoder2, decoder2 = train_autoencoder(code_size=2)
with torch.no_grad():
    codes2 = encoder2(2 * test - 1)
plotting.show(plotting.latent_scatter(codes2, dataset.test_labels[: len(test)], title="codes of the autoencoder"))

# %% [markdown]
# **Figure 4.** Codes of test images, each drawn as its digit: crowded here, empty there, and spread over a scale that nothing
# in the loss fixes.
#
# <!-- alt: A scatter of numerals in the plane: digit classes form elongated groups with empty regions between them; the axes reach far beyond two. -->

# %% tags=["build-check"]
assert codes2.abs().max() > 6, codes2.abs().max()

# %% [markdown]
# How bad is it, in numbers? A decoder with any Gaussian over its codes *is* a model of images, so it has a log-probability
# (the integral of section 2). Three seeds of each were trained and measured for this table, in the plane by a sum over a fine
# grid, with ten numbers by importance sampling, a lower bound (section 7).

# %%
record = data.recorded("autoencoder_codes")["results"]
print("log p(x), nats per test image       code of 2 numbers         code of 10 numbers")
for label in ("autoencoder, N(0, I)", "autoencoder, fitted", "VAE"):
    columns = ("  ".join(f"{value:6.2f}" for value in record[size][label]) for size in ("2", "10"))
    print(f"{label:30s}", "     ".join(columns))

# %% tags=["build-check"]
mean_of = {size: {label: sum(seeds) / 3 for label, seeds in labels.items()} for size, labels in record.items()}
assert abs(mean_of["2"]["autoencoder, fitted"] - mean_of["2"]["VAE"]) < 0.1, "a tie in the plane"
assert 1.0 < mean_of["10"]["VAE"] - mean_of["10"]["autoencoder, fitted"] < 1.3
assert 11 < mean_of["10"]["autoencoder, fitted"] - mean_of["10"]["autoencoder, N(0, I)"] < 12

# %% [markdown]
# In the plane the fitted Gaussian is all that the autoencoder needs: it ties with the variational autoencoder (VAE) that this
# lecture is about. With ten numbers it does not. There $\mathcal N(0, I)$ is hopeless, the fitted Gaussian recovers eleven nats
# on average, and the VAE is better by another 1.2, with the same order in each of the three seeds. Two things are missing in general.
#
# * **A distribution of codes** to draw from, fixed in advance, that the encoder has to respect.
# * **No gaps.** Places between the codes must decode to something sensible too. If codes were a little *blurred*
#   during training, the decoder would have to make sense of whole regions instead of points.
#
# The variational autoencoder brings in both, as consequences of one definition.

# %% [markdown]
# **Check yourself.** A Gaussian fitted after training works in the plane and falls short with ten numbers. Would a more flexible
# density, fitted to the same codes, settle the matter?
#
# <details><summary>Answer</summary>
#
# It helps: the fitted Gaussian corrects the scale and the correlations, a flexible density would correct the shape. Two problems remain. In ten dimensions 1,500 codes say little about a density without strong assumptions. And the decoder was never trained
# between codes, so a density that is smoother than the codes still reaches places that decode to nothing. People do build
# models in two stages like this (a discrete code and a strong prior over it: unit 04); most of the generative modelling then
# happens in the second stage.
# </details>

# %% [markdown]
# ## 2. The model
#
# Suppose that images come about in two steps: nature draws a latent vector $z$ from a fixed *prior*, then an image
# from a distribution that depends on $z$ through a network with weights $\theta$, the *decoder*.
#
# $$p_\theta(x, z) = p(z)\, p_\theta(x \mid z), \qquad p(z) = \mathcal{N}(z;\, 0, I). \tag{1}$$
#
# Sampling is then trivial by construction: draw $z$, decode, draw $x$. Learning is the hard part. The probability of
# an image is an average over all latent vectors that could have produced it,
#
# $$p_\theta(x) = \int p(z)\, p_\theta(x \mid z)\, dz, \tag{2}$$
#
# and no formula gives this integral when a network stands inside. Drawing $z$ from the prior and averaging
# $p_\theta(x \mid z)$ is correct but wasteful: hardly any $z$ explains a given image. Section 7 measures how wasteful.
#
# Which $z$ do explain it? Those to which the *posterior* $p_\theta(z \mid x) = p_\theta(x, z) / p_\theta(x)$ gives
# weight. It has the intractable integral in its denominator, so we approximate it, as unit 02 did, by a member of
# a tractable family with parameters $\lambda$. Here, a Gaussian with independent coordinates:
#
# $$q_\lambda(z) = \mathcal{N}\bigl(z;\, \mu, \operatorname{diag} \sigma^2\bigr), \qquad \lambda = (\mu, \log \sigma). \tag{3}$$
#
# Unit 02 searched for the best $\lambda$ for each data point separately. With 60,000 images that is 60,000 searches,
# and one more for each new image. Instead we let a second network, the *encoder* with weights $\phi$, predict the
# answer:
#
# $$\lambda = \operatorname{encoder}_\phi(x), \qquad q_\phi(z \mid x) = \mathcal{N}\bigl(z;\, \mu_\phi(x), \operatorname{diag} \sigma_\phi^2(x)\bigr). \tag{4}$$
#
# This is *amortised* inference: the search is paid for once, in training, and afterwards an image costs a single
# pass. What looks like the first half of an autoencoder is a fast solver for $\lambda$. Section 7 measures what the speed costs.

# %%
plotting.show(plotting.vae_graphical_model())

# %% [markdown]
# **Figure 5.** The model as a graph. Left, how an image comes about; right, dashed, how its latent vector is inferred.
# The plate says that both happen once for each of $N$ images, while the weights $\theta$ and $\phi$ are shared.
#
# <!-- alt: Two small graphs in plates: z points to x together with the parameter theta; x points to z together with the parameter phi. -->

# %% tags=["build-check"]
titles = [axes.get_title(loc="left") for axes in plotting.vae_graphical_model().axes]
assert len(titles) == 2 and "generation" in titles[0] and "inference" in titles[1]

# %%
plotting.show(plotting.vae_network())

# %% [markdown]
# **Figure 6.** The same model as a neural network. Orange arrows lead to the two terms of the loss. Compared with an autoencoder, the
# code has become a distribution, noise enters in the middle, and the loss has a second term.
#
# <!-- alt: Boxes from left to right: x, encoder, mu and log sigma, z with noise entering from above, decoder, logits. An orange arrow leads from mu and log sigma down to the KL term, another from the logits down to minus log p of x given z, and both lead to the loss. -->

# %% tags=["build-check"]
labels = {text.get_text() for axes in plotting.vae_network().axes for text in axes.texts}
assert "loss" in labels and any("KL" in label for label in labels) and any("log p" in label for label in labels)

# %% [markdown]
# **Check yourself.** In figure 5, which arrows belong to the model of images, and which only to our way of inferring? What
# would change if the right half were thrown away after training?
#
# <details><summary>Answer</summary>
#
# The left half is the model: it alone defines $p_\theta(x)$. The right half is a tool. Without it we can still draw images; we
# can no longer tell quickly which $z$ belongs to an image, and would have to search $\lambda$ for each, as in unit 02.
# </details>

# %% [markdown]
# ## 3. The bound
#
# Learning means raising $\log p_\theta(x)$. The product rule gives $p_\theta(x) = p_\theta(x, z) / p_\theta(z \mid x)$
# for *every* $z$. Take logarithms, multiply and divide by $q_\phi(z \mid x)$, and average over $z \sim q_\phi(z \mid x)$; the left
# side does not depend on $z$ and stays as it is:
#
# $$
# \begin{aligned}
# \log p_\theta(x)
# &= \mathbb{E}_{q}\left[\log \frac{p_\theta(x, z)}{p_\theta(z \mid x)}\right]
#  = \mathbb{E}_{q}\left[\log \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\right]
#  + \mathbb{E}_{q}\left[\log \frac{q_\phi(z \mid x)}{p_\theta(z \mid x)}\right] \\
# &= \underbrace{\mathbb{E}_{q}\bigl[\log p_\theta(x, z) - \log q_\phi(z \mid x)\bigr]}_{\mathrm{ELBO}(x)}
#  + \mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x)\bigr).
# \end{aligned} \tag{5}
# $$
#
# The KL is never negative, so the first term, the *evidence lower bound*, never exceeds $\log p_\theta(x)$; and it
# contains only things we can evaluate. Raising it in $\phi$ brings $q$ closer to the posterior, because the left side
# does not depend on $\phi$. Raising it in $\theta$ makes the data more probable, or the posterior easier to match.
#
# Split $\log p_\theta(x, z) = \log p_\theta(x \mid z) + \log p(z)$ to see what raises it:
#
# $$\mathrm{ELBO}(x) = \underbrace{\mathbb{E}_{q}\bigl[\log p_\theta(x \mid z)\bigr]}_{\text{reconstruction}}
# - \underbrace{\mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr)}_{\text{regulariser}}. \tag{6}$$
#
# The two things that were missing in section 1 are both there. The regulariser ties the codes of every image to a
# prior that is known beforehand. The expectation blurs: an image must be explained by *all* of its $q$, not by one
# point. The loss of a batch of $B$ images is minus the average bound,
#
# $$\mathcal{L}(\theta, \phi) = \frac{1}{B} \sum_{b=1}^{B} \Bigl[ -\mathbb{E}_{q}\bigl[\log p_\theta(x_b \mid z)\bigr]
# + \mathrm{KL}\bigl(q_\phi(z \mid x_b) \,\|\, p(z)\bigr) \Bigr]. \tag{7}$$

# %% [markdown]
# **Check yourself.** (a) For which $q$ is the bound an equality? (b) Does a larger ELBO always mean a larger
# $\log p_\theta(x)$?
#
# <details><summary>Answer</summary>
#
# (a) By (5), exactly for $q_\phi(z \mid x) = p_\theta(z \mid x)$. A Gaussian can equal the true posterior only if
# that is Gaussian, which behind a network it hardly ever is. (b) No. Along $\phi$ the log-probability does not move
# at all; only the gap closes. And along $\theta$ a step may raise the bound by simplifying the posterior while
# $\log p_\theta(x)$ stays or even falls a little. The bound is a floor, not the thing itself.
# </details>

# %% [markdown]
# ## 4. The loss, term by term
#
# ### Reconstruction
#
# Given $z$, each pixel is white with its own probability, independently of the others. The decoder outputs one
# *logit* $\ell_d$ per pixel, a number without limits, and the probability of white is the logistic function
# $s(\ell) = 1 / (1 + e^{-\ell})$. Since $1 - s(\ell) = s(-\ell)$,
#
# $$\log p_\theta(x \mid z) = \sum_{d} \bigl[ x_d \log s(\ell_d) + (1 - x_d) \log s(-\ell_d) \bigr]. \tag{8}$$
#
# The sum over pixels is a *sum*: it is the logarithm of a product of probabilities. Averaging over pixels instead
# divides this term by their number and leaves the KL as it is: another objective, with another optimum.
#
# And the pixels must be 0 or 1. With a grey $x_d$ between them the right side can still be computed, but it is then minus a
# *cross-entropy* between two coins, and no log-probability of a grey image: over all grey values $e^{(8)}$ does not integrate to
# one. That is why section "The data" draws black or white.
#
# Code that goes through the probability loses everything at large logits: in single precision $s(20)$ is
# exactly 1, and the logarithm of $1 - 1$ is $-\infty$. Computed from the logit, nothing is lost.

# %%
logits = torch.tensor([5.0, 15.0, 20.0, 100.0])
through_probability = (1 - logits.sigmoid()).log()
from_logits = Bernoulli(logits=logits).log_prob(torch.zeros(4))
print("log p(black), logit 5, 15, 20, 100")
print("  through the probability:", "  ".join(f"{value:.6f}" for value in through_probability.tolist()))
print("  from the logit:         ", "  ".join(f"{value:.6f}" for value in from_logits.tolist()))

# %% tags=["build-check"]
assert through_probability[2] == -math.inf and torch.allclose(from_logits[1:], -logits[1:], atol=1e-5)
level = torch.linspace(0, 1, 10_001)
whole = torch.trapezoid((level * F.logsigmoid(torch.tensor(1.0)) + (1 - level) * F.logsigmoid(torch.tensor(-1.0))).exp(), level)
assert abs(whole - 1) > 0.1, "equation (8) of a grey value is no density"

# %% [markdown]
# ### Regulariser
#
# Both distributions in the KL are Gaussians with independent coordinates, so the KL is a sum over coordinates. For
# one of them, write out both logarithms, $\log q = -\tfrac12 \log 2\pi - \log \sigma - (z - \mu)^2 / 2\sigma^2$ and
# $\log p = -\tfrac12 \log 2\pi - z^2/2$, and average over $q$ with $\mathbb{E}_q (z - \mu)^2 = \sigma^2$ and
# $\mathbb{E}_q z^2 = \mu^2 + \sigma^2$:
#
# $$\mathbb{E}_q[\log q - \log p] = -\log \sigma - \tfrac12 + \tfrac12 (\mu^2 + \sigma^2),$$
#
# $$\mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr) = \sum_j \Bigl[ \tfrac12 \bigl(\mu_j^2 + \sigma_j^2 - 1\bigr) - \log \sigma_j \Bigr]. \tag{9}$$
#
# Check at a point: $\mu = 0$, $\sigma = 1$ gives 0, as it must. Away from it, the square pulls $\mu$ to 0, and
# $-\log \sigma$ punishes a posterior that gets narrow.

# %%
mean, log_std = torch.tensor([1.0, -0.5, 0.0]), torch.tensor([-1.0, 0.0, 0.3])
closed_form = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum()  # equation (9)
q = Normal(mean, log_std.exp())
z = q.sample((100_000,))
by_sampling = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1).mean()
print(f"equation (9): {closed_form:.3f} nats; average of log q − log p over 100,000 draws: {by_sampling:.3f} nats")

# %% tags=["build-check"]
assert abs(closed_form - by_sampling) < 0.03 and torch.isclose(closed_form, kl_divergence(q, Normal(0.0, 1.0)).sum())

# %% [markdown]
# How much is a nat? The KL is the price, in nats, of telling the decoder where in the prior to look. Drag the
# slider. By (9), halving $\sigma$ costs $\log 2 - \tfrac38 \sigma^2$: 0.32 nats for the first halving, 0.60 for the second, and
# nearly $\log 2 \approx 0.69$ nats (one bit) for each one after that.

# %%
stds = [1.0, 0.5, 0.25, 0.125, 0.0625]
plotting.slider([plotting.posterior_price(mean=1.0, std=std) for std in stds], stds, "σ", start=3)

# %% [markdown]
# **Figure 7.** One latent variable: the narrower the posterior (here around $\mu = 1$), the more nats it costs.
#
# <!-- alt: The density of the prior, broad, and of the posterior, which gets narrower and taller as sigma falls; the title gives the KL, which rises from 0.50 to 2.77 nats. -->

# %% tags=["build-check"]
prices = [kl_divergence(Normal(1.0, std), Normal(0.0, 1.0)).item() for std in stds]
steps = [after - before for before, after in itertools.pairwise(prices)]
assert [round(step, 2) for step in steps[:2]] == [0.32, 0.60] and all(0.66 < step < math.log(2) for step in steps[2:])
assert (round(prices[0], 2), round(prices[-1], 2)) == (0.50, 2.77)

# %% [markdown]
# **Check yourself.** What would the encoder do if the regulariser were left out, and what if the reconstruction
# were?
#
# <details><summary>Answer</summary>
#
# Without the regulariser, noise in $z$ only hurts, so $\sigma \to 0$ and the means move far apart: the autoencoder
# of section 1. Without the reconstruction, $q_\phi(z \mid x) = p(z)$ for every image reaches the smallest possible
# loss, 0: the latent vector then says nothing about $x$. Everything of interest is between the two.
# </details>

# %% [markdown]
# ## 5. The gradient of an expectation
#
# One obstacle is left. The regulariser is a formula in $\mu$ and $\sigma$, which we can differentiate; the reconstruction is an
# average over draws. Write $f(z) = \log p_\theta(x \mid z)$. For the decoder's weights the gradient goes under the
# expectation, and a draw of $z$ gives an unbiased estimate: $\nabla_\theta\, \mathbb{E}_q[f_\theta(z)] =
# \mathbb{E}_q[\nabla_\theta f_\theta(z)]$. For the encoder's weights it does not, because the distribution over which we
# average depends on $\phi$ itself. A sample is a number; it does not say how it would have changed with $\phi$.
#
# **Score function.** Differentiate the density, and use $\nabla q = q\, \nabla \log q$ to get an expectation back:
#
# $$\nabla_\phi\, \mathbb{E}_{q_\phi}[f(z)] = \int f(z)\, \nabla_\phi q_\phi(z)\, dz
# = \mathbb{E}_{q_\phi}\bigl[ f(z)\, \nabla_\phi \log q_\phi(z) \bigr]. \tag{10}$$
#
# The first step exchanges gradient and integral. It needs a density that is differentiable in $\phi$, a support that does *not*
# move with $\phi$ (a uniform density on $[0, \phi]$ fails: probability enters at its edge, and (10) does not see it), and an
# $f\, \nabla_\phi q_\phi$ that stays below one integrable function for all $\phi$ nearby. Nothing else is required of $f$, which may be a black
# box. The estimate learns about $f$ only by its values: it raises the density wherever $f$ happens to be large.

# %% [markdown]
# **Reparameterisation.** Draw noise from a distribution without parameters, and make $z$ a differentiable function
# of noise and parameters:
#
# $$z = g_\phi(\varepsilon) = \mu_\phi + \sigma_\phi \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I)
# \quad\Longrightarrow\quad z \sim \mathcal{N}\bigl(\mu_\phi, \operatorname{diag} \sigma_\phi^2\bigr). \tag{11}$$
#
# The average is now over $\varepsilon$, which has nothing to do with $\phi$, so the gradient goes inside and the
# chain rule applies:
#
# $$\nabla_\phi\, \mathbb{E}_{q_\phi}[f(z)] = \nabla_\phi\, \mathbb{E}_{\varepsilon}\bigl[f(g_\phi(\varepsilon))\bigr]
# = \mathbb{E}_{\varepsilon}\bigl[ \nabla_z f(z)\, \nabla_\phi g_\phi(\varepsilon) \bigr]. \tag{12}$$
#
# This needs more of $f$. It must be locally Lipschitz: on every bounded region its slopes stay below some limit, so it has no jumps
# and is differentiable almost everywhere. And the size of $\nabla_z f\, \nabla_\phi g_\phi$ must stay below one function of $\varepsilon$ with finite
# expectation for all $\phi$ nearby. A decoder of rectifiers has kinks, and no jumps, so it qualifies. In return every
# draw reports the *slope* of $f$, one number for each coordinate, instead of a single value.

# %%
plotting.show(plotting.reparameterization_paths())

# %% [markdown]
# **Figure 8.** Left: backpropagation ends at a sample. Right: with the noise as an input, the path from the
# loss to the parameters consists of differentiable functions only.
#
# <!-- alt: Two graphs. On the left the gradient arrow from the loss stops at z; on the right it continues from z to the parameters. -->

# %% tags=["build-check"]
location = torch.tensor(1.0, requires_grad=True)
assert not Normal(location, 1.0).sample().requires_grad and Normal(location, 1.0).rsample().requires_grad

# %% [markdown]
# ### How much better is it?
#
# Take a problem that can be solved by hand, and in which $f$ is a *sum over coordinates*: $f(z) = \sum_{i=1}^{d} z_i^2$,
# $q = \mathcal{N}(\mu, I)$ with every $\mu_i = 1$, and ask for the derivative with respect to $\mu_1$. Since
# $\mathbb{E}_q f = \sum_i (\mu_i^2 + 1)$, the answer is $2\mu_1 = 2$. With $z_i = 1 + \varepsilon_i$, the two estimators of one draw are
#
# $$\hat g_{\text{path}} = 2 z_1 = 2 (1 + \varepsilon_1), \qquad
#   \hat g_{\text{score}} = f(z)\, \frac{z_1 - \mu_1}{1^2} = \Bigl[ (1 + \varepsilon_1)^2 + S \Bigr] \varepsilon_1, \quad
#   S = \sum_{i > 1} (1 + \varepsilon_i)^2. \tag{13}$$
#
# The variance of the first is 4, whatever $d$ is. For the second, note that $S$ is independent of $\varepsilon_1$, with
# $\mathbb{E} S = 2(d-1)$ and $\mathbb{E} S^2 = 6(d-1) + 4(d-1)^2$, and that the even moments of $\varepsilon_1$ are 1, 3, 15:
#
# $$
# \begin{aligned}
# \mathbb{E}\, \hat g_{\text{score}}^2
# &= \mathbb{E}\bigl[(1 + \varepsilon_1)^4 \varepsilon_1^2\bigr] + 2\, \mathbb{E}[S]\, \mathbb{E}\bigl[(1 + \varepsilon_1)^2 \varepsilon_1^2\bigr]
#  + \mathbb{E}[S^2]\, \mathbb{E}[\varepsilon_1^2] \\
# &= 34 + 2 \cdot 2(d-1) \cdot 4 + 6(d-1) + 4(d-1)^2, \\
# \operatorname{Var} \hat g_{\text{score}} &= \mathbb{E}\, \hat g_{\text{score}}^2 - 2^2 = 30 + 22\,(d-1) + 4\,(d-1)^2.
# \end{aligned} \tag{14}
# $$

# %% [markdown]
# The score function pays for every other coordinate: $f$ contains them all, and for the estimate of one slope they are noise. A *baseline* $b$ helps: $\mathbb{E}_q[\nabla \log q] = 0$, so $f$ may be replaced by $f - b$ without bias. Take
# $b = \mathbb{E}_q f = 2d$ and write $A = (1 + \varepsilon_1)^2 - 2 = \varepsilon_1^2 + 2\varepsilon_1 - 1$, so that
# $f - b = A + (S - \mathbb{E}S)$. The mixed term now vanishes, because $S - \mathbb{E}S$ has mean 0 and is independent of $\varepsilon_1$, and
# $\operatorname{Var} S = 6(d-1)$:
#
# $$
# \begin{aligned}
# \mathbb{E}\bigl[(f - b)^2 \varepsilon_1^2\bigr] &= \mathbb{E}\bigl[A^2 \varepsilon_1^2\bigr] + \operatorname{Var} S
#  = \underbrace{(15 + 2 \cdot 3 + 1)}_{\mathbb{E}[\varepsilon^6 + 2 \varepsilon^4 + \varepsilon^2]} + 6(d-1), \\
# \operatorname{Var} \hat g_{\text{baseline}} &= 22 + 6(d-1) - 2^2 = 18 + 6\,(d-1).
# \end{aligned} \tag{15}
# $$
#
# (In $A^2 \varepsilon_1^2$ the odd powers have mean 0 and are not written.) The square is gone, and the linear coefficient falls from 22 to 6.

# %%
dims, draws = [1, 3, 10, 30, 100, 300], 40_000
variances = {"score function": [], "with a baseline": [], "reparameterised": []}
torch.manual_seed(0)
print("   d   score function, predicted   with a baseline, predicted   reparameterised, predicted")
for d in dims:
    noise = torch.randn(draws, d)
    z = 1 + noise
    f = z.square().sum(1)
    estimates = (f * noise[:, 0], (f - 2 * d) * noise[:, 0], 2 * z[:, 0])  # equation (13)
    predicted = (30 + 22 * (d - 1) + 4 * (d - 1) ** 2, 18 + 6 * (d - 1), 4)  # equations (14) and (15)
    for values, estimate in zip(variances.values(), estimates, strict=True):
        values.append(estimate.var().item())
    measured = (values[-1] for values in variances.values())
    print(f"{d:4d}" + "".join(f"{m:15.1f} {p:10d}   " for m, p in zip(measured, predicted, strict=True)))

# %%
plotting.show(plotting.gradient_variance(dims, variances, x_label="number of latent variables d"))

# %% [markdown]
# **Figure 9.** Variance of one component of the gradient from a single draw, when $f$ is a sum over coordinates. That of the score
# function grows with the square of $d$, with a baseline in proportion to $d$; that of the reparameterised estimator does not grow.
#
# <!-- alt: Log-log plot against the number of latent variables: two rising lines, one steep and one less steep, and a flat one at 4. -->

# %% tags=["build-check"]
for position, d in enumerate(dims):
    expected = (30 + 22 * (d - 1) + 4 * (d - 1) ** 2, 18 + 6 * (d - 1), 4)
    for values, value in zip(variances.values(), expected, strict=True):
        assert abs(values[position] / value - 1) < 0.15, (d, values[position], value)
assert round((30 + 22 * 99 + 4 * 99**2) / 4, -2) == 10_400 and (18 + 6 * 99) / 4 == 153

# %% [markdown]
# Variance is time: averaging $n$ draws divides it by $n$. At $d = 100$ the score function needs $41{,}412 / 4 \approx 10{,}400$
# draws to do what the other does with one, and with the baseline $612 / 4 = 153$.
#
# Two functions show where this stops. For $f(z) = (\sum_i z_i)^2$, which is not a sum over coordinates, the reparameterised estimate is
# $2 \sum_i z_i$, and its variance $4d$ does grow. And $f(z) = \sin(20 z)$, one coordinate around 0, has
# steep slopes and small values: the reparameterised estimate $20 \cos 20 z$ has variance $200$, the score function's
# $\varepsilon \sin(20 z)$ about $\tfrac12$.

# %%
z = 1 + torch.randn(draws, 100)
wave = torch.randn(draws)
print(f"f = (sum of z)², d = 100: variance of the reparameterised estimate {(2 * z.sum(1)).var():.0f}")
waves = ((20 * (20 * wave).cos()).var().item(), (wave * (20 * wave).sin()).var().item())
print(f"f = sin(20 z): variance of the reparameterised estimate {waves[0]:.0f}, of the score function {waves[1]:.2f}")

# %% tags=["build-check"]
assert abs((2 * z.sum(1)).var() / 400 - 1) < 0.05 and abs(waves[0] - 200) < 5 and abs(waves[1] - 0.5) < 0.05

# %% [markdown]
# So reparameterisation wins where $f$ is smooth on the scale of $q$. Its variance does not grow with $d$ if the slope in one coordinate
# does not depend on the others. A trained decoder is smooth enough (figure 14 measures one), and a VAE gets by with a single draw per image.

# %% [markdown]
# **Check yourself.** (a) Why can a Bernoulli latent variable not be reparameterised like this? (b) Show that a baseline
# leaves the score-function estimator unbiased.
#
# <details><summary>Answer</summary>
#
# (a) A draw of it is a step function of noise and parameter, for instance $z = [\varepsilon < p]$ with uniform
# $\varepsilon$. Its derivative with respect to $p$ is zero almost everywhere, so (12) would report 0 whatever the truth: $g$ itself has a jump. Unit 04 meets discrete latents with other means. (b) $\mathbb{E}_q[b\, \nabla \log q] =
# b \int \nabla q\, dz = b\, \nabla \int q\, dz = b\, \nabla 1 = 0$.
# </details>

# %% [markdown]
# ## 6. The model and its training, in two dozen lines
#
# The model is (1) and (4); its `forward` gives the two terms of (6), estimated with a single draw, in the record
# that all models of this course return. `rsample` of `torch.distributions` is (11), `log_likelihood` is (8) and
# `kl_divergence` is (9). In the assignment you write these by hand.

# %%
prior = Normal(torch.tensor(0.0, device=device), torch.tensor(1.0, device=device))


class VAE(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.encoder, self.decoder = network(num_pixels, 2 * latent_dim), network(latent_dim, num_pixels)

    def posterior(self, x):  # equation (4)
        mean, log_std = self.encoder(2 * x - 1).chunk(2, dim=-1)
        return Normal(mean, log_std.exp())

    def log_likelihood(self, x, z):  # equation (8)
        return Bernoulli(logits=self.decoder(z)).log_prob(x).sum(-1)

    def forward(self, x):
        q = self.posterior(x)
        return ELBO(self.log_likelihood(x, q.rsample()), kl_divergence(q, prior).sum(-1, keepdim=True))


# %% [markdown]
# The loop is (7) and the optimiser Adam. `beta` stays at 1 until section 9; `watch` lets us look in.

# %%
def train(model, beta=1.0, updates=updates, watch=lambda update: None):
    batches = data.BatchSampler(dataset, batch_size=100, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for update in range(updates):
        elbo = model(batches.draw().flatten(1).float())
        reconstruction, regulariser = -elbo.log_likelihood.mean(), elbo.kl.sum(1).mean()
        loss = reconstruction + beta * regulariser  # equation (7)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        watch(update + 1)
    return losses


# %% [markdown]
# We train with two latent variables, because two dimensions can be plotted, and look at the decoder's whole range as training
# goes on. To see all of a Gaussian prior, take a regular grid on the unit square and send each coordinate through
# the inverse of the normal cumulative distribution function, $z = \Phi^{-1}(u)$: each picture then stands for the
# same share of prior probability.

# %%
torch.manual_seed(0)
vae = VAE(latent_dim=2)
rim = nn.ConstantPad2d(1, 0)  # a dark edge keeps neighbours in the grid apart
moments = [round(updates * share) for share in (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 1)]
frames = []


@torch.no_grad()
def draw_manifold(update):
    if update in moments:
        frames.append(plotting.manifold(lambda z: rim(as_images(vae.decoder(z.to(device)).sigmoid())), side=12, bits=1))


losses = train(vae, watch=draw_manifold)
plotting.slider(frames, moments, "update", start=len(frames) - 1)

# %% [markdown]
# **Figure 10.** The learned manifold: decoded images over the quantiles of the prior. Drag the slider back to see how it unfolds: first
# one average digit everywhere, then a few kinds, at the end a region for each kind.
#
# <!-- alt: A square of twelve by twelve small decoded digits. At the start they are all alike; at the end kinds of digits form regions that blend into each other. -->

# %% tags=["build-check"]
def spread_of_decoder(model):
    with torch.no_grad():
        return model.decoder(plotting.prior_quantiles(12).to(device)).sigmoid().std(0).mean().item()


torch.manual_seed(0)
beginner = VAE(latent_dim=2)
train(beginner, updates=moments[0])
assert spread_of_decoder(beginner) < 0.06 < 0.12 < spread_of_decoder(vae), (spread_of_decoder(beginner), spread_of_decoder(vae))

# %% [markdown]
# Neighbours resemble each other, and almost every place decodes to something like a digit. Now move through the plane yourself, from one
# digit to another, and watch the border between them.

# %%
z_values = torch.linspace(-2.4, 2.4, 25)
z2, z1 = torch.meshgrid(z_values, z_values, indexing="ij")
plane = torch.stack([z1, z2], dim=-1).to(device)  # (rows, columns, 2)
with torch.no_grad():
    pictures = rim(vae.decoder(plane).sigmoid().unflatten(-1, dataset.image_shape))
plotting.latent_pad(pictures.cpu(), z_values, z_values, start=(12, 4))

# %% [markdown]
# **Figure 11.** Drag the point: the picture is what the decoder makes of this $z$. The borders between kinds pass
# through shapes that no one writes. The map is continuous, so between a 4 and a 0 there must be something.
#
# <!-- alt: On the left a plane of small decoded digits with one framed; on the right the framed one, enlarged. -->

# %% tags=["build-check"]
near = (pictures[:, 1:] - pictures[:, :-1]).abs().mean()
far = (pictures[:, 12:] - pictures[:, :-12]).abs().mean()
assert near < far / 3, (near, far)

# %% [markdown]
# What does the loss do meanwhile? A model that ignores $z$ can at best give each pixel its frequency of white in the training data.
# Its loss on them is $-\sum_d [\bar x_d \log \bar x_d + (1 - \bar x_d) \log (1 - \bar x_d)]$ with the training means $\bar x_d$.

# %%
frequencies = (dataset.train.flatten(1) / (2**dataset.bits - 1)).mean(0)
no_latents = -(torch.xlogy(frequencies, frequencies) + torch.xlogy(1 - frequencies, 1 - frequencies)).sum().item()
edges = sorted({round(updates ** (i / 40)) for i in range(41)})
averages = [sum(losses[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
curves = {
    "VAE, 2 latent variables": (edges[:-1], averages),
    f"independent pixels: {no_latents:.1f}": ([1, updates], [no_latents, no_latents]),
}
plotting.show(plotting.learning_curves(curves, y_label="training loss (nats per image)", log_steps=True))

# %% [markdown]
# **Figure 12.** Training loss, averaged over stretches of updates, on a logarithmic axis. On the plateau near the dashed line the model hardly
# uses $z$; it ends when the latent variables come into use.
#
# <!-- alt: A falling curve that slows down at a dashed horizontal line after some dozens of updates, then falls below it and flattens out. -->

# %% tags=["build-check"]
on_plateau = [average for edge, average in zip(edges[:-1], averages, strict=True) if 35 <= edge <= 80]
assert all(abs(average - no_latents) < 0.6 for average in on_plateau), (on_plateau, no_latents)
assert min(averages[: edges.index(min(edge for edge in edges if edge >= 60))]) > no_latents - 0.3
assert averages[-1] < no_latents - 3

# %%
with torch.no_grad():
    posterior = vae.posterior(test)
print(f"average σ of the posteriors: {posterior.stddev.mean():.2f} (the prior's is 1)")
title = "posterior means of the VAE"
plotting.show(plotting.latent_scatter(posterior.mean, dataset.test_labels[: len(test)], title=title))

# %% [markdown]
# **Figure 13.** Where test images lie. Compared with figure 4, the codes fill the prior with smaller gaps,
# and the scale is the prior's. The model was never told the labels.
#
# <!-- alt: A round cloud of numerals reaching a little beyond two units, in which most digit classes have their own neighbourhood. -->

# %% tags=["build-check"]
assert posterior.mean.std(0).min() > 0.7 and posterior.mean.std(0).max() < 1.3, posterior.mean.std(0)
assert posterior.mean.abs().max() < 4

# %% [markdown]
# ### The estimators, measured in a real model
#
# Section 5 found that the reparameterised gradient is less noisy where $f$ is smooth. Here are all three estimators for one test image and the
# trained model: the derivative of $\mathbb{E}_q[\log p_\theta(x \mid z)]$ with respect to $\mu_1$, estimated two thousand
# times from a single draw each.

# %%
x = test[:1].expand(2000, -1)
with torch.no_grad():
    q = vae.posterior(x)
torch.manual_seed(0)
z = q.sample().requires_grad_()
f = vae.log_likelihood(x, z)
(slope,) = torch.autograd.grad(f.sum(), z)
score = ((z - q.mean) / q.variance)[:, 0]  # d log q / d μ₁
estimates = {
    "score function": (f * score).tolist(),  # equation (10)
    "with a baseline": ((f - f.mean()) * score).tolist(),
    "reparameterised": slope[:, 0].tolist(),  # equation (12)
}
plotting.show(plotting.gradient_estimates(estimates, exact=slope[:, 0].mean().item(), half_width=60))

# %% [markdown]
# **Figure 14.** Estimates of one derivative in the trained VAE, one dot for each draw; black: mean and
# standard deviation. The dotted line is the mean of the reparameterised ones. More than half of the bare score function's estimates lie outside the picture.
#
# <!-- alt: Three rows of dots around the same value: the score function's spread over the whole width and beyond, with a baseline much closer, the reparameterised ones in a narrow band. -->

# %% tags=["build-check"]
spreads = {label: torch.tensor(values).var().item() for label, values in estimates.items()}
outside = (torch.tensor(estimates["score function"]) - slope[:, 0].mean().cpu()).abs().gt(60).float().mean()
assert spreads["score function"] > 30 * spreads["with a baseline"] and spreads["with a baseline"] > 2 * spreads["reparameterised"] and outside > 0.5

# %% [markdown]
# ### More latent variables
#
# Two numbers say roughly which digit it is. How many are worth having? The same training, one run each, with 10 and 20:

# %%
@torch.no_grad()
def judge(model):
    """KL and reconstruction error of the test images, nats per image."""
    terms = [model(test) for _ in range(100)]
    reconstruction = -torch.stack([elbo.log_likelihood for elbo in terms]).mean().item()
    return terms[0].kl.mean().item(), reconstruction


models = {2: vae}
for latent_dim in (10, 20):
    torch.manual_seed(0)
    models[latent_dim] = VAE(latent_dim)
    train(models[latent_dim])
judged = {latent_dim: judge(model) for latent_dim, model in models.items()}
loss_of = {latent_dim: sum(terms) for latent_dim, terms in judged.items()}

# %%
print("latents     KL   reconstruction   −ELBO  (nats per test image)")
for latent_dim, (kl, reconstruction) in judged.items():
    print(f"{latent_dim:7d} {kl:6.2f} {reconstruction:12.2f} {kl + reconstruction:12.2f}")
torch.manual_seed(1)
samples = {}
for latent_dim, model in models.items():
    z = torch.randn(16, latent_dim, device=device)
    with torch.no_grad():
        samples[f"{latent_dim} latents, −ELBO {loss_of[latent_dim]:.1f}"] = as_images(model.decoder(z).sigmoid())
plotting.show(plotting.image_rows({"test images": grey[:16]} | samples, bits=1))

# %% [markdown]
# **Figure 15.** Decoded draws from the prior of models with 2, 10 and 20 latent variables, with each model's loss on test images.
# Shown are probabilities of white, so grey means undecided.
#
# <!-- alt: Four rows of sixteen digits: test images, then samples of three models; most are legible digits, some blurred. -->

# %% tags=["build-check"]
assert loss_of[2] > loss_of[10] + 0.5 and abs(loss_of[20] - loss_of[10]) < 0.3, loss_of

# %% [markdown]
# Ten latent variables are better than two; twenty are about as good as ten (seeds alone differ by a tenth or two, as the table of section 1 shows). What the model does not need it
# leaves unused: a coordinate whose posterior equals the prior for all images costs nothing, so the regulariser switches it off. Only four
# of the twenty are used:

# %%
with torch.no_grad():
    kl_of_each = kl_divergence(models[20].posterior(test), prior).mean(0).sort(descending=True).values
print("KL of the eight largest of 20 (nats):", " ".join(f"{kl:.2f}" for kl in kl_of_each[:8]))
print(f"the other twelve: {kl_of_each[8:].max():.4f} at most")

# %% tags=["build-check"]
assert 3 <= (kl_of_each > 0.05).sum() <= 6, kl_of_each

# %% [markdown]
# ### Frey faces
#
# The original paper shows the same plane for 1,965 frames of a film of one face. The faces are grey, so the decoder gives each pixel a
# Gaussian with its own mean and standard deviation; the rest stays. The plane below was recorded once (`experiments/frey_faces`); real
# faces are drawn above it where the data set is on your machine.

# %%
try:
    faces = data.load("freyfaces").test[:14] / 255
    rows = {"test faces": faces}
except data.DatasetError as problem:
    rows = {}
    print(f"No real faces in this picture: {str(problem).splitlines()[0]}")
z2_values, decoded_faces = data.recorded_faces()
rows |= {f"z₂ = {z2:.2f}".replace("-", "−"): row for z2, row in zip(z2_values, decoded_faces, strict=True)}
plotting.show(plotting.image_rows(rows, bits=1))

# %% [markdown]
# **Figure 16.** Faces decoded from a two-dimensional latent space, at equal steps of prior probability: $z_1$ grows to the right, one row for each of
# four values of $z_2$. Turning of the head and the mouth's expression change smoothly.
#
# <!-- alt: Rows of small grey faces of one man. From left to right and from row to row the head turns and the expression changes gradually. -->

# %% tags=["build-check"]
neighbours = (decoded_faces[:, 1:] - decoded_faces[:, :-1]).abs().mean()
assert neighbours < 0.6 * (decoded_faces[:, 7:] - decoded_faces[:, :-7]).abs().mean()

# %% [markdown]
# **Check yourself.** Figure 15 shows the decoder's probabilities. How would true samples of $p_\theta(x)$ look, and why
# do people rarely show them?
#
# <details><summary>Answer</summary>
#
# One more draw is needed: each pixel black or white with its probability, independently. Where the probability is near
# 0 or 1 nothing changes; grey strokes turn to salt and pepper. The independence of the pixels given $z$ is the
# model's assumption, and the draw exposes it. Showing probabilities is customary but flatters the model.
# </details>

# %% [markdown]
# ## 7. A tighter bound
#
# The ELBO is a floor. How far below $\log p_\theta(x)$ does it lie? Write the *importance weight* of a draw
#
# $$w = \frac{p_\theta(x, z)}{q_\phi(z \mid x)}, \quad z \sim q_\phi(z \mid x), \qquad
#   \mathbb{E}_q[w] = \int q_\phi(z \mid x)\, \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\, dz = p_\theta(x). \tag{16}$$
#
# A weight is an unbiased estimate of the very integral (2) that we could not do. The ELBO is the average of its
# *logarithm*. Averaging $K$ weights before taking the logarithm gives the importance-weighted bound of Burda, Grosse
# and Salakhutdinov,
#
# $$L_K(x) = \mathbb{E}\left[\log \frac1K \sum_{k=1}^{K} w_k\right], \qquad L_1 = \mathrm{ELBO}. \tag{17}$$
#
# **It is a bound.** The logarithm is concave, so by Jensen's inequality
# $L_K \le \log \mathbb{E}\bigl[\frac1K \sum_k w_k\bigr] = \log p_\theta(x)$.
#
# **It tightens with every sample.** Each weight is left out once when the average of $K + 1$ weights is written as
# the average over $i$ of the averages *without* the $i$-th; then use Jensen on the outer average:
#
# $$
# \begin{aligned}
# L_{K+1} &= \mathbb{E}\left[\log \frac{1}{K+1} \sum_{j=1}^{K+1} w_j\right]
#  = \mathbb{E}\left[\log \frac{1}{K+1} \sum_{i=1}^{K+1} \Bigl( \frac1K \sum_{j \ne i} w_j \Bigr)\right] \\
# &\ge \frac{1}{K+1} \sum_{i=1}^{K+1} \mathbb{E}\left[\log \frac1K \sum_{j \ne i} w_j\right] = L_K,
# \end{aligned} \tag{18}
# $$
#
# because each of the $K + 1$ expectations in the last line is over $K$ independent weights, that is, $L_K$.

# %% [markdown]
# **How fast?** Let $r = \frac1K \sum_k w_k / p_\theta(x)$. It has mean 1 and variance
# $\frac1K \operatorname{Var}[w / p_\theta(x)]$, if that is finite. By Taylor, $\log r = (r - 1) - \frac12 (r - 1)^2 + \text{remainder}$. If the weights
# are bounded away from 0, $w / p_\theta(x) \ge c > 0$, so is $r$; then the remainder is at most a constant times $|r - 1|^3$, and with a finite third moment
# its mean falls like $K^{-3/2}$. So the gap closes like $1/K$:
#
# $$\log p_\theta(x) - L_K(x) = -\mathbb{E} \log r \approx \frac{1}{2K} \operatorname{Var}\left[\frac{w}{p_\theta(x)}\right]. \tag{19}$$
#
# Mind the *ifs*. The second moment of a weight is $\int p(z)^2\, p_\theta(x \mid z)^2 / q_\phi(z \mid x)\, dz$. In each coordinate,
# $p(z)^2 / q$ contributes $\exp\bigl(-z^2 + (z - \mu)^2 / 2\sigma^2\bigr)$, which for $\sigma^2 < \frac12$ *grows* like the exponential of
# a square. A decoder made of rectifiers has logits that grow at most linearly, so $p_\theta(x \mid z)^2$ cannot stop it: the variance is
# infinite as soon as a posterior has $\sigma < 1/\sqrt2$ in one coordinate, and a trained model has such coordinates. Then (18) and
# convergence still hold, but (19) promises nothing. Draws from the prior have $w = p_\theta(x \mid z) \le 1$ and a finite variance. These
# weights are not bounded away from 0, but $-\log w$ grows at most linearly in $|z|$ and the chance of $r < \frac12$ falls exponentially with $K$, which is
# enough for (19): the prior is safe, if wasteful.

# %%
def log_weights(model, x, q, samples):
    z = q.rsample((samples,))  # (samples, images, latent)
    return model.log_likelihood(x, z) + (prior.log_prob(z) - q.log_prob(z)).sum(-1)  # equation (16)


@torch.no_grad()
def draw_log_weights(model, q, samples):
    """Log weights of all test images, (samples, images), a few images at a time to save memory."""
    pieces = zip(test.split(10), q.mean.split(10), q.stddev.split(10), strict=True)
    return torch.cat([log_weights(model, x, Normal(*of_some), samples) for x, *of_some in pieces], dim=1)


def estimates_of_bound(log_w, k):
    """Estimates of L_k, (groups, images): the draws of each image serve in groups of k."""
    return log_w.unflatten(0, (-1, k)).logsumexp(dim=1) - math.log(k)  # equation (17)


def bound(log_w, k):
    return estimates_of_bound(log_w, k).mean().item()  # averaged over test images


# %% [markdown]
# With two latent variables we can also do the integral (2) itself, by summing over a fine grid, so that we know
# where the bounds must end. The same grid gives the variance in (19) for draws from the prior.

# %%
@torch.no_grad()
def on_grid(decoder, side=200, reach=4.5):
    """log p(x | z) of each test image at each point of a grid in the plane, and the log prior mass of each point."""
    axis = torch.linspace(-reach, reach, side, device=device)
    grid = torch.cartesian_prod(axis, axis)
    logits = decoder(grid)
    log_likelihood = test @ logits.T - F.softplus(logits).sum(1)  # equation (8), multiplied out
    return log_likelihood, prior.log_prob(grid).sum(1) + 2 * math.log(2 * reach / (side - 1))


log_likelihood, log_mass = on_grid(vae.decoder)
log_evidence = (log_likelihood + log_mass).logsumexp(1)  # equation (2)
log_second_moment = (2 * log_likelihood + log_mass).logsumexp(1)
half_variance = 0.5 * ((log_second_moment - 2 * log_evidence).exp() - 1).mean().item()  # of (19), for the prior
exact = log_evidence.mean().item()

# %%
counts = [1, 2, 5, 10, 50, 100, 500, 1000]
torch.manual_seed(0)
with torch.no_grad():
    proposals = {"z from the encoder": vae.posterior(test), "z from the prior": prior.expand((len(test), 2))}
gaps, errors = {}, {}
print(f"log p(x) by the grid: {exact:.3f} nats per test image")
print(f"k × gap that (19) predicts for the prior: {half_variance:.1f}")
for label, q in proposals.items():
    log_w = draw_log_weights(vae, q, draws_per_image)
    bounds = [estimates_of_bound(log_w, k) for k in counts]
    gaps[label] = [exact - each.mean().item() for each in bounds]
    errors[label] = [(each.var(0).mean() / each.numel()).sqrt().item() for each in bounds]
    print(label)
    for k, gap, error in zip(counts, gaps[label], errors[label], strict=True):
        print(f"  k = {k:4d}: gap {gap:8.4f} ± {error:.4f},  k × gap {k * gap:6.2f} ± {k * error:.2f}")

# %%
plotting.show(plotting.bound_gaps(counts, gaps, errors))

# %% [markdown]
# **Figure 17.** How far $L_k$ lies below $\log p(x)$, averaged over test images; bars of two standard errors. Draws from the encoder start 28 times closer, but their gap falls more slowly than the dotted slope −1. The gap of the prior's draws falls at least as fast
# from $k = 10$ on, and is the smaller one at $k = 1{,}000$.
#
# <!-- alt: Log-log plot of the gap against k. Both curves fall; that of the prior starts about thirty times higher and comes to run close to a dotted line of slope minus one. -->

# %% tags=["build-check"]
of_encoder, of_prior = gaps.values()
growth = [k * gap for k, gap in zip(counts, of_encoder, strict=True)]
assert all(later > earlier for earlier, later in itertools.pairwise(growth[:6])) and growth[7] > 20, growth
assert 24 < of_prior[0] / of_encoder[0] < 32
assert of_prior[7] < of_encoder[7] < 0.05
assert 17 < half_variance < 21 and 30 < 10 * of_prior[3] < 35 and 24 < 100 * of_prior[5] < 29
assert abs(1000 * of_prior[7] - half_variance) < 3 * 1000 * errors["z from the prior"][7]

# %% [markdown]
# The gap at $k = 1$ for draws from the encoder is that of the ELBO, the average KL from $q_\phi(z \mid x)$ to the true posterior: equation (5),
# measured. For draws from the prior, $k$ times the gap has a limit, half the variance in (19), which the grid puts at 19; the measured values rise to 32 at $k = 10$ and then
# come down towards it. For draws from the encoder $k$ times the gap keeps growing: the gap falls more slowly than $1/k$ over the whole range, as an infinite variance allows.
# In nats this does no harm here, since the gap is already below a twentieth of a nat.
#
# For models with more latent variables there is no grid, and $L_K$ with $K$ in the thousands is what papers report as
# log-likelihood. How many draws would the *prior* need? By a rule of Chatterjee and Diaconis (2018), the estimate begins to work at about
#
# $$K \approx e^{\mathrm{KL}(p_\theta(z \mid x) \,\|\, p(z))}$$
#
# draws, and for a good $q$ that KL is nearly the *rate*, the regulariser of (6). Ten latent variables:

# %% fast="prior_draws = 10_000"
prior_draws = 100_000

# %%
torch.manual_seed(0)
rate, _ = judged[10]
with torch.no_grad():
    logits = models[10].decoder(torch.randn(prior_draws, 10, device=device))
    from_prior = (test @ logits.T - F.softplus(logits).sum(1)).T  # log weights (draws, images)
    from_encoder = draw_log_weights(models[10], models[10].posterior(test), 3000)
print(f"rate {rate:.2f} nats, e^rate = {math.exp(rate):.0f} draws")
print(f"L_3000 from the encoder: {bound(from_encoder, 3000):.2f}")
for k in (1, 10, 100, 1000, 10_000):
    print(f"L_{k} from the prior: {bound(from_prior, k):.2f}")

# %% tags=["build-check"]
reached = {k: bound(from_prior, k) for k in (10, 100, 1000, 10_000)}
l_3000 = bound(from_encoder, 3000)
assert 3.8 < rate < 4.4 and abs(l_3000 - reached[10] - 5) < 0.5 and 0.6 < l_3000 - reached[100] < 1.2
assert abs(l_3000 - reached[1000] - 0.1) < 0.06 and abs(l_3000 - reached[10_000]) < 0.05

# %% [markdown]
# The rule gives the right order. With a sixth of $e^{\text{rate}}$ draws the prior's bound is five nats away, near $e^{\text{rate}}$ about one nat, with some
# fifteen times as many a tenth of a nat, and with 10,000 it has arrived. These digits need only four nats of rate. A model of large colour images has a rate of thousands of nats, and sampling from
# the prior is hopeless.

# %% [markdown]
# ### Training with it
#
# $L_K$ can be trained on as well; with $z_k = g_\phi(\varepsilon_k)$ its gradient is an average of the gradients of the
# log-weights, in which better draws count more (use $\nabla w_k = w_k \nabla \log w_k$):
#
# $$\nabla L_K = \mathbb{E}\left[\sum_{k} \tilde w_k\, \nabla \log w_k\right], \qquad \tilde w_k = \frac{w_k}{\sum_j w_j}. \tag{20}$$
#
# The encoder then no longer has to match the posterior; it has to be a good proposal for $K$ draws. A model trained like this is
# called an importance-weighted autoencoder (IWAE).

# %%
def train_importance_weighted(model, samples):
    batches = data.BatchSampler(dataset, batch_size=100, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(updates):
        x = batches.draw().flatten(1).float()
        log_w = log_weights(model, x, model.posterior(x), samples)
        weight = log_w.detach().softmax(dim=0)
        loss = -(weight * log_w).sum(0).mean()  # its gradient is that of equation (20)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(0)
iwae = VAE(latent_dim=10)
train_importance_weighted(iwae, samples=5)

# %% [markdown]
# ### Where does the gap come from?
#
# The gap between ELBO and $\log p_\theta(x)$ has two causes. The encoder may miss the best $\lambda$ of an image: the *amortisation gap*. And
# even the best Gaussian with independent coordinates may differ from the true posterior: the *approximation gap* (Cremer, Li and Duvenaud, 2018). To tell
# them apart, do what unit 02 did: search for the best $\lambda$ of each test image, starting from the encoder's answer. $L_{3000}$ stands for $\log p_\theta(x)$.

# %%
def best_gaussian(model):
    with torch.no_grad():
        start = model.posterior(test)
    mean, log_std = start.mean.clone().requires_grad_(), start.stddev.log().requires_grad_()
    optimizer = torch.optim.Adam([mean, log_std], lr=0.02)
    for _ in range(search_steps):
        q = Normal(mean, log_std.exp())
        reconstruction = model.log_likelihood(test, q.rsample((8,))).mean()  # over eight draws and all images
        loss = kl_divergence(q, prior).sum(-1).mean() - reconstruction  # minus equation (6)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Normal(mean.detach(), log_std.detach().exp())


# %%
print("10 latents, nats    ELBO: encoder's   best q's   L_3000   gap: amortisation   approximation")
table = {}
for label, model in {"VAE": models[10], "IWAE, 5 samples": iwae}.items():
    torch.manual_seed(0)
    with torch.no_grad():
        of_encoder = draw_log_weights(model, model.posterior(test), 3000)
    of_best = draw_log_weights(model, best_gaussian(model), 3000)
    tight = max(bound(of_encoder, 3000), bound(of_best, 3000))
    table[label] = (of_encoder.mean().item(), of_best.mean().item(), tight)
    encoder_elbo, best_elbo, _ = table[label]
    print(f"{label:16s} {encoder_elbo:18.2f} {best_elbo:10.2f} {tight:8.2f}", end="")
    print(f" {best_elbo - encoder_elbo:19.2f} {tight - best_elbo:15.2f}")

# %% tags=["build-check"]
for encoder_elbo, best_elbo, tight in table.values():
    assert encoder_elbo < best_elbo < tight
(vae_elbo, vae_best, vae_tight), (iwae_elbo, iwae_best, iwae_tight) = table.values()
assert 0.2 < iwae_tight - vae_tight < 0.45 and 0.6 < vae_elbo - iwae_elbo < 0.9
assert iwae_tight - iwae_best > 2 * (vae_tight - vae_best)
assert 0.3 < (vae_best - vae_elbo) / (vae_tight - vae_elbo) < 0.7, "about half of the VAE's gap is the encoder's"
assert 0.5 < (iwae_best - iwae_elbo) / (iwae_tight - iwae_elbo) < 0.8, "the larger part of the IWAE's gap is the encoder's"
assert abs(iwae_best - vae_best) < 0.1

# %% [markdown]
# The VAE's gap of half a nat is half the encoder's and half the family's. As a model the IWAE is better (its $L_{3000}$ is higher by a third of a nat), although its ELBO is
# lower by three quarters. The table says why. Its posteriors are further from any Gaussian: the approximation gap has more than doubled, and uses up what the model has gained.
# And its encoder, which was trained to be a good proposal and not the best Gaussian, is about one nat from the best: the larger part of the gap. (One run
# of each is shown, and they do not cost the same: an update of the IWAE uses five draws per image, that of the VAE one. The last line
# of the next paragraph has the comparison at equal numbers of draws, from the paper.)
#
# In the original paper, on MNIST with dynamic binarisation and one stochastic layer,
# the negative log-likelihood (bounded with 5,000 samples) fell from 86.76 nats for $K = 1$ to 85.54 for $K = 5$ and
# 84.78 for $K = 50$ (Burda et al., as quoted by a public re-implementation, whose own runs gave 86.35, 85.18, 84.59).
# More draws for the ordinary ELBO do not do that: 86.47 with 5 and 86.35 with 50.

# %% [markdown]
# ### What more samples do to the gradient
#
# A tighter bound sounds like a better objective. For the encoder it is a worse one. Expand as before, with $r$ the average of $K$ weights over $p_\theta(x)$:
#
# $$\log \frac1K \sum_k w_k \approx \log p_\theta(x) + (r - 1) - \tfrac12 (r - 1)^2. \tag{21}$$
#
# Take the gradient in $\phi$. The first term does not contain $\phi$. The second has expectation 0 for every $\phi$, so its gradient is *pure noise*, of size
# $1/\sqrt K$. What tells the encoder where to go is the third, whose mean is of size $1/K$. Signal over noise falls like $(1/K) / (1/\sqrt K) = 1/\sqrt K$.
# For $\theta$ the first term is the signal and does not shrink while the noise does: the ratio *grows* like $\sqrt K$ (Rainforth et al., 2018).
#
# Tucker et al. (2019) remove the noisy term. They reparameterise once more inside the gradient and get, for the encoder alone,
#
# $$\nabla_\phi L_K = \mathbb{E}\left[\sum_k \tilde w_k^2\, \frac{\partial \log w_k}{\partial z_k}\, \nabla_\phi\, g_\phi(\varepsilon_k)\right], \tag{22}$$
#
# the *doubly reparameterised* gradient (quoted here, not derived). We measure all three in a VAE that has seen 300 updates: gradients with respect to $(\mu, \log \sigma)$ and
# to the biases of the decoder's output. Both estimators for the encoder have the same mean, so the signal of both is taken from the less noisy one.

# %%
def gradients(model, x, k, doubly=False):
    """Independent estimates of the gradient of L_k, (copies, images, …), for λ and for the output biases."""
    with torch.no_grad():
        q = model.posterior(x)
        mean, log_std = q.mean.expand(copies, -1, -1).clone(), q.stddev.log().expand(copies, -1, -1).clone()
    bias = torch.zeros(copies, *x.shape, device=device, requires_grad=True)  # added to the decoder's own
    q = Normal(mean.requires_grad_(), log_std.requires_grad_().exp())
    z = q.rsample((k,))  # (k, copies, images, latent)
    density = Normal(mean.detach(), log_std.detach().exp()) if doubly else q
    log_likelihood = Bernoulli(logits=model.decoder(z) + bias).log_prob(x).sum(-1)
    log_w = log_likelihood + (prior.log_prob(z) - density.log_prob(z)).sum(-1)
    weight = log_w.detach().softmax(dim=0)
    (weight ** (2 if doubly else 1) * log_w).sum().backward()  # equation (22) or (20)
    return torch.cat([mean.grad, log_std.grad], dim=-1), bias.grad


# %%
def signal_to_noise(estimates, best):
    """Length of the mean gradient, from the best estimates, over the root of the total variance, averaged over images."""
    own_noise = best.var(dim=0).sum(-1) / len(best)  # of the mean itself
    signal = (best.mean(dim=0).square().sum(-1) - own_noise).clamp(min=0)
    return (signal / estimates.var(dim=0).sum(-1)).sqrt().mean().item()


def of_eight_images(k, **options):
    pieces = [gradients(half_trained, x, k, **options) for x in test[:8].split(2)]  # two at a time, to save memory
    return [torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True)]


# %%
torch.manual_seed(0)
half_trained = VAE(latent_dim=10)
train(half_trained, updates=min(300, updates))
ratios = {"encoder": [], "encoder, doubly reparameterised": [], "decoder": []}
for k in (1, 4, 16, 64):
    plain, decoder_bias = of_eight_images(k)
    doubly, _ = of_eight_images(k, doubly=True)
    pairs = (plain, doubly), (doubly, doubly), (decoder_bias, decoder_bias)  # (22) and (20) have the same mean
    for values, (estimates, best) in zip(ratios.values(), pairs, strict=True):
        values.append(signal_to_noise(estimates, best))
plotting.show(plotting.signal_to_noise([1, 4, 16, 64], ratios))

# %% [markdown]
# **Figure 18.** Signal-to-noise ratio of one gradient estimate, averaged over eight test images. When $k$ is multiplied by four, the decoder's grows
# by a factor of two, as (21) says, and the encoder's falls by 1.4 to 1.8: a little slower than the two of large $k$. The doubly reparameterised one rises a little.
#
# <!-- alt: Log-log plot against k. The decoder's line rises from about 4.5 to about 36, the encoder's falls from 0.11 to 0.03, the doubly reparameterised one rises from 0.3 to almost 0.5. -->

# %% tags=["build-check"]
(enc, dreg, dec) = ratios.values()
falls = [before / after for before, after in itertools.pairwise(enc)]
assert all(1.3 < fall < 1.95 for fall in falls) and 3.3 < enc[0] / enc[3] < 5, falls
assert all(1.8 < after / before < 2.3 for before, after in itertools.pairwise(dec)), dec
assert 0.28 < dreg[0] < 0.37 and 0.4 < dreg[3] < 0.52

# %% [markdown]
# **Check yourself.** (a) Which two numbers would you compare to judge two *models*: their ELBOs, or their $L_{1000}$?
# (b) A colleague reports $L_K$ with the largest $K$ that fits, and another $K$ for the competitor. What is wrong?
#
# <details><summary>Answer</summary>
#
# (a) $L_{1000}$, which is close to $\log p_\theta(x)$ for both. The ELBOs differ by the quality of their encoders too,
# which is not part of the model of images. (b) By (18) a larger $K$ alone raises the bound, so part of the difference may come from the yardstick. Use at least the same $K$ for both; better, a $K$ so large that doubling it changes nothing.
# </details>

# %% [markdown]
# ## 8. Other ways to learn
#
# The original paper calls the training of section 6 *auto-encoding variational Bayes* (AEVB) and compares it with two older ways to train the same decoder.
#
# **Monte Carlo EM** uses no encoder. Since $\nabla p = p\, \nabla \log p$, the gradient of the log-probability is an average over the true posterior,
#
# $$\nabla_\theta \log p_\theta(x) = \frac{\int \nabla_\theta\, p_\theta(x, z)\, dz}{p_\theta(x)}
# = \int \frac{p_\theta(x, z)}{p_\theta(x)} \nabla_\theta \log p_\theta(x, z)\, dz = \mathbb{E}_{p_\theta(z \mid x)}\bigl[\nabla_\theta \log p_\theta(x, z)\bigr], \tag{23}$$
#
# and draws from that posterior can be made by Markov chain Monte Carlo, which needs $\log p_\theta(x, z)$ only. Each training image keeps a chain, which continues from where it stopped. If the chains mix, this follows the exact likelihood. They have to mix for every image, again and again, while $\theta$ moves.
#
# **Wake-sleep** has an encoder, and trains each network on what the other one makes:
#
# $$\text{wake: } \min_\theta\; \mathbb{E}_{x}\, \mathbb{E}_{q_\phi(z \mid x)}\bigl[-\log p_\theta(x \mid z)\bigr], \qquad
#   \text{sleep: } \min_\phi\; \mathbb{E}_{p_\theta(x, z)}\bigl[-\log q_\phi(z \mid x)\bigr]. \tag{24}$$
#
# The wake phase is the gradient of the ELBO in $\theta$. The sleep phase is not its gradient in $\phi$: it minimises the *other* KL, $\mathrm{KL}(p_\theta(z \mid x) \,\|\, q_\phi(z \mid x))$,
# over images that the model dreams. So there is no single objective that both phases raise.

# %%
def wake_sleep_losses(model, x):
    with torch.no_grad():
        z = model.posterior(x).sample()  # awake: a real image, its code guessed by the encoder
        dreamt_z = torch.randn_like(z)  # asleep: a code from the prior, its image made by the decoder
        dreamt_x = Bernoulli(logits=model.decoder(dreamt_z)).sample()
    wake = -model.log_likelihood(x, z).mean()  # equation (24), for the decoder alone
    sleep = -model.posterior(dreamt_x).log_prob(dreamt_z).sum(-1).mean()  # for the encoder alone
    return wake, sleep


wake, sleep = wake_sleep_losses(vae, test)
vae.zero_grad()
wake.backward()
print(f"wake {wake.item():.1f} nats; gradient that reaches the encoder: {vae.encoder[0].weight.grad}")
vae.zero_grad()

# %% [markdown]
# The comparison: one hidden layer of 100 units, three latent variables, 100 or 1,000 digits drawn black or white once. All three learners get the same budget, counted
# in passes of a batch of 50 through one network, forwards or backwards. An update costs AEVB 4 passes, wake-sleep 6; Monte Carlo EM pays 22 for one move of Hamiltonian Monte Carlo (ten leapfrogs) and
# 10 for the five updates that use it. Each learner's step size was tuned on 300 validation images. With three latent variables $\log p(x)$ is a sum over a grid, which
# favours no learner; a finer grid changes it by at most 0.02 nats. `experiments/three_learners` made this record.

# %%
record = data.recorded("three_learners")
panels = data.learner_curves(record)
for title, learners in panels.items():
    print(f"{title}: log p(x) at the end, nats per image, three seeds")
    for label, curves in learners.items():
        last = ("  ".join(f"{seed[-1]:6.2f}" for seed in curves[split]) for split in ("train", "test"))
        print("  {:15s} train {}   test {}".format(label, *last))
plotting.show(plotting.learners_compared(record["passes"], panels))

# %% [markdown]
# **Figure 19.** Exact $\log p(x)$ against computation, mean and range over three seeds; solid on test images, dashed on training images. On 100
# images all three reach nearly the same test value and then overfit, Monte Carlo EM most. On 1,000 images AEVB ends best.
#
# <!-- alt: Two panels. With 100 training images all dashed curves rise to the end while the solid ones peak near minus 25 and fall, that of Monte Carlo EM to minus 30. With 1,000 images AEVB and wake-sleep rise steadily, AEVB above; Monte Carlo EM falls in the middle and ends two nats below AEVB. -->

# %% tags=["build-check"]
def mean_curve(size, label, split):
    seeds = panels[f"{size} training images"][label][split]
    return [sum(values) / len(values) for values in zip(*seeds, strict=True)]


best_of_100 = {label: max(mean_curve(100, label, "test")) for label in ("AEVB", "wake-sleep", "Monte Carlo EM")}
last_of_1000 = {label: mean_curve(1000, label, "test")[-1] for label in ("AEVB", "wake-sleep", "Monte Carlo EM")}
assert [round(value, 1) for value in best_of_100.values()] == [-25.2, -25.1, -25.4]
assert [round(value, 1) for value in last_of_1000.values()] == [-23.0, -23.7, -25.1]
assert all(mean_curve(100, label, "test")[-1] < best - 0.5 for label, best in best_of_100.items()), "all overfit"
assert mean_curve(1000, "Monte Carlo EM", "test")[5] < mean_curve(1000, "Monte Carlo EM", "test")[2] - 2
learners = [result for size in record["runs"].values() for result in size.values()]
assert max(abs(seed["finer_grid"]) for result in learners for seed in result["seeds"]) < 0.022

# %% [markdown]
# | log p(x) of test images, mean of three seeds | AEVB | wake-sleep | Monte Carlo EM |
# |---|---|---|---|
# | 100 training images, best along the way (of the test images themselves) | −25.2 | −25.1 | −25.4 |
# | 1,000 training images, at the end | −23.0 | −23.7 | −25.1 |
#
# On 100 images nobody wins: the differences are small beside what overfitting costs afterwards. Monte Carlo EM, which follows the likelihood itself, fits the
# training images best and in the end the test images worst.
#
# On 1,000 images the same budget separates them. Wake-sleep lags behind; its encoder is trained on dreams. Monte Carlo EM even loses ground for a
# while. The likely reason is that each image's chain moves only 19 times in all, ten times less often than with 100 images, and that a draw is a hundred updates old when it is
# renewed. More moves would help, and would cost more of the budget.

# %% [markdown]
# **Check yourself.** (a) Suppose the decoder is perfect, $p_\theta(x)$ equals the data's distribution. Do the sleep phase and AEVB then train the encoder towards the same $q$? (b) Why could
# Monte Carlo EM not be run like this on 60,000 images in one pass through the data?
#
# <details><summary>Answer</summary>
#
# (a) On the same images, but with the two directions of KL: sleep covers the whole posterior, the ELBO prefers to stay inside it (unit 01). If the family contains the true posterior both find it; if not, they
# differ. (b) Each chain would move once, from a draw of the prior, and stay far from its posterior. The encoder shares what it learns among images; the chains share nothing.
# </details>

# %% [markdown]
# ## 9. Rate and distortion
#
# Average the two terms of the loss over the data, and give them the names they have in the theory of compression:
#
# $$D = \mathbb{E}_{x}\, \mathbb{E}_{q}\bigl[-\log p_\theta(x \mid z)\bigr], \qquad
#   R = \mathbb{E}_{x}\, \mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr), \qquad D + R = -\mathbb{E}_{x}\, \mathrm{ELBO}(x). \tag{25}$$
#
# The *distortion* $D$ is what is left to say about an image once $z$ is known; the *rate* $R$ is what it costs to say
# $z$. Let $q(z) = \mathbb{E}_x\, q_\phi(z \mid x)$ be the distribution of codes over all images. Multiply and divide by it:
#
# $$R = \mathbb{E}_{x}\, \mathbb{E}_{q}\left[\log \frac{q_\phi(z \mid x)}{q(z)}\right] + \mathbb{E}_{q(z)}\left[\log \frac{q(z)}{p(z)}\right]
#     = I_q(x; z) + \mathrm{KL}\bigl(q(z) \,\|\, p(z)\bigr) \;\ge\; I_q(x; z), \tag{26}$$
#
# so the rate bounds the information that the code carries about the image, and the excess is the mismatch between
# the codes and the prior: the very thing that spoiled sampling in section 1. The sum cannot fall below the entropy
# $H$ of the data, for $-\mathbb{E}_x \mathrm{ELBO} \ge -\mathbb{E}_x \log p_\theta(x) \ge H$ (by (5), and because a KL is never
# negative once more). So every model lies on or above the line $D + R = H$.

# %% [markdown]
# The ELBO is the same *wherever* along such a line a model lies: a nat of rate counts as much as a nat of distortion. The
# $\beta$-VAE changes the exchange rate:
#
# $$\mathcal{L}_\beta = D + \beta R. \tag{27}$$
#
# Among the models that networks of a given size can reach, those with the smallest $D$ for their $R$ form a curve
# $D^*(R)$. If it is smooth, minimising (27) on it at some $R > 0$ means $\frac{d}{dR}\bigl(D^*(R) + \beta R\bigr) = 0$, hence
#
# $$\frac{dD^*}{dR} = -\beta: \tag{28}$$
#
# training with $\beta$ finds the point where one more nat of rate buys exactly $\beta$ nats of distortion. At $R = 0$, where the curve begins, there is only one side to look at:
# a minimum there needs no more than $dD^*/dR \ge -\beta$, and a whole range of $\beta$ ends at that point.
#
# This can be tested. Let $(R_1, D_1)$ be best for $\beta_1$ and $(R_2, D_2)$ for $\beta_2 > \beta_1$, with $R_1 > R_2$. Then
# $D_1 + \beta_1 R_1 \le D_2 + \beta_1 R_2$ and $D_2 + \beta_2 R_2 \le D_1 + \beta_2 R_1$; solved for the slope between them,
#
# $$-\beta_2 \;\le\; \frac{D_1 - D_2}{R_1 - R_2} \;\le\; -\beta_1. \tag{29}$$

# %%
betas = [0.1, 0.5, 1, 2, 4]
on_plane, beta_models = {}, {}
for beta in betas:
    torch.manual_seed(0)
    beta_models[beta] = models[10] if beta == 1 else VAE(latent_dim=10)
    if beta != 1:
        train(beta_models[beta], beta=beta)
    on_plane[beta] = judge(beta_models[beta]) if beta != 1 else judged[10]
    print(f"β = {beta:4}: R {on_plane[beta][0]:6.2f}, D {on_plane[beta][1]:6.2f}, R + D {sum(on_plane[beta]):6.2f}")
slopes = []
for (beta, here), (next_beta, there) in itertools.pairwise(on_plane.items()):
    slopes.append((there[1] - here[1]) / (there[0] - here[0]))  # equation (29)
    print(f"slope between β = {beta} and {next_beta}: {slopes[-1]:.2f}")

# %%
rates, distortions = zip(*on_plane.values(), strict=True)
plotting.show(plotting.rate_distortion(rates, distortions, betas))

# %% [markdown]
# **Figure 20.** One model for each $\beta$, each trained once, on test images. The dotted line joins all points that have the same ELBO as the model with $\beta = 1$;
# every other model lies above it. The four slopes lie between the limits of (29). At $\beta = 4$ the rate vanishes and the latent variables are ignored.
#
# <!-- alt: A falling convex curve of distortion against rate, with beta 0.1 at the lower right and beta 4 at rate zero, upper left; a dotted line touches it at beta 1. -->

# %% tags=["build-check"]
assert all(sum(point) > sum(on_plane[1]) for beta, point in on_plane.items() if beta != 1)
for slope_between, (small, large) in zip(slopes, itertools.pairwise(betas), strict=True):
    assert -large <= slope_between <= -small, (small, large, slope_between)
assert on_plane[4][0] < 0.1 and list(rates) == sorted(rates, reverse=True)

# %%
shown, frames = [0.1, 1, 2, 4], []
for beta in shown:
    model = beta_models[beta]
    torch.manual_seed(2)
    with torch.no_grad():
        reconstructed = model.decoder(model.posterior(test[:12]).sample()).sigmoid()
        sampled = model.decoder(torch.randn(12, 10, device=device)).sigmoid()
    rows = {"test draws": as_images(test[:12]), "reconstructed": as_images(reconstructed), "sampled": as_images(sampled)}
    title = f"β = {beta:g}: −ELBO = {sum(on_plane[beta]):.1f} nats per test image"
    frames.append(plotting.image_rows(rows, bits=1, title=title))
plotting.slider(frames, shown, "β", start=0)

# %% [markdown]
# **Figure 21.** What a nat buys. Drag $\beta$: cheap rate gives faithful reconstructions, expensive rate blurs them, until all are the same grey average. The samples of $\beta = 0.1$ look
# crisp at 8 × 8 pixels, and the bound above them says that they come from a worse model of the digits than those of $\beta = 1$.
#
# <!-- alt: Rows of black and white test digits, their reconstructions and samples from the prior for one value of beta, with minus the ELBO written above. At beta 0.1 strokes are crisp; at beta 4 all images are the same blur. -->

# %% tags=["build-check"]
assert sum(on_plane[0.1]) > sum(on_plane[1]) + 1

# %% [markdown]
# At the small end stands the autoencoder of section 1: sharp reconstructions, and a distribution of codes that the prior does
# not match. At the large end the decoder knows nothing but the average image. In between no single point is best:
# compression, representation and sampling each call for a different one.

# %% [markdown]
# **Check yourself.** (a) Is $D + \beta R$ with $\beta < 1$ still an upper bound on $-\log p_\theta(x)$? (b) Two models have
# the same ELBO, one with $R = 0$, the other with $R = 5$ nats. Which has the better representation?
#
# <details><summary>Answer</summary>
#
# (a) No: for $\beta < 1$ it can be below it. The *objective* is then not a bound; the trained model still has an ordinary
# ELBO, its $-(D + R)$. For $\beta > 1$ it is a bound, and a looser one. (b) The first has none: its code carries no
# information by (26), so it models the images by the decoder alone. The ELBO cannot tell the two apart, and that is a
# reason to report $R$ and $D$ separately.
# </details>

# %% [markdown]
# ## What to remember
#
# $$\log p_\theta(x) = \mathrm{ELBO}(x) + \mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x)\bigr)$$
#
# 1. A VAE is a latent-variable model trained by this bound.
# 2. Its loss is reconstruction (a *sum* over pixels) plus the KL from posterior to prior. The encoder amortises the search for
#    the posterior's parameters, and part of the gap is the price of that.
# 3. The gradient passes through a draw once the noise is an input. For smooth $f$ this beats the score function, and if $f$ is a sum over
#    coordinates its variance does not grow with their number.
# 4. More importance samples make the bound tighter, the decoder's gradient cleaner and the encoder's noisier; compare
#    models by $L_K$ with the same large $K$.
# 5. Distortion plus rate is the loss; $\beta$ is the exchange rate between them, and minus the slope of the curve.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | what it is |
# |---|---|
# | latent variables die at once | means where sums belong: `binary_cross_entropy(..., reduction="mean")` divides the reconstruction by the number of pixels, and the KL then weighs 64 (or 784) times as much, as with $\beta = 64$; in figure 20 the rate is gone at 4 |
# | KL near zero, all samples alike; the plateau of figure 12 never ends | posterior collapse: a decoder that can do without $z$, or a KL that costs too much early on. Watch the KL per unit; raise $\beta$ slowly from 0 (unit 04) |
# | trains, but quietly worse | log-variance and log-standard-deviation mixed up. Names such as `log_std` in this course say which it is |
# | the encoder learns from the KL alone | a detached draw: `q.sample()` where `q.rsample()` was meant; it runs without complaint |
# | $-\infty$ and nan | probabilities instead of logits, or $e^{\log\sigma}$ of an encoder that has run away. Keep logarithms, clip the norm of gradients in deep models (unit 05) |
# | a "log-likelihood" that no one else can reproduce | grey pixels in a Bernoulli likelihood: a cross-entropy. Or another binarisation, another $K$, nats against bits per pixel |
# | beautiful pictures, poor model | reconstructions say little about samples (figure 3), and crisp samples little about the model (figure 21). Look at both, and at $R$ and $D$ |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | sections 2 to 8; figures 10, 15, 16 and 19 re-make some of its own | D. P. Kingma and M. Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), ICLR 2014 |
# | the same idea, found independently | D. J. Rezende, S. Mohamed and D. Wierstra, [Stochastic Backpropagation and Approximate Inference in Deep Generative Models](https://arxiv.org/abs/1401.4082), ICML 2014 |
# | the ring of figure 1 | C. Doersch, [Tutorial on Variational Autoencoders](https://arxiv.org/abs/1606.05908), 2016 |
# | to read next | D. P. Kingma and M. Welling, [An Introduction to Variational Autoencoders](https://arxiv.org/abs/1906.02691), Foundations and Trends in Machine Learning 12(4), 2019 |
# | section 5 | S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, [Monte Carlo Gradient Estimation in Machine Learning](https://arxiv.org/abs/1906.10652), JMLR 21, 2020; R. J. Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement learning*, Machine Learning 8, 1992 |
# | equations (16) to (20) | Y. Burda, R. Grosse and R. Salakhutdinov, [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), ICLR 2016 |
# | how many draws from the prior | S. Chatterjee and P. Diaconis, *The sample size required in importance sampling*, Annals of Applied Probability 28, 2018 |
# | the two gaps | C. Cremer, X. Li and D. Duvenaud, [Inference Suboptimality in Variational Autoencoders](https://arxiv.org/abs/1801.03558), ICML 2018 |
# | figure 18 | T. Rainforth et al., [Tighter Variational Bounds are Not Necessarily Better](https://arxiv.org/abs/1802.04537), ICML 2018; G. Tucker et al., [Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives](https://arxiv.org/abs/1810.04152), ICLR 2019 |
# | section 8 | G. Hinton, P. Dayan, B. Frey and R. Neal, *The wake-sleep algorithm for unsupervised neural networks*, Science 268, 1995; G. Wei and M. Tanner, *A Monte Carlo implementation of the EM algorithm*, JASA 85, 1990; R. Neal, [MCMC using Hamiltonian dynamics](https://arxiv.org/abs/1206.1901), 2011 |
# | section 9 | I. Higgins et al., [beta-VAE](https://openreview.net/forum?id=Sy2fzU9gl), ICLR 2017; A. A. Alemi et al., [Fixing a Broken ELBO](https://arxiv.org/abs/1711.00464), ICML 2018; M. D. Hoffman and M. J. Johnson, *ELBO surgery*, NIPS workshop 2016 |
# | the data | R. Salakhutdinov and I. Murray, *On the quantitative analysis of deep belief networks*, ICML 2008 (grey values as probabilities); E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998; the faces are Brendan Frey's, published by Sam Roweis |

# %% [markdown]
# ## Where next
#
# In this unit's **assignment** you write the five functions behind this lecture (the draw, the likelihood, the loss, the bound,
# the training step) and then train the library's VAE with *yours* in it. **Unit 04** gives the decoder better likelihoods than
# black and white, and the posterior better families than a Gaussian. **Unit 05** stacks latent variables into a hierarchy, in
# which the prior itself is learned.
