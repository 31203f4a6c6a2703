# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 03: Build a variational autoencoder
#
# Five functions turn a pair of neural networks into a variational autoencoder: a draw that gradients can pass
# through, a likelihood, a loss, a sharper bound to judge the result by, and one step of training. You write the
# five. Then the library's model, which calls *your* functions, learns real handwritten digits in less than a
# minute.
#
# | exercise | | difficulty | importance | time |
# |---|---|---|---|---|
# | 1 | `reparameterize` | 1 of 5 | 5 of 5 | 5 min |
# | 2 | `bernoulli_log_likelihood` | 2 of 5 | 4 of 5 | 15 min |
# | 3 | `negative_elbo` | 1 of 5 | 5 of 5 | 10 min |
# | 4 | `importance_weighted_bound` | 2 of 5 | 3 of 5 | 10 min |
# | 5 | `vae_training_step` | 2 of 5 | 5 of 5 | 15 min |
# | | pictures and question 1 | | | 25 min |
#
# **You need** lecture 03, and unit 00 for how an exercise works. **Conventions:** $x$ is an image, $z$ its latent
# vector, $q(z \mid x)$ the encoder, $p(x \mid z)$ the decoder. Logarithms are natural, so likelihoods and KLs come
# in *nats*, summed over one image. A tensor's first dimension counts the images of a batch. Standard deviations
# travel as `log_std` $= \log \sigma$ (not $\log \sigma^2$).

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path.cwd().parents if (folder / "avae_lib").is_dir()][:1]
# Where the library is missing, as on Colab, install it; these three packages stay as they are.
if util.find_spec("avae_lib") is None:
    keep = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision", "numpy")]
    address = "https://github.com/{{repository}}/archive/{{branch}}.zip"
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", address, *keep]).returncode:
        raise ImportError("no avae_lib: without a network, open this notebook in a course folder")

import torch

from avae_lib.checking import check
from avae_lib.components import implements
from avae_lib.notebook_setup import ready

print(ready())

# %% [markdown]
# ## Exercise 1: `reparameterize`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw from a Gaussian so that gradients reach its mean and standard deviation | 1 of 5 | 5 of 5 | 5 minutes |
#
# The encoder proposes $q(z \mid x) = \mathcal{N}(z;\, \mu, \operatorname{diag} \sigma^2)$, and the decoder needs a
# draw from it. A sampler that only hands back numbers cuts the graph: nothing tells the encoder how its $\mu$ and
# $\sigma$ should have been. So let the randomness come in from outside, as noise
# $\varepsilon \sim \mathcal{N}(0, I)$, and write $z$ as a differentiable function of $\mu$, $\log \sigma$ and
# $\varepsilon$ whose distribution is the one wanted.
#
# ```python
# reparameterize(mean, log_std, noise)  # three tensors of one shape, any; log_std from −12 to 8  →  the draw z, same shape
# ```
#
# {{cases of reparameterize}}
#
# <details><summary>Hint 1</summary>
#
# Which mean and which standard deviation does $a + b\,\varepsilon$ have when $\varepsilon$ is standard normal?
# </details>
# <details><summary>Hint 2</summary>
#
# $a = \mu$ and $b = \sigma$. You are given $\log \sigma$: one exponential, no square root, no factor ½.
# </details>

# %% nbgrader={"grade": false, "grade_id": "reparameterize", "locked": false, "schema_version": 3, "solution": true}
@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    """A draw from a diagonal Gaussian, as a differentiable function of its parameters.

    mean, log_std: mean and log standard deviation of each element, tensors of one shape, finite.
    noise: standard normal numbers of the same shape; the only source of randomness.
    Returns the draw, in shape and precision of the inputs, which are not changed. Gradients reach mean and log_std.
    """
    ### BEGIN SOLUTION
    return mean + log_std.exp() * noise
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_reparameterize", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("reparameterize")

