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
# A variational autoencoder learns, from images alone, a recipe for new ones: draw a short vector of random
# numbers, send it through a network, read off an image. This lecture derives it from one inequality, trains it in
# two dozen lines on real handwritten digits, and measures how good the inequality is.
#
# **What you will be able to do**
#
# 1. Say why an autoencoder cannot be sampled, and name the two changes to it that make a generative model.
# 2. Derive the evidence lower bound, split it into reconstruction and regulariser, and write both as code.
# 3. Explain why a gradient stops at a sample, derive the score-function and the reparameterised estimator, and
#    predict how the variance of each grows with the number of latent variables.
# 4. Prove that the importance-weighted bound tightens with every sample, and use it to judge a trained model.
# 5. Place a model trained with any $\beta$ on the rate–distortion plane, and say what the slope there means.
#
# **What you need first.** KL divergence and its form for Gaussians (unit 01), the evidence lower bound (unit 02;
# derived again here in half a page), the chain rule, and PyTorch enough to read `loss.backward()`.
#
# **What it costs.** An hour and a half to read, with a pencil for the derivations. Two and a half minutes to run on two CPU
# cores with the small digits, and 1.2 GB of memory. On Colab the same cells use MNIST, for which a GPU is worth having
# (not timed yet).

# %% [markdown]
# ## Set-up
#
# On Colab this cell installs the course's library and leaves PyTorch and NumPy as they are; elsewhere it uses the
# copy of the course that the notebook lies in.

# %%
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path.cwd().parents if (folder / "avae_lib").is_dir()][:1]
if util.find_spec("avae_lib") is None:  # as on Colab: install it, and keep these three in the versions they have
    keep = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision", "numpy")]
    address = "https://github.com/{{repository}}/archive/{{branch}}.zip"
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", address, *keep]).returncode:
        raise ImportError("avae_lib could not be installed: without a network, open this notebook in a course folder")

from avae_lib.notebook_setup import ready

print(ready())

# %%
import itertools
import math
import os

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from avae_lib import data, plotting
from avae_lib.objectives import ELBO

device = "cuda" if torch.cuda.is_available() else "cpu"
fast = "AVAE_FAST" in os.environ  # the short way is for automatic tests
updates, repeats = (150, 1) if fast else (3000, 5)

# %% [markdown]
# ## The data
#
# Real handwritten digits: on Colab the 60,000 of MNIST (28 × 28 pixels), elsewhere the 1,500 that come with
# scikit-learn (8 × 8). The cells below are the same for both.
#
# Pixels are made black or white, because the likelihood is then as simple as can be. A grey value is read as the
# probability of white, and drawn anew whenever the image is used (*dynamic binarisation*), so that the network
# never sees quite the same image twice. Test images are drawn once.

# %%
name = "mnist" if "google.colab" in sys.modules else "digits"
dataset = data.load(name).binarized("dynamic")
test = dataset.pixels("test")[:300].flatten(1).float().to(device)  # (images, pixels), each 0 or 1
grey = dataset.test[:300] / (2**dataset.bits - 1)  # the same images before, for pictures
num_pixels = test.shape[1]


def as_images(rows):
    return rows.reshape(-1, *dataset.image_shape)


print(f"{name}: {len(dataset.train)} training images of {num_pixels} pixels; {len(test)} test images are used here")
plotting.show(
    plotting.image_rows({"grey": grey[:14], "one draw": as_images(test[:14])}, bits=1),
    caption="Figure 1. Fourteen test images, and one draw of black or white pixels for each. The model sees draws only.",
    alt="Two rows of handwritten digits: the upper in grey, the lower the same digits in black and white, ragged.",
)

# %% [markdown]
# ## 1. An autoencoder cannot be sampled
#
# An autoencoder squeezes an image into a short *code* and unfolds it again. Both halves are networks; the loss is
# the reconstruction error: here, the negative log-probability that the decoder's output gives to the pixels.

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
    print(f"code of {code_size} numbers: reconstruction error {loss.item():.1f} nats per image in the last batch")
    return encoder, decoder


# %% [markdown]
# With a code of ten numbers it reconstructs well. Can it also *make* digits? We would have to put in a code of our
# own. But which? The loss never said how codes should be distributed, so they lie wherever training left them. Two
# guesses: a standard normal; or, more cleverly, a Gaussian with the mean and covariance of the codes of real images.

# %%
torch.manual_seed(0)
encoder, decoder = train_autoencoder(code_size=10)
with torch.no_grad():
    codes = encoder(2 * test - 1)
    noise = torch.randn(14, 10, device=device)
    fitted = codes.mean(0) + noise @ torch.linalg.cholesky(codes.T.cov()).T
    decoded = {"reconstructed": codes[:14], "code ~ N(0, I)": noise, "code ~ fitted N": fitted}
    rows = {label: as_images(decoder(code).sigmoid()) for label, code in decoded.items()}
plotting.show(
    plotting.image_rows({"test images": grey[:14]} | rows, bits=1),
    caption="Figure 2. An autoencoder reconstructs faithfully, but what it makes of codes drawn at random, even from a "
    "Gaussian fitted to the codes of real images, is mostly no digit.",
    alt="Four rows: test digits, sharp reconstructions, then two rows decoded from random codes with few real digits.",
)

# %% [markdown]
# To see what is wrong, give the code two numbers only, and draw it.

# %%
encoder2, decoder2 = train_autoencoder(code_size=2)
with torch.no_grad():
    codes = encoder2(2 * test - 1)
