# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 02: Build mean-field inference
#
# Six short functions: three for magnets (a mean-field sweep, its bound, a Gibbs sweep), one for topics, one for
# clusters, and one gradient for everything else. Then the library runs on *yours*: they clean a page of noisy digits
# and find out what Python's standard library is about.
#
# | exercise | | difficulty | importance | time |
# |---|---|---|---|---|
# | 1 | `ising_mean_field_sweep` | 2 of 5 | 5 of 5 | 15 min |
# | 2 | `ising_elbo` | 2 of 5 | 5 of 5 | 15 min |
# | 3 | `gibbs_sweep` | 2 of 5 | 4 of 5 | 10 min |
# | 4 | `lda_e_step` | 4 of 5 | 4 of 5 | 30 min |
# | 5 | `mixture_cavi_step` | 3 of 5 | 4 of 5 | 20 min |
# | 6 | `score_function_gradient` | 1 of 5 | 3 of 5 | 10 min |
# | | pictures and question 1 | | | 30 min |
#
# **You need** lecture 02, and unit 00 for how an exercise works. **Conventions:** spins are $-1$ or $1$; $J$ is
# symmetric with zero diagonal, so that $\tfrac12 s^\top J s$ counts each pair once; logarithms are natural, bounds in
# *nats*. No function changes its inputs, and each keeps their precision: float64 in, float64 out. Loops are fine, NumPy is too,
# as long as tensors come out.

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
# ## Exercise 1: `ising_mean_field_sweep`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | update the means of all spins once, one after the other | 2 of 5 | 5 of 5 | 15 minutes |
#
# For $p(s) \propto \exp\bigl(\tfrac12 s^\top J s + h^\top s\bigr)$ and independent spins with means $m$, the best mean of spin
# $i$, all others held fixed, is
#
# $$m_i = \tanh\Bigl(h_i + \sum_j J_{ij}\, m_j\Bigr).$$
#
# A *sweep* updates spins $0, 1, 2, \dots$ in this order, and each update sees the values that earlier ones have just set.
# Couplings and fields may be of any size, into the hundreds.
#
# ```python
# ising_mean_field_sweep(means, coupling, field)  # (spins,) in [−1, 1], (spins, spins), (spins,)  →  new means (spins,)
# ```
#
# {{cases of ising_mean_field_sweep}}
#
# <details><summary>Hint 1</summary>
#
# A matrix product with the old means updates all spins at once, which is another algorithm. You need a loop over $i$, and a
# copy of the means that the loop may write to.
# </details>
# <details><summary>Hint 2</summary>
#
# `means = means.clone()`; inside the loop, `coupling[i] @ means` is the sum over $j$, with the newest values and without
# spin $i$ itself, since $J_{ii} = 0$. `torch.tanh` copes with arguments of any size; a quotient of exponentials does not.
# </details>