# %% [markdown]
# ## Exercise 2: `bernoulli_log_likelihood`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | score an image under the decoder, without ever taking the logarithm of zero | 2 of 5 | 4 of 5 | 15 minutes |
#
# For black-and-white pixels the decoder gives one *logit* $\ell_d$ per pixel, and the pixel is white with
# probability $\sigma(\ell_d) = 1 / (1 + e^{-\ell_d})$, independently of the others. The log-likelihood of the image
# is
#
# $$\log p(x \mid z) = \sum_d \bigl[ x_d \log \sigma(\ell_d) + (1 - x_d) \log (1 - \sigma(\ell_d)) \bigr].$$
#
# Grey values between 0 and 1 are welcome: they weigh the two terms. A confident decoder has logits of ±50 and
# beyond, where $\sigma$ rounds to exactly 0 or 1 in single precision; the result must stay accurate for
# $|\ell_d| \le 100$.
#
# ```python
# bernoulli_log_likelihood(logits, x)  # both (batch, …), one or more dimensions after the batch; x in [0, 1]
#                                      # →  (batch,) nats, summed over the rest, in the dtype of the inputs
# ```
#
# {{cases of bernoulli_log_likelihood}}
#
# <details><summary>Hint 1</summary>
#
# $\log \sigma(\ell)$ and $\log (1 - \sigma(\ell)) = \log \sigma(-\ell)$ are harmless functions of $\ell$; only the
# way through $\sigma(\ell)$ is dangerous. PyTorch has them under `torch.nn.functional`.
# </details>
# <details><summary>Hint 2</summary>
#
# `F.logsigmoid`, or `F.binary_cross_entropy_with_logits` with `reduction="none"`: the latter is a *loss*, so mind
# its sign. Then `flatten(1)` puts all dimensions but the first in one row, ready to be summed (not averaged).
# </details>

