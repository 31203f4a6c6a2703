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
# Five functions turn a pair of neural networks into a variational autoencoder: a draw that gradients can pass through, a
# likelihood, a loss, a tighter bound to evaluate the result, and one step of training. You write all five. Then a model
# that calls *your* functions learns real handwritten digits in about ten seconds, and at the end you build your own VAE.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `reparameterize` | 1 of 5 | 5 of 5 | 5 min | 4 |
# | 2 | `bernoulli_log_likelihood` | 3 of 5 | 4 of 5 | 20 min | 5 |
# | 3 | `negative_elbo` | 2 of 5 | 5 of 5 | 10 min | 5 |
# | 4 | `importance_weighted_bound` | 2 of 5 | 3 of 5 | 10 min | 4 |
# | 5 | `vae_training_step` | 4 of 5 | 5 of 5 | 25 min | 8 |
# | | pictures and question 1 | | | 25 min | 4 |
# | 6 | a VAE of your own, not graded | 4 of 5 | 5 of 5 | 30 min | |
#
# **You need** lecture 03, and unit 00 for how an exercise works. **Conventions:** $x$ is an image, $z$ its latent vector,
# $q(z \mid x)$ the encoder, $p(x \mid z)$ the decoder. Logarithms are natural, so likelihoods and KLs are in *nats*, summed
# over one image. A tensor's first dimension counts the images of a batch. Standard deviations come as `log_std`
# $= \log \sigma$ (not $\log \sigma^2$). **Results have the dtype of the inputs** (float64 in, float64 out), and no function
# changes its inputs. You may compute in another dtype on the way.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `reparameterize`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw from a Gaussian so that gradients reach its mean and standard deviation | 1 of 5 | 5 of 5 | 5 minutes |
#
# The encoder proposes $q(z \mid x) = \mathcal{N}(z;\, \mu, \operatorname{diag} \sigma^2)$, and the decoder needs a draw
# from it. A sampler that only returns numbers cuts the graph: no gradient reaches the encoder's $\mu$ and $\sigma$. So
# the randomness comes in from outside, as noise $\varepsilon \sim \mathcal{N}(0, I)$. Write $z$ as a differentiable
# function of $\mu$, $\log \sigma$ and $\varepsilon$ with the right distribution.
#
# ```python
# reparameterize(mean, log_std, noise)  # three tensors of one shape, any; log_std from −12 to 8  →  the draw z, same shape
# ```
#
# {{cases of reparameterize}}
#
# <details><summary>Hint 1: a question</summary>
#
# Which mean and which standard deviation does $a + b\,\varepsilon$ have when $\varepsilon$ is standard normal?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Shift and scale the noise. You are given the logarithm of the standard deviation, not of the variance: you need no
# square root and no factor ½.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `std = log_std.exp()`
# </details>

# %% nbgrader={"grade": false, "grade_id": "reparameterize", "locked": false, "schema_version": 3, "solution": true}
@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    """A draw from a diagonal Gaussian, as a differentiable function of its parameters.

    mean, log_std: mean and log standard deviation of each element, tensors of one shape,
        finite.
    noise: standard normal numbers of the same shape; the only source of randomness.
    Returns the draw, in the shape and dtype of the inputs, which are not changed. Gradients
    reach mean and log_std.
    """
    ### BEGIN SOLUTION
    return mean + log_std.exp() * noise
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_reparameterize", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("reparameterize")