plotting.show(
    plotting.latent_scatter(codes, dataset.test_labels[: len(codes)], title="codes of the autoencoder"),
    caption="Figure 3. Codes of test images, each drawn as its digit: crowded here, empty there, on a scale that nothing "
    "fixes.",
    alt="A scatter of numerals in the plane: digit classes form elongated rays with empty regions between them.",
)

# %% [markdown]
# Two things are missing.
#
# * **A distribution of codes** to draw from, fixed in advance, that the encoder has to respect.
# * **No gaps**: places between the codes must decode to something sensible too. If codes were a little *blurred*
#   during training, the decoder would have to make sense of whole regions instead of points.
#
# The variational autoencoder brings in both, not as tricks but as consequences of one definition.

# %% [markdown]
# **Check yourself.** Someone proposes to fit a Gaussian (or a histogram) to the codes after training and to draw
# codes from it. What does that mend, and what not?
#
# <details><summary>Answer</summary>
#
# It mends the scale: codes then come from the right part of the plane. It does not mend the gaps, since nothing
# made the decoder sensible between codes; and in twenty dimensions no histogram can be filled from 1,500 codes. A
# flexible enough density model of the codes *can* work. Then that model is where the generative modelling happens,
# and the two parts were trained for different aims.
# </details>

# %% [markdown]
# ## 2. The model
#
# Suppose that images come about in two steps: nature draws a latent vector $z$ from a fixed *prior*, then an image
# from a distribution that depends on $z$ through a network with weights $\theta$, the *decoder*.
#
# $$p_\theta(x, z) = p(z)\, p_\theta(x \mid z), \qquad p(z) = \mathcal{N}(z;\, 0, I). \tag{1}$$
#
# Sampling is then trivial by construction: draw $z$, decode, draw $x$. What is hard is learning. The probability of
# an image is an average over all latent vectors that could have produced it,
#
# $$p_\theta(x) = \int p(z)\, p_\theta(x \mid z)\, dz, \tag{2}$$
#
# and no formula gives this integral when a network stands inside. Drawing $z$ from the prior and averaging
# $p_\theta(x \mid z)$ is correct but hopeless in many dimensions: hardly any $z$ explains a given image. We shall
# measure how hopeless in section 7.
#
# Which $z$ do explain it? Those to which the *posterior* $p_\theta(z \mid x) = p_\theta(x, z) / p_\theta(x)$ gives
# weight. It has the intractable integral in its denominator, so we approximate it, as unit 02 did, by a member of
# a tractable family with parameters $\lambda$. Here, a Gaussian with independent coordinates:
#
# $$q_\lambda(z) = \mathcal{N}\bigl(z;\, \mu, \operatorname{diag} \sigma^2\bigr), \qquad \lambda = (\mu, \log \sigma). \tag{3}$$
#
# Unit 02 searched the best $\lambda$ for each data point separately. With 60,000 images that is 60,000 searches,
# and one more for each new image. Instead we let a second network, the *encoder* with weights $\phi$, predict the
# answer:
#
# $$\lambda = f(x;\, \phi), \qquad q_\phi(z \mid x) = \mathcal{N}\bigl(z;\, \mu_\phi(x), \operatorname{diag} \sigma_\phi^2(x)\bigr). \tag{4}$$
#
# This is *amortised* inference: the search is paid for once, in training, and afterwards an image costs a single
# pass. What looks like the first half of an autoencoder is a fast solver for $\lambda$.

# %%
plotting.show(
    plotting.vae_graphical_model(),
    caption="Figure 4. The model as a graph. Left, how an image comes about; right, how its latent vector is inferred. "
    "The plate says that both happen once for each of N images, while the weights θ and φ are shared.",
    alt="Two small graphs in plates: z points to x with parameter theta, and x points to z with parameter phi.",
)
plotting.show(
    plotting.vae_network(),
    caption="Figure 5. The same model as a neural network. Compared with an autoencoder, the code has become a "
    "distribution, and noise enters in the middle.",
    alt="Boxes from x through encoder, mu and log sigma, the latent z with noise, decoder, to the pixel distribution.",
)

# %% [markdown]
# ## 3. The bound
#
# Learning means raising $\log p_\theta(x)$. The product rule gives $p_\theta(x) = p_\theta(x, z) / p_\theta(z \mid x)$
# for *every* $z$. Take logarithms, extend the fraction by $q$, and average over $z \sim q_\phi(z \mid x)$; the left
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
# does not depend on $\phi$; raising it in $\theta$ makes the data more probable, or the posterior easier to match.
#
# Split $\log p_\theta(x, z) = \log p_\theta(x \mid z) + \log p(z)$ to see what it asks for:
#
# $$\mathrm{ELBO}(x) = \underbrace{\mathbb{E}_{q}\bigl[\log p_\theta(x \mid z)\bigr]}_{\text{reconstruction}}
# - \underbrace{\mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr)}_{\text{regulariser}}. \tag{6}$$
#
# The two things that section 1 missed are both there. The regulariser ties the codes of every image to a prior that
# is known beforehand. The expectation blurs: an image must be explained by *all* of its $q$, not by one point. The
# loss of a batch of $B$ images is minus the average bound,
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
# Given $z$, each pixel is white with its own probability, independently of the others. The decoder puts out one
# *logit* $\ell_d$ per pixel, a number without limits, and the probability of white is
# $\sigma(\ell) = 1 / (1 + e^{-\ell})$ (with brackets the logistic function, without them a standard deviation). Since
# $1 - \sigma(\ell) = \sigma(-\ell)$,
#
# $$\log p_\theta(x \mid z) = \sum_{d} \bigl[ x_d \log \sigma(\ell_d) + (1 - x_d) \log \sigma(-\ell_d) \bigr]. \tag{8}$$
#
# The sum over pixels is a *sum*: it is the logarithm of a product of probabilities. Averaging over pixels instead
# divides this term by their number and leaves the KL as it is: another objective, with another optimum.
#
# Code that goes through the probability loses everything at large logits: in single precision $\sigma(20)$ is
# exactly 1, and the logarithm of $1 - 1$ is $-\infty$. Computed from the logit, nothing is lost.