# %% nbgrader={"grade": false, "grade_id": "ising_mean_field_sweep", "locked": false, "schema_version": 3, "solution": true}
@implements("ising_mean_field_sweep")
def ising_mean_field_sweep(means, coupling, field):
    """One sweep of coordinate ascent over the means of independent spins, in index order, newest values first.

    means: means before the sweep, (spins,), in [−1, 1].
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    Returns the means after the sweep, (spins,), in the precision of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    means = means.clone()
    for i in range(len(means)):
        means[i] = torch.tanh(field[i] + coupling[i] @ means)
    return means
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_ising_mean_field_sweep", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("ising_mean_field_sweep")

# %% [markdown]
# ## Exercise 2: `ising_elbo`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the bound that the sweep climbs: expected energy and entropy | 2 of 5 | 5 of 5 | 15 minutes |
#
# $$\log Z \;\ge\; \tfrac12\, m^\top J m + h^\top m - \sum_i \bigl[ q_i \log q_i + (1 - q_i) \log (1 - q_i) \bigr], \qquad q_i = \frac{1 + m_i}{2}.$$
#
# Means may be exactly $-1$ or $1$: such a spin is certain, and its entropy is 0.
#
# ```python
# ising_elbo(means, coupling, field)  # (spins,) in [−1, 1], (spins, spins), (spins,)  →  scalar, nats
# ```
#
# {{cases of ising_elbo}}
#
# <details><summary>Hint 1</summary>
#
# Which terms of the double sum $m^\top J m$ belong to the pair of spins 2 and 5? That is where the ½ comes from. For the entropy, ask
# what `0.0 * torch.tensor(0.0).log()` gives.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.special.entr(q)` is $-q \log q$ with $0 \log 0 = 0$, and `torch.xlogy(q, q)` is $q \log q$ likewise. Each spin needs it twice,
# for $q$ and for $1 - q$; then sum over spins.
# </details>

# %% nbgrader={"grade": false, "grade_id": "ising_elbo", "locked": false, "schema_version": 3, "solution": true}
@implements("ising_elbo")
def ising_elbo(means, coupling, field):
    """The mean-field lower bound on log Z of the Ising model, in nats.

    means: means of independent spins, (spins,), in [−1, 1], both ends included.
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    Returns a tensor without dimensions, in the precision of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    up = (1 + means) / 2
    entropy = torch.special.entr(up) + torch.special.entr(1 - up)
    return 0.5 * means @ coupling @ means + field @ means + entropy.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_ising_elbo", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("ising_elbo")

# %% [markdown]
# ## Exercise 3: `gibbs_sweep`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw every spin once, given all the others | 2 of 5 | 4 of 5 | 10 minutes |
#
# The other way to the same posterior: no means, but spins. Given the rest, spin $i$ is 1 with probability
#
# $$p(s_i = 1 \mid s_{-i}) = \frac{1}{1 + \exp\bigl(-2\,(h_i + \sum_j J_{ij} s_j)\bigr)}.$$
#
# All randomness is handed in: spin $i$ becomes $+1$ where `uniforms[i]` is *below* that probability, and $-1$ otherwise. Again in
# index order, each draw seeing the newest values.
#
# ```python
# gibbs_sweep(spins, coupling, field, uniforms)  # (spins,) of −1 and 1, (spins, spins), (spins,), (spins,)  →  (spins,)
# ```
#
# {{cases of gibbs_sweep}}
#
# <details><summary>Hint 1</summary>
#
# The loop is that of exercise 1. Only what is written into the copy differs.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.sigmoid(2 * (...))` is the probability: mind the 2. Then `1.0 if uniforms[i] < probability else -1.0`.
# </details>

# %% nbgrader={"grade": false, "grade_id": "gibbs_sweep", "locked": false, "schema_version": 3, "solution": true}
@implements("gibbs_sweep")
def gibbs_sweep(spins, coupling, field, uniforms):
    """One sweep of Gibbs sampling over all spins, in index order, each drawn given the newest values of the others.

    spins: the state before the sweep, (spins,), each −1 or 1.
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    uniforms: one number in [0, 1) for each spin, (spins,); the only source of randomness.
    Returns the state after the sweep, (spins,), each −1 or 1. The inputs are not changed.
    """
    ### BEGIN SOLUTION
    spins = spins.clone()
    for i in range(len(spins)):
        probability = torch.sigmoid(2 * (field[i] + coupling[i] @ spins))
        spins[i] = 1.0 if uniforms[i] < probability else -1.0
    return spins
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_gibbs_sweep", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("gibbs_sweep")