# %% [markdown]
# ## Exercise 2: `bernoulli_log_likelihood`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | score an image under the decoder, without ever taking the logarithm of zero | 3 of 5 | 4 of 5 | 20 minutes |
#
# For black-and-white pixels the decoder gives one *logit* $\ell_d$ per pixel. The pixel is white with probability
# $\sigma(\ell_d) = 1 / (1 + e^{-\ell_d})$, independently of the others. The log-likelihood of the image is
#
# $$\log p(x \mid z) = \sum_d \bigl[ x_d \log \sigma(\ell_d) + (1 - x_d) \log (1 - \sigma(\ell_d)) \bigr].$$
#
# The same formula accepts grey values between 0 and 1, which weight the two terms; it is then a cross-entropy rather
# than a log-likelihood. A confident decoder has logits of ±50 and beyond, where $\sigma$ rounds to exactly 0 or 1 in
# single precision. The result must stay accurate for $|\ell_d| \le 100$.
#
# ```python
# bernoulli_log_likelihood(logits, x)  # both (batch, …), one or more dimensions after the batch; x in [0, 1]
#                                      # →  (batch,) nats, summed over the rest
# ```
#
# {{cases of bernoulli_log_likelihood}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is $\log \sigma(-100)$? What do you get when you compute $\sigma(-100)$ first, in single precision? And how can
# $1 - \sigma(\ell)$ be written as a $\sigma$ of something?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $\log \sigma(\ell)$ and $\log (1 - \sigma(\ell)) = \log \sigma(-\ell)$ are well-behaved functions of $\ell$; PyTorch
# computes both with one function in `torch.nn.functional`, without the detour through $\sigma$. (Distribution objects
# reject grey values, and a ready-made *loss* has the opposite sign and averages by default.) Sum over all dimensions
# but the first.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `log_odds = torch.nn.functional.logsigmoid`: now `log_odds(logits)` and `log_odds(-logits)` are the two logarithms.
# </details>