# %%
logits = torch.tensor([5.0, 15.0, 20.0, 100.0])
through_probability = (1 - logits.sigmoid()).log()
from_logits = Bernoulli(logits=logits).log_prob(torch.zeros(4))
print("log p(black), logit 5, 15, 20, 100")
print("  through the probability:", "  ".join(f"{value:.6f}" for value in through_probability.tolist()))
print("  from the logit:         ", "  ".join(f"{value:.6f}" for value in from_logits.tolist()))

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

# %% [markdown]
# How much is a nat? The KL is the price, in nats, of telling the decoder where in the prior to look. Drag the
# slider: a posterior half as wide costs about $\log 2 \approx 0.7$ nats (one bit) more.

# %%
z = torch.linspace(-3.5, 3.5, 300)
stds = [1.0, 0.5, 0.25, 0.125, 0.0625]
frames = []
for std in stds:
    posterior = Normal(1.0, std)
    price = kl_divergence(posterior, Normal(0.0, 1.0)).item()
    curves = {"prior p(z)": Normal(0.0, 1.0), "posterior q(z | x)": posterior}
    frames.append(plotting.density_curves(z, {label: curve.log_prob(z).exp() for label, curve in curves.items()}))
    frames[-1].axes[0].set(title=f"KL(q ‖ p) = {price:.2f} nats", ylim=(0, 6.5))
plotting.slider(
    frames,
    stds,
    "σ",
    caption="Figure 6. One latent variable: the narrower the posterior (here around μ = 1), the more nats it costs.",
    alt="The density of the prior, broad, and of the posterior, which gets narrower and taller as sigma falls",
)

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
# One obstacle is left. Write $f(z) = \log p_\theta(x \mid z)$. For the decoder's weights the gradient goes under the
# expectation, and a draw of $z$ gives an unbiased estimate: $\nabla_\theta\, \mathbb{E}_q[f_\theta(z)] =
# \mathbb{E}_q[\nabla_\theta f_\theta(z)]$. For the encoder's weights it does not, because the distribution over which we
# average depends on $\phi$ itself. A sample is a number; how it would have changed with $\phi$ is not in it.
#
# **Score function.** Differentiate the density, and use $\nabla q = q\, \nabla \log q$ to get an expectation back:
#
# $$\nabla_\phi\, \mathbb{E}_{q_\phi}[f(z)] = \int f(z)\, \nabla_\phi q_\phi(z)\, dz
# = \mathbb{E}_{q_\phi}\bigl[ f(z)\, \nabla_\phi \log q_\phi(z) \bigr]. \tag{10}$$
#
# This holds for any $q$ with a differentiable density and any $f$, even one that is a black box. It learns about
# $f$ only by its values: it raises the density wherever $f$ happens to be large.
#
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
# This needs a differentiable $f$ and a $q$ of the form $g_\phi(\varepsilon)$. In return every draw reports the
# *slope* of $f$, one number for each coordinate, instead of a single value.

# %%
plotting.show(
    plotting.reparameterization_paths(),
    caption="Figure 7. Left: backpropagation ends at a sample. Right: with the noise as an input, the path from the "
    "loss to the parameters consists of differentiable functions only.",
    alt="Two graphs. On the left the gradient arrow stops at z; on the right it continues from z to the parameters.",
)

# %% [markdown]
# ### How much better is it?
#
# Take a problem that can be solved by hand: $f(z) = \sum_{i=1}^{d} z_i^2$, $q = \mathcal{N}(\mu, I)$ with every
# $\mu_i = 1$, and ask for the derivative with respect to $\mu_1$. Since $\mathbb{E}_q f = \sum_i (\mu_i^2 + 1)$, the answer is
# $2\mu_1 = 2$. With $z_i = 1 + \varepsilon_i$, the two estimators of one draw are
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
#
# The score function pays for every other coordinate: $f$ contains them all, and to the estimate of one slope they
# are noise. A *baseline* $b$ helps: $\mathbb{E}_q[\nabla \log q] = 0$, so $f$ may be replaced by $f - b$ without bias. With
# $b = \mathbb{E}_q f$ the quadratic term goes away and the linear one stays.

# %%
dims, draws = [1, 3, 10, 30, 100, 300], 40_000
variances = {"score function": [], "with a baseline": [], "reparameterised": []}
torch.manual_seed(0)
for d in dims:
    noise = torch.randn(draws, d)
    z = 1 + noise
    f = z.square().sum(1)
    variances["score function"].append((f * noise[:, 0]).var().item())  # equation (13)
    variances["with a baseline"].append(((f - 2 * d) * noise[:, 0]).var().item())
    variances["reparameterised"].append((2 * z[:, 0]).var().item())
    measured, predicted = variances["score function"][-1], 30 + 22 * (d - 1) + 4 * (d - 1) ** 2  # equation (14)
    print(f"d = {d:3d}: variance of the score function {measured:9.0f}, predicted {predicted:6d}")