# %% [markdown]
# ## Exercise 4: `lda_e_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | share the words of every document out among topics | 4 of 5 | 4 of 5 | 30 minutes |
#
# The documents' half of coordinate ascent in latent Dirichlet allocation. With $n_{dw}$ the count of word $w$ in document $d$,
# and $q(\theta_d) = \mathrm{Dir}(\gamma_d)$,
#
# $$\varphi_{dwk} \propto \exp\bigl(\mathbb{E}[\log \theta_{dk}] + \mathbb{E}[\log \beta_{kw}]\bigr), \quad \sum_k \varphi_{dwk} = 1, \qquad
#   \gamma_{dk} \leftarrow \alpha_k + \sum_w n_{dw}\, \varphi_{dwk},$$
#
# where $\mathbb{E}[\log \theta_{dk}] = \psi(\gamma_{dk}) - \psi(\sum_j \gamma_{dj})$ with the digamma function $\psi$ of the *old* $\gamma$, and
# $\mathbb{E}[\log \beta_{kw}]$ is given. Besides the new $\gamma$, topics will need the *expected counts* $\sum_d n_{dw}\, \varphi_{dwk}$, from the same $\varphi$.
# One update, no repetition.
#
# Rare words have expectations of −1,000 and below in *every* topic, where the exponential is zero; they must be shared out all the same. A
# document may have no words, and a word may occur nowhere.
#
# ```python
# lda_e_step(counts, alpha, expected_log_topics, gamma)  # (docs, words), (topics,), (topics, words), (docs, topics)
#                                                        # →  new gamma (docs, topics), expected counts (topics, words)
# ```
#
# {{cases of lda_e_step}}
#
# <details><summary>Hint 1</summary>
#
# Think of $\varphi$ as an array with three dimensions, (docs, words, topics). Which of them does each of the two terms in the exponent lack, and
# over which is it normalised? `torch.digamma` is $\psi$.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.digamma(gamma).unsqueeze(1) + expected_log_topics.T` has that shape; $\psi(\sum_j \gamma_{dj})$ is the same for all topics, so the softmax over the
# last dimension takes it out. `torch.softmax` never exponentiates large numbers. Multiply by `counts.unsqueeze(2)` and sum: over words for the one result, over
# documents for the other (then transpose).
# </details>