# %% nbgrader={"grade": false, "grade_id": "bernoulli_log_likelihood", "locked": false, "schema_version": 3, "solution": true}
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    """log p(x) of independent Bernoulli pixels, in nats, summed over all but the first dimension.

    logits: log-odds of a one, (batch, …) with any number of further dimensions, finite;
        accurate up to ±100.
    x: observed values in [0, 1], same shape.
    Returns one log-likelihood for each example, (batch,), in the dtype of the inputs, which are
    not changed. Gradients reach the logits.
    """
    ### BEGIN SOLUTION
    log_odds = torch.nn.functional.logsigmoid
    per_pixel = x * log_odds(logits) + (1 - x) * log_odds(-logits)
    return per_pixel.flatten(1).sum(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_bernoulli_log_likelihood", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("bernoulli_log_likelihood")

# %% [markdown]
# ## Exercise 3: `negative_elbo`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one number to minimise: reconstruction and regulariser, averaged over the batch | 2 of 5 | 5 of 5 | 10 minutes |
#
# For each image $b$ the model reports $\log p(x_b \mid z_b)$ and the KL of each of its stochastic layers (a plain VAE has
# one layer, unit 05 will have dozens). The loss is the negative evidence lower bound, with a weight $\beta$ on the KL:
#
# $$\mathcal{L} = \frac{1}{B} \sum_{b=1}^{B} \Bigl[ -\log p(x_b \mid z_b) + \beta \sum_{l} \mathrm{KL}_{b,l} \Bigr].$$
#
# Watch what is *summed* and what is *averaged*: an average in place of a sum changes the balance of the two terms, and
# you train a different model.
#
# ```python
# negative_elbo(log_likelihood, kl, beta=1.0)  # (batch,) nats, (batch, layers) nats, float  →  scalar, nats per image
# ```
#
# {{cases of negative_elbo}}
#
# <details><summary>Hint 1: a question</summary>
#
# `log_likelihood` has one number per image, `kl` has several. What must you do to `kl` before the two can be added?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Sum over layers, then average over images. If a batch has as many images as layers, the wrong dimension raises no
# error. The log-likelihood enters the loss with a minus sign, the KL with a plus sign.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `kl_of_image = kl.sum(dim=1)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "negative_elbo", "locked": false, "schema_version": 3, "solution": true}
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    """Minus the evidence lower bound, in nats, averaged over the batch.

    log_likelihood: log p(x | z) of each example, (batch,), nats.
    kl: KL of each example and stochastic layer, (batch, layers), nats.
    beta: weight of the KL, a Python float; 1 gives the bound itself.
    Returns a scalar tensor, nats per example, in the dtype of the inputs, which are
    not changed. Gradients flow to both.
    """
    ### BEGIN SOLUTION
    kl_of_image = kl.sum(dim=1)
    return torch.mean(beta * kl_of_image - log_likelihood)
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
# The ELBO averages logarithms of importance weights $w_k = p(x, z_k) / q(z_k \mid x)$ with $z_k \sim q(z \mid x)$. Averaging
# the weights first and taking the logarithm once is a better bound, which approaches $\log p(x)$ as $K$ grows (Burda, Grosse
# & Salakhutdinov, 2016):
#
# $$\log p(x) \;\ge\; \mathbb{E}\Bigl[ \log \frac{1}{K} \sum_{k=1}^{K} w_k \Bigr] \;\ge\; \mathbb{E}\bigl[ \log w_1 \bigr] = \mathrm{ELBO}.$$
#
# You are given *logarithms* of the weights, for a whole batch at once. They may differ by thousands of nats from one image to
# the next.
#
# ```python
# importance_weighted_bound(log_weights)  # (samples, batch) nats  →  (batch,) nats
# ```
#
# {{cases of importance_weighted_bound}}
#
# <details><summary>Hint 1: a question</summary>
#
# You wrote this average in unit 00. Over which dimension do you average here?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Either call your function from unit 00, which the library uses if it passed its check, or use `torch.logsumexp` and
# account for the $\frac1K$. If you subtract a maximum yourself, take each image's own, not the one of the whole
# batch.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `from avae_lib.logarithms import log_mean_exp`, *inside this cell*.
# </details>


# %% nbgrader={"grade": false, "grade_id": "importance_weighted_bound", "locked": false, "schema_version": 3, "solution": true}
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    """The importance-weighted lower bound on log p(x) of each example, in nats.

    log_weights: log p(x, z_k) - log q(z_k | x), (samples, batch), nats, finite; those of
        different examples may differ by thousands.
    Returns one bound for each example, (batch,), in the dtype of the weights, which are not
    changed. Gradients flow to them.
    """
    ### BEGIN SOLUTION
    from avae_lib.logarithms import log_mean_exp

    return log_mean_exp(log_weights, dim=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_importance_weighted_bound", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("importance_weighted_bound")

# %% [markdown]
# ## Exercise 5: `vae_training_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | one correct update of encoder and decoder together | 4 of 5 | 5 of 5 | 25 minutes |
#
# `model(x)` encodes the batch, draws $z$ (with your `reparameterize`), scores the images (with your likelihood) and returns a
# record with the two fields that your loss needs:
#
# ```python
# elbo = model(x)
# elbo.log_likelihood  # (batch,) nats
# elbo.kl              # (batch, layers) nats
# ```
#
# Turn this into one step of gradient descent:
#
# * one call of the model (a second call would draw another $z$);
# * the gradient of *this* batch's loss, and of nothing else;
# * exactly one update by the optimiser that is passed in. Its settings and the mode of the model stay as they are;
# * return the loss before the update as a plain Python number. A tensor would keep its whole graph in memory.
#
# ```python
# vae_training_step(model, optimizer, x)  # x: a batch of images  →  loss before the update, nats per image, a Python float
# ```
#
# {{cases of vae_training_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# PyTorch *adds* new gradients to those already there. Where in the step may you clear the old ones, and where is it too
# late?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Call, loss, clear, backward, step, return. For the loss use your own `negative_elbo` with $\beta = 1$, imported
# *inside this cell* with `from avae_lib.objectives import negative_elbo`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `elbo = model(x)`. Store it: everything else in the step uses this one record.
# </details>


# %% nbgrader={"grade": false, "grade_id": "vae_training_step", "locked": false, "schema_version": 3, "solution": true}
@implements("vae_training_step")
def vae_training_step(model, optimizer, x):
    """One step of gradient descent on the negative evidence lower bound of a batch.

    model: model(x) returns a record with the fields log_likelihood (batch,) and kl (batch,
        layers), nats.
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


# %% nbgrader={"grade": true, "grade_id": "check_vae_training_step", "locked": true, "points": 8, "schema_version": 3, "solution": false}
check("vae_training_step")

# %% [markdown]
# ## A variational autoencoder made of your functions
#
# The rest is a reward. The table shows whose code each component currently runs: *yours*, once its cell has run.

# %%
from avae_lib import components

print(components.report())

# %% [markdown]
# The data are 1,500 real digits of 8×8 pixels, made black or white. Encoder and decoder are two small networks from the
# library. Training loops over batches of a hundred and calls your step on each; the step calls your loss, and the model calls
# your draw and your likelihood. The first model has two latent variables, because two dimensions can be plotted.

# %% fast="epochs = 5"
from avae_lib import data, plotting
from avae_lib.models.vae import VAEConfig
from avae_lib.training.textbook_training import train_vae

digits = data.load("digits").binarized("threshold")
train, test = digits.pixels("train"), digits.pixels("test")
epochs = 80

# %%
import functools


@functools.cache  # run this cell again to train anew
def trained(latent_dim):
    torch.manual_seed(0)
    model = VAEConfig(digits.image_shape, bits=1, latent_dim=latent_dim).build()
    train_vae(model, train, epochs, generator=torch.Generator().manual_seed(0))
    return model


print(trained(latent_dim=2))

# %% tags=["build-check"]
with torch.no_grad():
    losses = [-trained(latent_dim=2)(train).bound.mean().item() for _ in range(5)]
assert 18.8 < sum(losses) / 5 < 20

# %% [markdown]
# **You should see** about 25 nats per image after the first tenth of the epochs and between 19 and 20 after the last. For
# comparison: a model that has learnt nothing and gives every pixel a probability of ½ needs $64 \log 2 \approx 44.4$
# nats.

# %% [markdown]
# ### The manifold of digits
#
# Every point of the plane decodes to an image. The next picture decodes a grid over the plane, in steps of equal prior
# probability (the inverse cumulative distribution function of the standard normal turns a regular grid into these
# steps).

# %% tags=["picture-manifold"]
rim = torch.nn.ConstantPad2d(1, 0)  # a dark edge, which keeps neighbouring pictures apart
plotting.show(plotting.manifold(lambda z: rim(trained(latent_dim=2).decode(z)), side=15, bits=1))

# %% tags=["build-check"]
corners = trained(latent_dim=2).decode(1.5 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))
assert torch.pdist(corners.flatten(1)).min() > 2, "the corners of the manifold hold different digits"

# %% [markdown]
# **What you should see** (yours may be mirrored or turned: the prior looks the same from all sides):
#
# ![A square of fifteen by fifteen small digits that change smoothly into one another](pictures/manifold.png)

# %% [markdown]
# ### New digits
#
# The next cell draws $z$ from the prior, decodes it, and shows each pixel's probability of being white: first for the
# model with two latent variables, then for one with eight, which it trains first.

# %% tags=["picture-samples"]
torch.manual_seed(3)
rows = {"real digits": test[:9].float()}
rows |= {f"{dim} latents": trained(latent_dim=dim).decode(torch.randn(9, dim)) for dim in (2, 8)}
rows = {name: rim(images) for name, images in rows.items()}
plotting.show(plotting.image_rows(rows, bits=1, inches_per_image=0.6))

# %% tags=["build-check"]
assert all(images.min() >= 0 and images.max() <= 1 and len(images) == 9 for images in rows.values())

# %% [markdown]
# **What you should see:**
#
# ![Three rows of nine digits: real ones above, those of two models below](pictures/samples.png)
#
# All dependence between the pixels of a digit must pass through the latent variables: given $z$, the pixels are
# independent. Two numbers say roughly which digit it is. Eight can describe the handwriting too, but also give some
# shapes that nobody would write. Change the seed to see other digits.

# %% [markdown]
# ### How tight is the bound?
#
# The picture shows the ELBO ($k = 1$) and your importance-weighted bound for more and more samples, on digits that were
# not used for training. Every $k$ uses all 128 samples of an image, in 128 / k groups.

# %% tags=["picture-bounds"]
samples = [1, 2, 4, 8, 16, 32, 64, 128]


@torch.no_grad()
def bounds_of(latent_dim):
    model = trained(latent_dim=latent_dim)
    log_weights = torch.stack([model.log_weight(test) for _ in range(128)], dim=1)  # (297, 128)
    groups = [log_weights.reshape(-1, k).T for k in samples]  # (k, 297 · 128 / k)
    return [importance_weighted_bound(group).mean().item() for group in groups]


bounds = {f"{dim} latents": bounds_of(dim) for dim in (2, 8)}
plotting.show(plotting.importance_weighted_bounds(samples, bounds))

# %% tags=["build-check"]
two, eight = bounds_of(2), bounds_of(8)
assert two == sorted(two) and eight == sorted(eight)
assert eight[0] > two[-1] and eight[-1] - eight[0] > two[-1] - two[0]

# %% [markdown]
# **What you should see:**
#
# ![Two rising curves of the bound against k; the one of eight latents lies higher](pictures/bounds.png)
#
# The curves rise because the bound gets tighter; the models stay the same. The rise from $k = 1$ estimates the part of the gap
# $\mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$ that 128 samples can close.

# %% [markdown]
# ## Question 1
#
# A friend's `reparameterize` returns `mean` and forgets the noise. Everything trains without an error, and with two latent
# variables the loss ends at 14.4 nats, while yours ends at 19.3.
#
# * (a) What do the standard deviations $\sigma$ become during training, and why?
# * (b) Your friend says that the model is five nats better. Why is 14.4 not a bound on $-\log p(x)$, and what does the KL still
#   charge for?
# * (c) What does the picture of the bounds look like if it is drawn with the mistake in place, and why?
# * (d) The friend puts the right `reparameterize` back and keeps the trained weights. What happens to the ELBO of the training
#   digits, and to samples from the prior?
#
# One or two sentences each. (4 points)
#
# You may try it in a cell of your own; `components.using` swaps a component for the duration of a `with` block:
#
# ```python
# trained.cache_clear()
# with components.using("reparameterize", lambda mean, log_std, noise: mean):
#     friend = trained(latent_dim=2)
# trained.cache_clear()  # so that the cells above train your own model again
# ```

# %% tags=["build-check"]
right = trained(latent_dim=2)
trained.cache_clear()
with components.using("reparameterize", lambda mean, log_std, noise: mean), torch.no_grad():
    with torch.enable_grad():
        friend = trained(latent_dim=2)
    assert abs(-friend(train).bound.mean() - 14.4) < 0.5 and friend(train).kl.mean() < 0.3
    log_weights = torch.stack([friend.log_weight(test) for _ in range(4)])
    assert torch.equal(log_weights[0], log_weights[1]), "flat lines"
    assert (friend.posterior(train).log_std.exp() - 1).abs().quantile(0.9) < 0.02
    assert abs(friend.posterior(train).mean.std(0).mean() - 0.45) < 0.1
with torch.no_grad():
    assert -110 < torch.stack([friend(train).bound.mean() for _ in range(5)]).mean() < -75
trained.cache_clear()

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) z does not depend on σ any more, so σ appears only in the KL, ½(μ² + σ² − 1) − log σ, which is smallest at σ = 1: all
# standard deviations go to 1 (0.99 to 1.01 here). (b) The ELBO is an average over z ~ q. The friend scores the image at one chosen
# point, the best one, while the KL is computed as if z came from a q of width 1; so the KL has become ½ μ² per latent, a mild
# penalty on the size of the codes (0.2 nats on average), and the number says nothing about log p(x). The model is an
# autoencoder with weight decay on its codes. (c) Two flat lines: all 128 "samples" of an image are the same point, all weights are
# equal, and the average of equal weights is one of them. The curves of a right model rise. (d) Now z is drawn with σ = 1 around
# means that are spread by only 0.45, so neighbouring images get mixed up: the ELBO of the training digits falls from −14.4 to −92
# nats. Samples from the prior have a spread of 1 as well, so most of them fall outside the region of the codes, where the decoder
# was never trained: they look distorted or all alike.
#
# *Rubric.* 1 point: (a) σ → 1, because only the KL sees σ. 1 point: (b) z is not drawn from q (the expectation is replaced by one
# point), and the KL that remains is ½ μ². 1 point: (c) flat, with the reason. 1 point: (d) the ELBO collapses, because posteriors of
# width 1 overlap; prior samples land where no codes are. Half points where the effect is right and the reason is missing.
# ### END SOLUTION

# %% [markdown]
# ## Exercise 6: a VAE of your own (not graded)
#
# So far the library supplied the networks. Now write the whole model: encoder, decoder, and the `forward` that connects
# your functions. Any architecture will do; two layers of a hundred or two hundred units each way are a good start.
#
# * `encode(x)`: images of zeros and ones (`uint8`, so convert them first) → mean and log standard deviation of $q(z \mid x)$.
# * `decode(z)`: latent vectors → the logits of all pixels.
# * `forward(x)`: encode, draw noise, `reparameterize`, decode, score; return the two terms as the record `ELBO`. The prior is
#   $\mathcal{N}(0, I)$, so your `kl_diagonal_gaussian` of unit 01 gives the KL.
#
# <details><summary>Hint 1: a question</summary>
#
# How many outputs does the encoder need for 2 latent variables, and how do you split them? Which activation belongs after the
# *last* layer of each network, if any?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# One `torch.nn.Sequential` each: flatten, linear, ReLU, linear. The encoder's last layer has `2 * latent_dim` outputs, which
# `chunk(2, dim=1)` halves; means, log standard deviations and logits may be any real number, so nothing comes after the last
# layer. `reshape(-1, 1, 8, 8)` gives the logits the shape of images.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# In `__init__`: `self.encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 200), torch.nn.ReLU(), …)`. In
# `forward`: `mean, log_std = self.encode(x)`.
# </details>

# %% nbgrader={"grade": false, "grade_id": "own_vae", "locked": false, "schema_version": 3, "solution": true}
from avae_lib.divergences import kl_diagonal_gaussian
from avae_lib.objectives import ELBO


class OwnVAE(torch.nn.Module):
    """A VAE of black-and-white images of 8×8 pixels, with a standard normal prior."""

    def __init__(self, latent_dim):
        super().__init__()
        ### BEGIN SOLUTION
        nn = torch.nn
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 200), nn.ReLU(), nn.Linear(200, 64))
        ### END SOLUTION

    def encode(self, x):
        """Mean and log_std of q(z | x), (batch, latent_dim) each, of images (batch, 1, 8, 8)."""
        ### BEGIN SOLUTION
        return self.encoder(x.float()).chunk(2, dim=1)
        ### END SOLUTION

    def decode(self, z):
        """The logits of p(x | z), (batch, 1, 8, 8), of latent vectors (batch, latent_dim)."""
        ### BEGIN SOLUTION
        return self.decoder(z).reshape(-1, 1, 8, 8)
        ### END SOLUTION

    def forward(self, x):
        """The record ELBO(log_likelihood, kl) with (batch,) and (batch, 1) nats."""
        ### BEGIN SOLUTION
        mean, log_std = self.encode(x)
        z = reparameterize(mean, log_std, torch.randn_like(mean))
        prior = torch.zeros_like(mean)
        kl = kl_diagonal_gaussian(mean, log_std, prior, prior).unsqueeze(1)
        return ELBO(bernoulli_log_likelihood(self.decode(z), x.float()), kl)
        ### END SOLUTION


# %% [markdown]
# Check as you go; run this cell as often as you like.

# %%
model, x = OwnVAE(latent_dim=3), train[:5]
mean, log_std = model.encode(x)
elbo, again = model(x), model(x)
log_likelihood, kl = elbo.log_likelihood, elbo.kl
elbo.bound.sum().backward()
claims = {
    "encode gives a mean and a log_std, 3 numbers each": mean.shape == log_std.shape == (5, 3),
    "decode gives one logit for each pixel": model.decode(mean).shape == x.shape,
    "one log-likelihood for each image": log_likelihood.shape == (5,),
    "one KL for each image and layer, never negative": kl.shape == (5, 1) and bool((kl >= 0).all()),
    "z is drawn anew at every call": not torch.equal(log_likelihood, again.log_likelihood),
    "gradients reach every weight": all(weight.grad is not None for weight in model.parameters()),
    "untrained, it needs about 64 log 2 = 44 nats": 40 < negative_elbo(log_likelihood, kl) < 60,
}
for claim, holds in claims.items():
    print("✓" if holds else "✗", claim)

# %% [markdown]
# If every line has a tick, train the model with your own step and look at its manifold.

# %% tags=["picture-own"]
torch.manual_seed(0)
own = OwnVAE(latent_dim=2)
train_vae(own, train, epochs, generator=torch.Generator().manual_seed(0))
plotting.show(plotting.manifold(lambda z: rim(own.decode(z).sigmoid()), side=15, bits=1))

# %% tags=["build-check"]
assert all(claims.values()), claims
with torch.no_grad():
    assert 19 < -own(train).bound.mean() < 22

# %% [markdown]
# **What you should see:** a loss between 19 and 22 nats, depending on your networks, and a manifold like this one:
#
# ![A square of fifteen by fifteen small digits that change smoothly into one another](pictures/own.png)

# %% [markdown]
# ## Going further
#
# * Make your own VAE better than the library's (on `test`, not on `train`): wider, deeper, convolutional, or with more latent variables.
# * `data.load("mnist")` (28×28 pixels; downloaded once) in place of `"digits"`: give the model `hidden_sizes=(500, 500)` and a GPU.
# * Does the bound of the *training* digits rise as much as that of the new ones? What would the difference tell you?
# * Hand in `03_vae.ipynb` as unit 00 explains.