# %%
plotting.show(
    plotting.gradient_variance(dims, variances, x_label="number of latent variables d"),
    caption="Figure 8. Variance of one component of the gradient from a single draw. That of the score function grows "
    "with the square of d, with a baseline in proportion to d; that of the reparameterised estimator does not grow.",
    alt="Log-log plot against the number of latent variables: two rising lines, steep and less steep, and a flat one.",
)

# %% [markdown]
# Variance is time: averaging $n$ draws divides it by $n$, so at $d = 100$ the score function would need about ten
# thousand draws to do what the other does with one. A single draw per image is all that a VAE uses.

# %% [markdown]
# **Check yourself.** (a) Why can a Bernoulli latent variable not be reparameterised like this? (b) Show that a baseline
# leaves the score-function estimator unbiased.
#
# <details><summary>Answer</summary>
#
# (a) A draw of it is a step function of noise and parameter, for instance $z = [\varepsilon < p]$ with uniform
# $\varepsilon$. Its derivative with respect to $p$ is zero almost everywhere, so (12) would report 0 whatever the truth;
# the exchange of gradient and expectation is not allowed for functions that jump. Unit 04 meets discrete latents with
# other means. (b) $\mathbb{E}_q[b\, \nabla \log q] = b \int \nabla q\, dz = b\, \nabla \int q\, dz = b\, \nabla 1 = 0$.
# </details>

# %% [markdown]
# ## 6. The model and its training, in two dozen lines
#
# The model is (1) and (4); its `forward` gives the two terms of (6), estimated with a single draw, in the record
# that all models of this course return. `rsample` of `torch.distributions` is (11), `log_prob` is (8) and
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
# The loop is (7) and the optimiser Adam. `beta` stays at 1 until section 8; `watch` lets us look in.