# %% nbgrader={"grade": false, "grade_id": "lda_e_step", "locked": false, "schema_version": 3, "solution": true}
@implements("lda_e_step")
def lda_e_step(counts, alpha, expected_log_topics, gamma):
    """One update of the topic shares of all documents, and the counts of words that it expects of each topic.

    counts: how often each document holds each word, (docs, words), not negative; rows and columns may be zero.
    alpha: concentration of the prior on a document's shares, (topics,), positive.
    expected_log_topics: E[log β] of each topic and word, (topics, words), finite, of any size.
    gamma: concentrations of the documents' shares before the update, (docs, topics), positive.
    Returns (new gamma (docs, topics), expected counts (topics, words)), both from the same φ, in the precision of the
    inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    log_shares = torch.digamma(gamma).unsqueeze(1) + expected_log_topics.T  # (docs, words, topics)
    assigned = counts.unsqueeze(2) * torch.softmax(log_shares, dim=2)
    return alpha + assigned.sum(dim=1), assigned.sum(dim=0).T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_lda_e_step", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("lda_e_step")

# %% [markdown]
# ## Exercise 5: `mixture_cavi_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | say which component each point belongs to, however far away it lies | 3 of 5 | 4 of 5 | 20 minutes |
#
# The assignments' half of coordinate ascent in a mixture of Gaussians whose dimensions are independent. With expected log weights, means $\mu_k$ and
# *precisions* $\tau_k$ (one over variance),
#
# $$r_{nk} \propto \exp\Bigl( \mathbb{E}[\log \pi_k] + \tfrac12 \sum_d \bigl[ \log \tau_{kd} - \tau_{kd}\, (x_{nd} - \mu_{kd})^2 \bigr] \Bigr), \qquad \sum_k r_{nk} = 1.$$
#
# The weights come as logarithms and need not sum to one. A point may be so far from *all* components that every density is zero in floating
# point: it still belongs to some more than to others.
#
# ```python
# mixture_cavi_step(x, weights_log, means, precisions)  # (n, dim), (components,), (components, dim), (components, dim)
#                                                       # →  responsibilities (n, components)
# ```
#
# {{cases of mixture_cavi_step}}
#
# <details><summary>Hint 1</summary>
#
# First the exponent, for all points and components; `x.unsqueeze(1) - means` has three dimensions: which? Stay with logarithms until the
# very last step.
# </details>
# <details><summary>Hint 2</summary>
#
# Sum over the last dimension, add what belongs to the component alone, and take the softmax over components, `dim=1`.
# </details>

# %% nbgrader={"grade": false, "grade_id": "mixture_cavi_step", "locked": false, "schema_version": 3, "solution": true}
@implements("mixture_cavi_step")
def mixture_cavi_step(x, weights_log, means, precisions):
    """Responsibilities of the components of a mixture of diagonal Gaussians for each point.

    x: points, (n, dim), finite.
    weights_log: expected log weights, (components,), finite, not necessarily normalised.
    means: (components, dim), finite.
    precisions: one over the variance in each dimension, (components, dim), positive, of any size.
    Returns responsibilities, (n, components), each row summing to one, in the precision of the inputs, which are not
    changed.
    """
    ### BEGIN SOLUTION
    squares = (precisions * (x.unsqueeze(1) - means) ** 2).sum(dim=2)
    return torch.softmax(weights_log + 0.5 * (precisions.log().sum(dim=1) - squares), dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_mixture_cavi_step", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("mixture_cavi_step")

# %% [markdown]
# ## Exercise 6: `score_function_gradient`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a gradient of $\mathbb{E}_q[f]$ from values of $f$ alone | 1 of 5 | 3 of 5 | 10 minutes |
#
# From samples $z_1, \dots, z_S$ of $q_\lambda$, and a baseline $b$ that is handed in:
#
# $$\nabla_\lambda\, \mathbb{E}_{q_\lambda}[f(z)] \approx \frac1S \sum_{s=1}^{S} \bigl(f(z_s) - b\bigr)\, \nabla_\lambda \log q_\lambda(z_s).$$
#
# ```python
# score_function_gradient(f_values, log_prob_gradients, baseline)  # (samples,), (samples, params), number  →  (params,)
# ```
#
# {{cases of score_function_gradient}}
#
# <details><summary>Hint 1</summary>
#
# Every sample has one value and one row of gradients. With as many samples as parameters, `f_values * log_prob_gradients` runs without complaint and
# multiplies the wrong ones.
# </details>
# <details><summary>Hint 2</summary>
#
# `(f_values - baseline).unsqueeze(1)` is a column; multiply, and average over `dim=0`. Or one product of a vector with a matrix, divided by the number of samples.
# </details>

# %% nbgrader={"grade": false, "grade_id": "score_function_gradient", "locked": false, "schema_version": 3, "solution": true}
@implements("score_function_gradient")
def score_function_gradient(f_values, log_prob_gradients, baseline):
    """The score-function estimate of the gradient of E_q[f].

    f_values: f at each sample, (samples,), finite.
    log_prob_gradients: gradient of log q at each sample, (samples, params), finite.
    baseline: a number, subtracted from f.
    Returns the estimate, (params,), in the precision of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    return (f_values - baseline) @ log_prob_gradients / len(f_values)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_score_function_gradient", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("score_function_gradient")

# %% [markdown]
# ## Your functions at work
#
# The table says whose body each component has at the moment: *yours*, once its cell has run.

# %%
from avae_lib import components

print(components.report())

# %% [markdown]
# ### A page of digits, cleaned
#
# Real digits, enlarged and made black or white, with 12 % of their pixels flipped. Neighbouring pixels are coupled with $J = 0.8$, and each pixel feels a field
# towards what was seen. Your mean-field sweep, repeated, and your Gibbs sweep, averaged, each see one digit at a time as 576 spins.

# %%
import functools
import os

import torch.nn.functional as F

from avae_lib import data, plotting
from avae_lib.meanfield.coordinate_ascent import fit_mean_field
from avae_lib.meanfield.ising_sampling import gibbs_chain
from avae_lib.meanfield.lattice import denoising_lattice