# %% nbgrader={"grade": false, "grade_id": "bernoulli_log_likelihood", "locked": false, "schema_version": 3, "solution": true}
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    """log p(x) of independent Bernoulli pixels, in nats, summed over all dimensions but the first.

    logits: log-odds of a one, (batch, …) with any number of further dimensions, finite; accurate up to ±100.
    x: observed values in [0, 1], same shape.
    Returns one log-likelihood for each example, (batch,), in the precision of the inputs, which are not changed.
    Gradients reach the logits.
    """
    ### BEGIN SOLUTION
    log_odds = torch.nn.functional.logsigmoid
    per_pixel = x * log_odds(logits) + (1 - x) * log_odds(-logits)
    return per_pixel.flatten(1).sum(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_bernoulli_log_likelihood", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("bernoulli_log_likelihood")

# %% [markdown]
# ## Exercise 3: `negative_elbo`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one number to minimise: reconstruction and regulariser, averaged over the batch | 1 of 5 | 5 of 5 | 10 minutes |
#
# For each image $b$ the model reports $\log p(x_b \mid z_b)$ and the KL of each of its stochastic layers (a plain
# VAE has one layer, unit 05 will have dozens). The loss is the negative evidence lower bound, with a weight $\beta$
# on the KL:
#
# $$\mathcal{L} = \frac{1}{B} \sum_{b=1}^{B} \Bigl[ -\log p(x_b \mid z_b) + \beta \sum_{l} \mathrm{KL}_{b,l} \Bigr].$$
#
# Take care what is *summed* and what is *averaged*: an average where the sum belongs changes the balance of the two
# terms, and the model that comes out.
#
# ```python
# negative_elbo(log_likelihood, kl, beta=1.0)  # (batch,) nats, (batch, layers) nats, float  →  scalar, nats per image
# ```
#
# {{cases of negative_elbo}}
#
# <details><summary>Hint 1</summary>
#
# First make of `kl` something of the same shape as `log_likelihood`; then there is only one dimension left to
# average over.
# </details>
# <details><summary>Hint 2</summary>
#
# Layers: `sum(dim=1)`. Images: `mean()`. The log-likelihood enters with a minus sign, the KL with a plus.
# </details>

# %% nbgrader={"grade": false, "grade_id": "negative_elbo", "locked": false, "schema_version": 3, "solution": true}
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    """Minus the evidence lower bound, in nats, averaged over the batch.

    log_likelihood: log p(x | z) of each example, (batch,), nats.
    kl: KL of each example and stochastic layer, (batch, layers), nats.
    beta: weight of the KL, a Python float; 1 gives the bound itself.
    Returns a tensor without dimensions, nats per example, in the precision of the inputs, which are not changed.
    Gradients flow to both.
    """
    ### BEGIN SOLUTION
    kl_of_example = kl.sum(1)
    return torch.mean(beta * kl_of_example - log_likelihood)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_negative_elbo", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("negative_elbo")

# %% [markdown]
# ## Exercise 4: `importance_weighted_bound`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a bound on $\log p(x)$ that more samples make tighter | 2 of 5 | 3 of 5 | 10 minutes |
#
# The ELBO averages logarithms of importance weights $w_k = p(x, z_k) / q(z_k \mid x)$ with $z_k \sim q(z \mid x)$.
# Averaging the weights first and taking the logarithm once is a better bound, which approaches $\log p(x)$ as $K$
# grows (Burda, Grosse & Salakhutdinov, 2016):
#
# $$\log p(x) \;\ge\; \mathbb{E}\Bigl[ \log \frac{1}{K} \sum_{k=1}^{K} w_k \Bigr] \;\ge\; \mathbb{E}\bigl[ \log w_1 \bigr] = \mathrm{ELBO}.$$
#
# You are given *logarithms* of the weights, for a whole batch at once. They differ by thousands of nats from one
# image to the next, so each image needs its own footing.
#
# ```python
# importance_weighted_bound(log_weights)  # (samples, batch) nats  →  (batch,) nats
# ```
#
# {{cases of importance_weighted_bound}}
#
# <details><summary>Hint 1</summary>
#
# You met this average in unit 00. Along which dimension is it taken here?
# </details>
# <details><summary>Hint 2</summary>
#
# Either `from avae_lib.logarithms import log_mean_exp` *inside this cell* (that is your function from unit 00, if
# you passed it), or `torch.logsumexp` over the samples, minus the logarithm of their number. If you subtract a
# maximum yourself, take each image's own, not the batch's.
# </details>

# %% nbgrader={"grade": false, "grade_id": "importance_weighted_bound", "locked": false, "schema_version": 3, "solution": true}
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    """The importance-weighted lower bound on log p(x) of each example, in nats.

    log_weights: log p(x, z_k) - log q(z_k | x), (samples, batch), nats, finite; those of different examples
        may differ by thousands.
    Returns one bound for each example, (batch,), in the precision of the weights, which are not changed.
    Gradients flow to them.
    """
    ### BEGIN SOLUTION
    from avae_lib.logarithms import log_mean_exp

    return log_mean_exp(log_weights, dim=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_importance_weighted_bound", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("importance_weighted_bound")

# %% [markdown]
# ## Exercise 5: `vae_training_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one correct update of encoder and decoder together | 2 of 5 | 5 of 5 | 15 minutes |
#
# `model(x)` encodes the batch, draws $z$ (with your `reparameterize`), scores the images (with your likelihood) and
# returns a record, the ELBO, with the two fields that your loss takes:
#
# ```python
# elbo = model(x)
# elbo.log_likelihood  # (batch,) nats
# elbo.kl              # (batch, layers) nats
# ```
#
# Make it one step of gradient descent: one call of the model (a second one would draw another $z$), the gradient of
# *this* batch's loss and of nothing else, exactly one update by the optimiser that is handed in, whose settings stay
# as they are, as does the mode of the model, and the loss as a plain Python number, so that whoever collects losses does
# not keep every graph alive.
#
# ```python
# vae_training_step(model, optimizer, x)  # x: a batch of images  →  loss before the update, nats per image, a Python float
# ```
#
# {{cases of vae_training_step}}
#
# <details><summary>Hint 1</summary>
#
# PyTorch *adds* gradients to those that are there already. Where in the step do the old ones have to go?
# </details>
# <details><summary>Hint 2</summary>
#
# Clear the gradients, run the model, turn its record into the loss with $\beta = 1$, go backwards, step, return
# `.item()`. For the loss, `from avae_lib.objectives import negative_elbo` *inside this cell* gives you yours from
# exercise 3.
# </details>

# %% nbgrader={"grade": false, "grade_id": "vae_training_step", "locked": false, "schema_version": 3, "solution": true}
@implements("vae_training_step")
def vae_training_step(model, optimizer, x):
    """One step of gradient descent on the negative evidence lower bound of a batch.

    model: model(x) returns a record with the fields log_likelihood (batch,) and kl (batch, layers), nats.
    optimizer: a torch optimiser that holds the model's parameters; it is stepped exactly once.
    x: a batch of images. Gradients left over from earlier steps do not count.
    Returns the loss before the update, in nats per example, as a Python float.
    """
    ### BEGIN SOLUTION
    from avae_lib.objectives import negative_elbo

    elbo = model(x)
    loss = negative_elbo(elbo.log_likelihood, elbo.kl)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_vae_training_step", "locked": true, "points": 7, "schema_version": 3, "solution": false}
check("vae_training_step")

# %% [markdown]
# ## A variational autoencoder made of your functions
#
# The rest is a reward. The table says whose body each component has at the moment: *yours*, once its cell has run.

# %%
from avae_lib import components

print(components.report())

# %% [markdown]
# The digits are 1,500 real ones, 8×8 pixels, made black or white. Encoder and decoder are two small networks from
# the library. Training loops over batches of a hundred and calls your step on each; the step calls your loss, the
# model your draw and your likelihood. First with two latent variables, because two can be drawn.

# %%
import functools
import os

from avae_lib import data, plotting
from avae_lib.models.vae import VAEConfig
from avae_lib.training.vae_step import train_vae

digits = data.load("digits").binarized("threshold")
train, test = digits.pixels("train"), digits.pixels("test")
epochs = 5 if "AVAE_FAST" in os.environ else 80  # the short way is for automatic tests
rim = torch.nn.ConstantPad2d(1, 0)  # a dark edge, which keeps neighbouring pictures apart


@functools.cache  # run this cell again to train anew
def trained(latent_dim):
    torch.manual_seed(0)
    model = VAEConfig(digits.image_shape, bits=1, latent_dim=latent_dim).build()
    train_vae(model, train, epochs, generator=torch.Generator().manual_seed(0))
    return model


print(trained(latent_dim=2))

# %% [markdown]
# **You should see** about 25 nats per image after the first tenth of the epochs and between 19 and 20 after the
# last. For comparison: a model that knows nothing and calls every pixel white with probability ½ needs
# $64 \log 2 \approx 44.4$ nats.

# %% [markdown]
# ### The manifold of digits
#
# Every point of the plane decodes to an image. Walk over the plane in steps of equal prior probability (that is
# what the inverse cumulative distribution function of the standard normal does to a regular grid), decode, and
# look.

# %% tags=["picture-manifold"]
def draw(z):
    return rim(trained(latent_dim=2).decode(z))


plotting.show(
    plotting.manifold(draw, side=15, bits=1),
    caption="What your decoder draws all over a two-dimensional latent space, at equal steps of prior probability.",
    alt="A square of fifteen by fifteen small digits that change smoothly into one another.",
)

# %% [markdown]
# **What you should see** (yours may be mirrored or turned: the prior looks the same from all sides):
#
# ![A square of fifteen by fifteen small digits that change smoothly into one another](pictures/manifold.png)

# %% [markdown]
# ### New digits
#
# Draw $z$ from the prior, decode, and show the probability of each pixel to be white; first with two latent
# variables, then with eight. The second model is trained on the spot.

# %% tags=["picture-samples"]
rows = {"real digits": test[:14].float()}
rows |= {f"{dim} latents": trained(latent_dim=dim).decode(torch.randn(14, dim)) for dim in (2, 8)}
plotting.show(
    plotting.image_rows({name: rim(images) for name, images in rows.items()}, bits=1),
    caption="Real digits, and what your two models imagine.",
    alt="Three rows of fourteen digits: real ones, blurred ones from two latents, more varied ones from eight.",
)

# %% [markdown]
# **What you should see:**
#
# ![Three rows of fourteen digits: real ones above, those of two models below](pictures/samples.png)
#
# Whatever the pixels of a digit have in common must pass through the latent variables: given $z$, each pixel is
# drawn by itself. Two numbers say roughly which digit it is; eight leave room for the hand that wrote it, and for
# some that no hand would write.

# %% [markdown]
# ### How tight is the bound?
#
# On digits that were not trained on: the ELBO ($k = 1$) and your importance-weighted bound for more and more
# samples. All 128 samples of an image serve every $k$, in 128 / k groups.

# %% tags=["picture-bounds"]
samples = [1, 2, 4, 8, 16, 32, 64, 128]


@torch.no_grad()
def bounds_of(latent_dim):
    model = trained(latent_dim=latent_dim)
    log_weights = torch.stack([model.log_weight(test) for _ in range(samples[-1])], dim=1)  # (297, 128)
    groups = [log_weights.reshape(-1, k).T for k in samples]  # (k, 297 · 128 / k)
    return [importance_weighted_bound(group).mean().item() for group in groups]


bounds = {f"{dim} latents": bounds_of(dim) for dim in (2, 8)}
plotting.show(
    plotting.importance_weighted_bounds(samples, bounds),
    caption="Bounds on log p(x) of new digits rise with the number of importance samples k.",
    alt="Two rising curves of the bound against k; the model with eight latents lies higher and gains more.",
)

# %% [markdown]
# **What you should see:**
#
# ![Two rising curves of the bound against k](pictures/bounds.png)
#
# The curves rise because the bound gets tighter; the models stay the same. The rise from $k = 1$ estimates the part
# of the gap $\mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$ that 128 samples can close.

# %% [markdown]
# ## Question 1
#
# *Someone trains with $\beta = 0$, that is, without the KL term, and reports a much better reconstruction. Say what
# happens (a) to the posteriors $q(z \mid x)$, (b) to samples drawn from the prior, and (c) which of the three
# pictures above would give it away, and how. Four to six sentences.* (4 points)
#
# You may try it, in a cell of your own; `components.using` swaps a component for the length of a `with` block:
#
# ```python
# trained.cache_clear()
# with components.using("negative_elbo", lambda log_likelihood, kl, beta=1.0: -log_likelihood.mean()):
#     trained(latent_dim=2)
# ```

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Without the KL nothing asks q(z | x) to stay near the prior or to stay wide. Its standard deviations shrink
# towards zero (to about 0.002 here), because noise in z only hurts the reconstruction, and its means spread out (to
# ±20), so that the images lie apart: the model becomes an ordinary autoencoder. The prior then puts its mass on a
# small patch of the plane to which few images are encoded, so samples from it show few kinds of digits and mixtures
# of them, although reconstructions are good. The manifold gives it away: it walks over the quantiles of the prior
# and finds little but nines, sixes and what lies between. So does the bound: log-weights contain log p(z) − log q(z
# | x), so the ELBO of new digits falls from −20 to about −58 nats, and 128 samples win back only one of them.
#
# *Rubric.* 1 point: σ → 0 and/or means spread, with the reason (only the KL opposes it). 1 point: samples get
# worse, with the reason (codes and prior do not match: the decoder is asked about places it has not or hardly
# seen). 1 point: names a picture and what is seen in it (manifold, samples or bounds; each can be right). 1 point:
# the argument distinguishes reconstruction (through q) from generation (through p(z)). Half points where the effect
# is right and the reason missing.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * `data.load("mnist")` (28×28 pixels; downloaded once) in place of `"digits"`: give it `hidden_sizes=(500, 500)`
#   and a GPU.
# * Does the bound of the *training* digits rise as much as that of the new ones? What would the difference tell
#   you?
# * Hand in as unit 00 explains: run everything once from top to bottom, save, and hand in `03_vae.ipynb`.