# %%
def train(model, beta=1.0, watch=lambda update: None):
    batches = data.BatchSampler(dataset, batch_size=100, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for update in range(updates):
        elbo = model(batches.draw().flatten(1).float())
        loss = (beta * elbo.kl.sum(1) - elbo.log_likelihood).mean()  # equation (7)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        watch(update + 1)
    return losses


# %% [markdown]
# We train with two latent variables, because two can be drawn, and look at the decoder's whole range as training
# goes on. To see all of a Gaussian prior, take a regular grid on the unit square and send each coordinate through
# the inverse of the normal cumulative distribution function, $z = \Phi^{-1}(u)$: each picture then stands for the
# same share of prior probability.

# %%
torch.manual_seed(0)
vae = VAE(latent_dim=2)
rim = nn.ConstantPad2d(1, 0)  # a dark edge keeps neighbours in the grid apart
moments = [round(updates * share) for share in (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 1)]
frames = []


def decode_with_rim(z):
    return rim(as_images(vae.decoder(z.to(device)).sigmoid()))


@torch.no_grad()
def draw_manifold(update):
    if update in moments:
        frames.append(plotting.manifold(decode_with_rim, side=12, bits=1))


losses = train(vae, watch=draw_manifold)

# %%
plotting.show(
    plotting.manifold(decode_with_rim, side=16, bits=1),
    caption="Figure 9. The learned manifold: decoded images over the quantiles of the prior. Each kind of digit has a "
    "region, and regions blend.",
    alt="A square of sixteen by sixteen small decoded digits; kinds of digits form regions that blend into each other.",
)

# %% [markdown]
# Neighbours resemble each other, and every place decodes to something digit-like. The borders between classes pass
# through shapes that no one writes: the map is continuous, so between a 4 and a 0 there must be something.

# %%
plotting.slider(
    frames,
    moments,
    "update",
    caption="Figure 10. How the manifold unfolds (drag the slider): first one average digit everywhere, then two or "
    "three kinds, then all of them.",
    alt="A square of small decoded digits: all alike at the start, of all kinds with smooth transitions at the end",
)

# %%
share_of_white = test.mean(0).clamp(0.001, 0.999)
no_latents = -Bernoulli(probs=share_of_white).log_prob(test).sum(-1).mean().item()
edges = sorted({round(updates ** (i / 40)) for i in range(41)})
averages = [sum(losses[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
baseline = ([1, updates], [no_latents, no_latents])
figure = plotting.learning_curves({"VAE, 2 latent variables": (edges[:-1], averages), "independent pixels": baseline})
figure.axes[0].set_xscale("log")
plotting.show(
    figure,
    caption="Figure 11. Loss during training, on a logarithmic axis. The halt is a model that ignores z: it cannot be "
    "better than pixels drawn independently of one another. It ends when the latent variables come into use.",
    alt="A falling curve that halts at a dashed horizontal line after some dozens of updates, then falls below it.",
)

# %%
with torch.no_grad():
    posterior = vae.posterior(test)
print(f"average σ of the posteriors: {posterior.stddev.mean():.2f} (the prior's is 1)")
plotting.show(
    plotting.latent_scatter(posterior.mean, dataset.test_labels[: len(test)], title="posterior means of the VAE"),
    caption="Figure 12. Where test images lie. Compared with figure 3, the codes fill the prior without large gaps, "
    "and the scale is the prior's. The model was never told the labels.",
    alt="A round cloud of numerals about two units wide, in which each digit class has its own neighbourhood.",
)

# %% [markdown]
# ### The estimators, measured in a real model
#
# Section 5 promised that the reparameterised gradient is less noisy. Here are both for one test image and the
# trained model: the derivative of $\mathbb{E}_q[\log p_\theta(x \mid z)]$ with respect to $\mu_1$, estimated two thousand
# times from a single draw each.

# %%
x = test[:1].expand(2000, -1)
with torch.no_grad():
    q = vae.posterior(x)
z = q.sample().requires_grad_()
f = vae.log_likelihood(x, z)
(slope,) = torch.autograd.grad(f.sum(), z)
score = ((z - q.mean) / q.variance)[:, 0]  # d log q / d μ₁
estimates = {
    "score function": (f * score).tolist(),  # equation (10)
    "with a baseline": ((f - f.mean()) * score).tolist(),
    "reparameterised": slope[:, 0].tolist(),  # equation (12)
}
plotting.show(
    plotting.gradient_estimates(estimates, exact=slope[:, 0].mean().item()),
    caption="Figure 13. Estimates of one derivative in the trained VAE, one dot for each draw; black: mean and "
    "standard deviation. The dotted line is the mean of the reparameterised ones.",
    alt="Three rows of dots around the same value: very wide for the score function, narrow for the reparameterised.",
)

# %% [markdown]
# ### More latent variables
#
# Two numbers say roughly which digit it is. How many are worth having? The same training with 5, 10 and 20:


# %%
@torch.no_grad()
def judge(model):
    terms = [model(test) for _ in range(20)]
    distortion = -torch.stack([elbo.log_likelihood for elbo in terms]).mean().item()
    rate = terms[0].kl.mean().item()
    return rate, distortion


models = {2: vae}
for latent_dim in (5, 10, 20):
    torch.manual_seed(0)
    models[latent_dim] = VAE(latent_dim)
    train(models[latent_dim])
print("latents   KL   reconstruction   −ELBO  (nats per test image)")
for latent_dim, model in models.items():
    rate, distortion = judge(model)
    print(f"{latent_dim:7d} {rate:6.2f} {distortion:12.2f} {rate + distortion:12.2f}")

# %%
torch.manual_seed(1)
with torch.no_grad():
    samples = {
        f"{d} latents": as_images(m.decoder(torch.randn(16, d, device=device)).sigmoid()) for d, m in models.items()
    }
plotting.show(
    plotting.image_rows({"test images": grey[:16]} | samples, bits=1),
    caption="Figure 14. Decoded draws from the prior of models with 2, 5, 10 and 20 latent variables: probabilities of "
    "white, so grey means undecided.",
    alt="Five rows of sixteen digits: test images, then samples of four models; most are legible digits, some blurred.",
)

# %% [markdown]
# The loss stops falling after a few, but does not rise again: what the model does not need it leaves unused. A
# coordinate whose posterior equals the prior for all images costs nothing, so the regulariser switches it off.

# %%
with torch.no_grad():
    kl_of_each = kl_divergence(models[20].posterior(test), prior).mean(0).sort(descending=True).values
print("KL of each of the 20 latent variables (nats):", " ".join(f"{kl:.2f}" for kl in kl_of_each))

# %% [markdown]
# **Check yourself.** Figure 14 shows the decoder's probabilities. How would true samples of $p_\theta(x)$ look, and why
# do people rarely show them?
#
# <details><summary>Answer</summary>
#
# One more draw is due: each pixel black or white with its probability, independently. Where the probability is near
# 0 or 1 nothing changes; grey strokes turn to pepper and salt. The independence of the pixels given $z$ is the
# model's assumption, and the draw shows it mercilessly. Showing probabilities is customary but flatters the model.
# </details>

# %% [markdown]
# ## 7. A tighter bound
#
# The ELBO is a floor. How far below $\log p_\theta(x)$ does it lie? Write the *importance weight* of a draw
#
# $$w = \frac{p_\theta(x, z)}{q_\phi(z \mid x)}, \quad z \sim q_\phi(z \mid x), \qquad
#   \mathbb{E}_q[w] = \int q_\phi(z \mid x)\, \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\, dz = p_\theta(x). \tag{15}$$
#
# A weight is an unbiased estimate of the very integral (2) that we could not do. The ELBO is the average of its
# *logarithm*. Averaging $K$ weights before taking the logarithm gives the importance-weighted bound of Burda, Grosse
# and Salakhutdinov,
#
# $$L_K(x) = \mathbb{E}\left[\log \frac1K \sum_{k=1}^{K} w_k\right], \qquad L_1 = \mathrm{ELBO}. \tag{16}$$
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
# \end{aligned} \tag{17}
# $$
#
# because each of the $K + 1$ expectations in the last line is over $K$ independent weights, that is, $L_K$.
#
# **How fast?** Let $r = \frac1K \sum_k w_k / p_\theta(x)$. It has mean 1 and variance
# $\frac1K \operatorname{Var}[w / p_\theta(x)]$, if that is finite. For $r$ near 1, $\log r \approx (r - 1) - \frac12 (r - 1)^2$,
# so the gap closes like $1/K$:
#
# $$\log p_\theta(x) - L_K(x) = -\mathbb{E} \log r \approx \frac{1}{2K} \operatorname{Var}\left[\frac{w}{p_\theta(x)}\right]. \tag{18}$$
#
# Mind the *if*. The second moment of a weight is $\int p(z)^2\, p_\theta(x \mid z)^2 / q_\phi(z \mid x)\, dz$. In each coordinate,
# $p(z)^2 / q$ contributes $\exp\bigl(-z^2 + (z - \mu)^2 / 2\sigma^2\bigr)$, which for $\sigma^2 < \frac12$ *grows* like the exponential of
# a square. A decoder made of rectifiers has logits that grow at most linearly, so $p_\theta(x \mid z)^2$ cannot stop it: the variance is
# infinite as soon as a posterior has $\sigma < 1/\sqrt2$ in one coordinate, and in a trained model it always has. Then (17) and
# convergence still hold, but the gap may close more slowly than (18) says. Draws from the prior have
# $w = p_\theta(x \mid z) \le 1$ and are safe, if wasteful.


# %%
def log_weights(model, x, q, samples):
    z = q.rsample((samples,))  # (samples, images, latent)
    return model.log_likelihood(x, z) + (prior.log_prob(z) - q.log_prob(z)).sum(-1)  # equation (15)


@torch.no_grad()
def bounds_of(model, counts, proposal):
    """L_k for each k, averaged over the test images; all draws of an image serve every k, in groups."""
    chunks = [log_weights(model, x, proposal(x), repeats * max(counts)) for x in test.split(10)]
    log_w = torch.cat(chunks, dim=1)  # (samples, images)
    groups = [log_w.unflatten(0, (-1, k)).logsumexp(dim=1) - math.log(k) for k in counts]  # equation (16)
    return [group.mean().item() for group in groups]


# %% [markdown]
# With two latent variables we can also do the integral (2) itself, by summing over a fine grid, so that we know
# where the bounds must end. And we can see how the prior does as a proposal, as section 2 promised.


# %%
@torch.no_grad()
def log_evidence_on_grid(decoder, side=200, reach=4.5):
    """log p(x) of each test image for two latent variables: equation (2) as a sum over a grid."""
    axis = torch.linspace(-reach, reach, side, device=device)
    grid = torch.cartesian_prod(axis, axis)
    logits = decoder(grid)
    log_likelihood = test @ logits.T - F.softplus(logits).sum(1)  # equation (8), multiplied out
    log_cell = 2 * math.log(2 * reach / (side - 1))
    return (log_likelihood + prior.log_prob(grid).sum(1)).logsumexp(1) + log_cell


counts = [1, 2, 5, 10, 50, 100, 500, 1000]
exact = log_evidence_on_grid(vae.decoder).mean().item()
from_encoder = bounds_of(vae, counts, proposal=vae.posterior)
from_prior = bounds_of(vae, counts, proposal=lambda x: prior.expand((len(x), 2)))

# %%
plotting.show(
    plotting.importance_weighted_bounds(
        counts[2:],
        {"z from the encoder": from_encoder[2:], "z from the prior": from_prior[2:]},
        exact=exact,
    ),
    caption="Figure 15. The importance-weighted bound, averaged over test images, reaches log p(x) with few draws from "
    "the encoder. Draws from the prior reach it too, but need dozens of times as many, even with two latent variables.",
    alt="Two rising curves approach a dotted line: that of the encoder at once, that of the prior far later.",
)

# %%
print(f"log p(x) by the grid: {exact:.3f} nats per test image\n")
print("   k     L_k, encoder   k × gap      L_k, prior   k × gap")
for k, bound, of_prior in zip(counts, from_encoder, from_prior, strict=True):
    print(f"{k:4d} {bound:16.3f} {k * (exact - bound):9.2f} {of_prior:15.3f} {k * (exact - of_prior):9.1f}")
autoencoder = log_evidence_on_grid(decoder2).mean().item()
print(f"\nthe autoencoder of figure 3, its codes declared standard normal: {autoencoder:.1f} nats per test image")

# %% [markdown]
# The first line is the ELBO, and its gap is the average KL from $q_\phi(z \mid x)$ to the true posterior: equation (5),
# measured. For draws from the prior, $k$ times the gap settles in the end, as (18) predicts. For draws from the encoder the
# gap is far smaller at first, but $k$ times the gap keeps growing, the infinite variance at work, until the careful prior has
# caught up. In nats that does no harm here, and with ten latent variables the prior would never catch up in practice.
#
# For models with more latent variables there is no grid, and $L_K$ with $K$ in the thousands is what papers report as
# log-likelihood. The last line is section 1 in one number: the autoencoder reconstructs better than the VAE (figure 3
# and the table of section 6), and is a worse model of images, for its codes lie where the prior seldom looks.
#
# ### Training with it
#
# $L_K$ can be trained on as well; with $z_k = g_\phi(\varepsilon_k)$ its gradient is an average of the gradients of the
# log-weights, in which better draws count more (use $\nabla w_k = w_k \nabla \log w_k$):
#
# $$\nabla L_K = \mathbb{E}\left[\sum_{k} \tilde w_k\, \nabla \log w_k\right], \qquad \tilde w_k = \frac{w_k}{\sum_j w_j}. \tag{19}$$
#
# The encoder is then no longer asked to match the posterior on its own but to be a good proposal for $K$ draws, and the
# decoder is free to have posteriors that are less Gaussian.


# %%
def train_importance_weighted(model, samples):
    batches = data.BatchSampler(dataset, batch_size=100, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(updates):
        x = batches.draw().flatten(1).float()
        log_w = log_weights(model, x, model.posterior(x), samples)
        loss = math.log(samples) - log_w.logsumexp(dim=0).mean()  # minus equation (16)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(0)
iwae = VAE(latent_dim=10)
train_importance_weighted(iwae, samples=5)
for label, model in {"trained on L_1": models[10], "trained on L_5": iwae}.items():
    elbo, bound = bounds_of(model, [1, 1000], proposal=model.posterior)
    print(f"10 latents, {label}: ELBO {elbo:.2f}, L_1000 {bound:.2f} nats per test image")

# %% [markdown]
# As a model it is better (its $L_{1000}$ is higher) although its ELBO is lower: its true posteriors are no longer near
# any Gaussian, which is the freedom it gained. In the original paper, on MNIST with dynamic binarisation and one stochastic layer,
# the negative log-likelihood (bounded with 5,000 samples) fell from 86.76 nats for $K = 1$ to 85.54 for $K = 5$ and
# 84.78 for $K = 50$ (Burda et al., as quoted by a public re-implementation, whose own runs gave 86.35, 85.18, 84.59).

# %% [markdown]
# **Check yourself.** (a) Which two numbers would you compare to judge two *models*: their ELBOs, or their $L_{1000}$?
# (b) A colleague reports $L_K$ with the largest $K$ that fits, and another $K$ for the competitor. What is wrong?
#
# <details><summary>Answer</summary>
#
# (a) $L_{1000}$, which is close to $\log p_\theta(x)$ for both. The ELBOs differ by the quality of their encoders too,
# which is not part of the model of images. (b) By (17) a larger $K$ alone raises the bound, so part of the
# difference may be the yardstick's. The same $K$ for both is the least; better, so many that doubling $K$ changes nothing.
# </details>

# %% [markdown]
# ## 8. Rate and distortion
#
# Average the two terms of the loss over the data, and give them the names they have in the theory of compression:
#
# $$D = \mathbb{E}_{x}\, \mathbb{E}_{q}\bigl[-\log p_\theta(x \mid z)\bigr], \qquad
#   R = \mathbb{E}_{x}\, \mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr), \qquad D + R = -\mathbb{E}_{x}\, \mathrm{ELBO}(x). \tag{20}$$
#
# The *distortion* $D$ is what is left to say about an image once $z$ is known; the *rate* $R$ is what it costs to say
# $z$. Let $q(z) = \mathbb{E}_x\, q_\phi(z \mid x)$ be the distribution of codes over all images. Extending the fraction by it,
#
# $$R = \mathbb{E}_{x}\, \mathbb{E}_{q}\left[\log \frac{q_\phi(z \mid x)}{q(z)}\right] + \mathbb{E}_{q(z)}\left[\log \frac{q(z)}{p(z)}\right]
#     = I_q(x; z) + \mathrm{KL}\bigl(q(z) \,\|\, p(z)\bigr) \;\ge\; I_q(x; z), \tag{21}$$
#
# so the rate bounds the information that the code carries about the image, and the excess is the mismatch between
# the codes and the prior: the very thing that spoiled sampling in section 1. The sum cannot fall below the entropy
# $H$ of the data, for $-\mathbb{E}_x \mathrm{ELBO} \ge -\mathbb{E}_x \log p_\theta(x) \ge H$ (by (5), and because a KL is never
# negative once more). So every model lies on or above the line $D + R = H$.
#
# The ELBO does not mind *where* along such a line a model lies: a nat of rate counts as much as a nat of distortion. The
# $\beta$-VAE changes the exchange rate:
#
# $$\mathcal{L}_\beta = D + \beta R. \tag{22}$$
#
# Among the models that networks of a given size can reach, those with the smallest $D$ for their $R$ form a curve
# $D^*(R)$. Minimising (22) on it means $\frac{d}{dR}\bigl(D^*(R) + \beta R\bigr) = 0$, hence
#
# $$\frac{dD^*}{dR} = -\beta: \tag{23}$$
#
# training with $\beta$ finds the point where one more nat of rate buys exactly $\beta$ nats of distortion.
#
# This can be tested. Let $(R_1, D_1)$ be best for $\beta_1$ and $(R_2, D_2)$ for $\beta_2 > \beta_1$, with $R_1 > R_2$. Then
# $D_1 + \beta_1 R_1 \le D_2 + \beta_1 R_2$ and $D_2 + \beta_2 R_2 \le D_1 + \beta_2 R_1$; solved for the slope between them,
#
# $$-\beta_2 \;\le\; \frac{D_1 - D_2}{R_1 - R_2} \;\le\; -\beta_1. \tag{24}$$

# %%
betas = [0.1, 0.25, 0.5, 1, 2, 4]
plane, beta_models = {}, {}
for beta in betas:
    torch.manual_seed(0)
    beta_models[beta] = models[10] if beta == 1 else VAE(latent_dim=10)
    if beta != 1:
        train(beta_models[beta], beta=beta)
    plane[beta] = judge(beta_models[beta])
    print(f"β = {beta:4}: R {plane[beta][0]:6.2f}, D {plane[beta][1]:6.2f}, R + D {sum(plane[beta]):6.2f}")
for (beta, here), (next_beta, there) in itertools.pairwise(plane.items()):
    slope = (there[1] - here[1]) / (there[0] - here[0])  # equation (24)
    print(f"slope between β = {beta} and {next_beta}: {slope:.2f}")

# %%
rates, distortions = zip(*plane.values(), strict=True)
plotting.show(
    plotting.rate_distortion(rates, distortions, betas),
    caption="Figure 16. One model for each β on test images. The dotted line through β = 1 joins all points with its "
    "ELBO; every other point lies above it. Where β is large the rate vanishes and the latent variables are ignored.",
    alt="A falling convex curve of distortion against rate, with beta from 0.1 at the lower right to 4 at the upper left.",
)

# %%
frames = []
for model in beta_models.values():
    torch.manual_seed(2)
    with torch.no_grad():
        reconstructed = model.decoder(model.posterior(test[:12]).sample()).sigmoid()
        sampled = model.decoder(torch.randn(12, 10, device=device)).sigmoid()
    rows = {"test images": grey[:12], "reconstructed": as_images(reconstructed), "sampled": as_images(sampled)}
    frames.append(plotting.image_rows(rows, bits=1))
plotting.slider(
    frames,
    betas,
    "β",
    caption="Figure 17. What a nat buys. Drag β: cheap rate gives faithful reconstructions and poor samples, dear rate "
    "the opposite, until both are the same grey average.",
    alt="Rows of test digits, their reconstructions and samples from the prior, for one value of beta",
)

# %% [markdown]
# At the left end stands the autoencoder of section 1: sharp reconstructions, a distribution of codes that the prior does
# not know, poor samples. At the right end the decoder knows nothing but the average image. In between there is no
# best point as such: compression, representation and sampling each want another one.

# %% [markdown]
# **Check yourself.** (a) Is $D + \beta R$ with $\beta < 1$ still an upper bound on $-\log p_\theta(x)$? (b) Two models have
# the same ELBO, one with $R = 0$, the other with $R = 5$ nats. Which has the better representation?
#
# <details><summary>Answer</summary>
#
# (a) No: for $\beta < 1$ it can be below it. The *objective* is then not a bound; the trained model still has an ordinary
# ELBO, its $-(D + R)$. For $\beta > 1$ it is a bound, and a looser one. (b) The first has none: its code carries no
# information by (21), so it models the images by the decoder alone. The ELBO cannot tell the two apart, and that is a
# reason to report $R$ and $D$ separately.
# </details>

# %% [markdown]
# ## What to remember
#
# 1. A VAE is a latent-variable model trained by a bound: $\log p(x) = \mathrm{ELBO} + \mathrm{KL}(q \,\|\, p(z \mid x))$.
# 2. Its loss is reconstruction (a *sum* over pixels) plus the KL from posterior to prior; the encoder amortises the search for
#    the posterior's parameters.
# 3. The gradient passes through a draw once the noise is an input; the variance then does not grow with the dimension.
# 4. More importance samples make the bound tighter, at a rate of $1/K$ if their variance is finite; compare
#    models by it, with the same $K$.
# 5. Distortion plus rate is the loss; $\beta$ is the exchange rate between them, and minus the slope of the curve.

# %% [markdown]
# ## What goes wrong in practice
#
# * **Means where sums belong.** `binary_cross_entropy(..., reduction="mean")` divides the reconstruction by the number of
#   pixels: the KL then weighs 64 (or 784) times as much, and the latent variables die. That is $\beta = 64$ in figure 16.
# * **Posterior collapse.** KL near zero, all samples alike: the halt of figure 11, for ever. A decoder that can do
#   without $z$, or a KL that is too dear early on, causes it. Watch the KL per unit; raise $\beta$ slowly from 0 (unit 04).
# * **Log-variance or log-standard-deviation?** Papers and code use both. Mixed up, the model trains, quietly worse. Names
#   such as `log_std` in this course say which it is.
# * **A detached draw.** `q.sample()` for `q.rsample()` runs without complaint and leaves the encoder
#   with the gradient of the KL alone.
# * **$-\infty$ and nan.** Probabilities instead of logits; $e^{\log\sigma}$ of an encoder that has run away. Keep logarithms,
#   clip the norm of gradients in deep models (unit 05).
# * **Beautiful reconstructions as evidence.** They say little about samples (figures 2 and 17). Look at both, and at $R$ and $D$.
# * **Comparing bounds of different kinds**: other binarisation, other $K$, sum of nats against bits per pixel.

# %% [markdown]
# ## Sources
#
# * D. P. Kingma and M. Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), ICLR 2014: sections 2 to 7
#   here follow its argument; figures 9 and 14 re-make those of its appendix.
# * D. J. Rezende, S. Mohamed and D. Wierstra, [Stochastic Backpropagation and Approximate Inference in Deep Generative
#   Models](https://arxiv.org/abs/1401.4082), ICML 2014: the same idea, found independently.
# * D. P. Kingma and M. Welling, [An Introduction to Variational Autoencoders](https://arxiv.org/abs/1906.02691), Foundations and
#   Trends in Machine Learning 12(4), 2019: to read next.
# * Y. Burda, R. Grosse and R. Salakhutdinov, [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), ICLR 2016:
#   equations (16) to (19).
# * S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, [Monte Carlo Gradient Estimation in Machine
#   Learning](https://arxiv.org/abs/1906.10652), JMLR 21, 2020; and R. J. Williams, *Simple statistical gradient-following
#   algorithms for connectionist reinforcement learning*, Machine Learning 8, 1992: section 5.
# * I. Higgins et al., [beta-VAE](https://openreview.net/forum?id=Sy2fzU9gl), ICLR 2017; A. A. Alemi et al., [Fixing a Broken
#   ELBO](https://arxiv.org/abs/1711.00464), ICML 2018; M. D. Hoffman and M. J. Johnson, *ELBO surgery*, NIPS workshop 2016:
#   section 8.
# * R. Salakhutdinov and I. Murray, *On the quantitative analysis of deep belief networks*, ICML 2008: grey values as
#   probabilities. E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998: the digits.

# %% [markdown]
# ## Where next
#
# The **assignment** of this unit asks for the five functions behind this lecture (the draw, the likelihood, the loss, the bound,
# the training step) and then trains the library's VAE with *yours* in it. **Unit 04** gives the decoder better likelihoods than
# black and white, and the posterior better families than a Gaussian. **Unit 05** stacks latent variables into a hierarchy, in
# which the prior itself is learned.