fast = "AVAE_FAST" in os.environ  # the short way is for automatic tests
digits, mean_field_sweeps, gibbs_sweeps = (2, 3, 4) if fast else (12, 12, 40)
generator = torch.Generator().manual_seed(0)
grey = data.load("digits").test[20 : 20 + digits].float() / 15
clean = torch.where(F.interpolate(grey, scale_factor=3, mode="bicubic").squeeze(1) > 0.5, 1.0, -1.0).double()
noisy = torch.where(torch.rand(clean.shape, generator=generator) < 0.12, -clean, clean)


@functools.cache  # run this cell again to denoise anew
def denoised():
    cleaned, sampled, smallest_rise = [], [], float("inf")
    for picture in noisy:
        model = denoising_lattice(picture, flip_probability=0.12, coupling=0.8).general()
        fit = fit_mean_field(model, sweeps=mean_field_sweeps, tolerance=1e-3)  # your sweep, watched by your bound
        chain = gibbs_chain(model.coupling, model.field, gibbs_sweeps, generator, start=picture.flatten())
        cleaned.append(fit.means.view_as(picture))
        sampled.append(chain[gibbs_sweeps // 4 :].mean(0).view_as(picture))
        smallest_rise = min(smallest_rise, fit.elbo.diff().min().item())
    return torch.stack(cleaned), torch.stack(sampled), smallest_rise


by_mean_field, by_gibbs, smallest_rise = denoised()
for name, pictures in {"noisy": noisy, "mean field": by_mean_field, "Gibbs": by_gibbs}.items():
    print(f"{name:10s}: {100 * (pictures.sign() != clean).double().mean():.1f} % of the pixels wrong")
print(f"smallest change of your bound in a sweep: {smallest_rise:+.1e} nats (it never falls)")

# %% tags=["picture-digits"]
rows = {"clean": clean, "noisy": noisy} | dict(zip(("mean field", "Gibbs"), denoised()[:2], strict=True))
plotting.show(
    plotting.image_rows({name: ((1 + pictures) / 2).unsqueeze(1) for name, pictures in rows.items()}, bits=1),
    caption="A page of digits: clean, noisy, and cleaned by your two sweeps.",
    alt="Four rows of twelve digits: clean, speckled with noise, and twice nearly clean again.",
)

# %% [markdown]
# **What you should see:**
#
# ![Four rows of twelve digits: clean, noisy, and twice cleaned](pictures/digits.png)
#
# Both take the wrong pixels from about twelve in a hundred to about three. The sampler's grey pixels are honest doubt; mean field knows less of it.

# %% [markdown]
# ### The topics of the standard library
#
# All docstrings of each module make one document. Your update finds the shares of documents, the library turns your expected counts into topics, and round it goes (a
# loop over documents takes a minute; one over every word of every document, very many). **Name the topics:**
# look at the words, and replace the numbers below by names of your own, for instance `1: "tables"`.

# %%
from avae_lib.data.documentation import load_documentation
from avae_lib.meanfield.lda_fit import LdaPrior, fit_lda, random_topics

library = load_documentation(words=600)
prior = LdaPrior(topics=8, document_concentration=0.1, topic_concentration=0.05)
start = random_topics(prior.topics, len(library.words), torch.Generator().manual_seed(4))


@functools.cache
def topic_model():
    return fit_lda(library.counts, prior, start, sweeps=2 if fast else 25)


print(f"{len(library.counts)} modules, bound {topic_model().elbo[-1] / library.counts.sum():.3f} nats per word")

# %% tags=["picture-topics"]
my_names = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6", 7: "7", 8: "8"}
order = topic_model().topic_concentration.sum(1).argsort(descending=True)
listed = library.most_likely(topic_model().topics[order], count=10)
plotting.show(
    plotting.topics_side_by_side({"likeliest words of each topic": listed}, list(my_names.values())),
    caption="Eight topics of the documentation of Python's standard library, found by your update.",
    alt="Eight lists of words that belong together, such as those of files, networks, numbers or windows.",
)

# %% [markdown]
# **What you should see** (another version of Python has slightly other words, and so topics in another order):
#
# ![Eight lists of ten words, each about one subject](pictures/topics.png)

# %% [markdown]
# ### Clusters, and a gradient from values alone
#
# 150 flowers and a mixture with six components, your `mixture_cavi_step` in the middle; and your gradient finds the mean of a Gaussian $q$ that is fitted to a
# density of which only values are known.

# %% tags=["picture-clusters"]
from sklearn.datasets import load_iris

from avae_lib.meanfield.mixture_fit import fit_mixture, random_responsibilities
from avae_lib.meanfield.mixture_posteriors import GaussianPrior

flowers = torch.from_numpy(load_iris().data[:, 2:4])
belief = GaussianPrior(flowers.mean(0), 0.01, 2.0, 2.0 * flowers.var(0) / 5)
begin = random_responsibilities(len(flowers), 6, torch.Generator().manual_seed(1))
mixture = fit_mixture(flowers, belief, 0.01, begin, sweeps=20 if fast else 200)
found = mixture.components
weights = mixture.weight_concentration / mixture.weight_concentration.sum()
plotting.show(
    plotting.mixture_components(
        flowers,
        mixture.responsibilities,
        found.mean,
        found.covariance,
        weights,
        axis_labels=("length of petal (cm)", "width of petal (cm)"),
    ),
    caption="Flowers and the components that your responsibilities left in use.",
    alt="Points in clusters with ellipses around them.",
)

# %%
mean, secret = torch.zeros(2), torch.tensor([1.5, -0.5])
baseline = 0.0
for _ in range(20 if fast else 400):
    noise = torch.randn(20, 2, generator=generator)
    values = -0.5 * (mean + noise - secret).square().sum(1)  # log density of the target at draws from N(mean, I)
    mean = mean + 0.05 * score_function_gradient(values, noise, baseline)  # ∇ log q at mean + noise is noise
    baseline = 0.9 * baseline + 0.1 * values.mean().item()
print(f"the target's mean is {secret.tolist()}; by your gradient: {[round(m, 2) for m in mean.tolist()]}")

# %% [markdown]
# **You should see** the mean recovered to within a tenth or two, and clusters like these (yours may have other colours):
#
# ![Points in clusters with ellipses around them](pictures/clusters.png)

# %% [markdown]
# ## Question 1
#
# *Take a 4 × 4 lattice without field, all neighbours coupled with $J = 1$. Mean field started at small positive means converges to means near $+1$; the true mean of every spin is
# zero. (a) Why is the true mean zero? (b) Why does mean field not find it, although it maximises a bound on $\log Z$, and roughly how many nats does the bound lose? (c) Name one
# expectation under $p$ that this $q$ gets nearly right, and one (other than the means) that it gets badly wrong. Four to six sentences.* (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) Without a field, s and −s have the same potential, so p is symmetric and every mean is zero. (b) p has two modes, all up and all down. A product of independent spins cannot
# cover both without also giving weight to the many mixed states in between, whose potential is tiny, and KL(q‖p) punishes q severely for weight where p has next to none; so the best
# q sits on one mode. Where q equals p restricted to one mode, p = q/2, so the KL, which is the gap of the bound, is log 2 ≈ 0.69 nats (the factorised q misses a little more). (c)
# Nearly right: the energy, or the correlation of neighbours E[s_i s_j] ≈ m_i m_j ≈ 1, or log Z. Badly wrong: the variance of a spin (1 under p, nearly 0 under q), or the
# distribution or variance of the total magnetisation.
#
# *Rubric.* 1 point: symmetry under s → −s. 1 point: a product cannot hold both modes and KL(q‖p) seeks a mode, with the reason (weight where p is small is what costs). 1 point: log 2,
# or 0.7 nats, with a reason; half for "a constant of the order of one". 1 point: two examples, one right and one wrong, half each.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * `LdaPrior(topics=20)`: do finer topics split the ones you named, or cut across them?
# * Start the denoising from random means instead. Does your bound end as high?
# * Hand in as unit 00 explains: run everything once from top to bottom, save, and hand in `02_mean_field.ipynb`.
