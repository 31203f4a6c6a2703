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
# You write seven functions: four for magnets (a mean-field sweep, its bound, the whole fit, a Gibbs sweep), one for topics,
# one for clusters, and a gradient for everything else. Then the library calls *your* functions: they clean noisy digits
# and find the topics of Python's standard library.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `ising_mean_field_sweep` | 2 of 5 | 5 of 5 | 15 min | 4 |
# | 2 | `ising_elbo` | 2 of 5 | 5 of 5 | 15 min | 4 |
# | 3 | `mean_field_fit` | 4 of 5 | 5 of 5 | 30 min | 7 |
# | 4 | `gibbs_sweep` | 3 of 5 | 4 of 5 | 15 min | 5 |
# | 5 | `lda_e_step` | 5 of 5 | 4 of 5 | 40 min | 9 |
# | 6 | `mixture_cavi_step` | 4 of 5 | 4 of 5 | 25 min | 7 |
# | 7 | `score_function_gradient` | 1 of 5 | 3 of 5 | 10 min | 3 |
# | | pictures and question 1 | | | 35 min | 4 |
#
# **You need** lecture 02, and unit 00 for how an exercise works. **Conventions:** spins are $-1$ or $1$; $J$ is symmetric
# with zero diagonal, so $\tfrac12 s^\top J s$ counts each pair once; logarithms are natural, bounds are in *nats*.
# **Results have the dtype of the inputs** (float64 in, float64 out), and no function changes its inputs. You may compute in
# another dtype on the way, use loops, and use NumPy, as long as you return tensors.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `ising_mean_field_sweep`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | update the means of all spins once, one after the other | 2 of 5 | 5 of 5 | 15 minutes |
#
# For $p(s) \propto \exp\bigl(\tfrac12 s^\top J s + h^\top s\bigr)$ and independent spins with means $m$, the best mean of
# spin $i$, with all others held fixed, is
#
# $$m_i = \tanh\Bigl(h_i + \sum_j J_{ij}\, m_j\Bigr).$$
#
# A *sweep* updates spins $0, 1, 2, \dots$ in this order, and each update uses the values that earlier ones have just
# set. Couplings and fields may be of any size, into the hundreds.
#
# ```python
# ising_mean_field_sweep(means, coupling, field)  # (spins,) in [−1, 1], (spins, spins), (spins,)  →  new means (spins,)
# ```
#
# {{cases of ising_mean_field_sweep}}
#
# <details><summary>Hint 1: a question</summary>
#
# `torch.tanh(field + coupling @ means)` is one line. Which means does it use for spin 5, and which should it use?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The matrix product updates all spins at once, from the old means. You need a loop over $i$ that reads from the same
# tensor that it writes to. Since $J_{ii} = 0$, spin $i$ itself does no harm in the sum.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `means = means.clone()`: a copy that the loop may write to, so that the caller's tensor stays as it was.
# </details>

# %% nbgrader={"grade": false, "grade_id": "ising_mean_field_sweep", "locked": false, "schema_version": 3, "solution": true}
@implements("ising_mean_field_sweep")
def ising_mean_field_sweep(means, coupling, field):
    """One sweep of coordinate ascent over the means of independent spins, in index order.

    Each update uses the newest values of all others.

    means: means before the sweep, (spins,), in [−1, 1].
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    Returns the means after the sweep, (spins,), in the dtype of the inputs, which are not
    changed.
    """
    ### BEGIN SOLUTION
    means = means.clone()
    for i in range(len(means)):
        means[i] = torch.tanh(field[i] + coupling[i] @ means)
    return means
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_ising_mean_field_sweep", "locked": true, "points": 4, "schema_version": 3, "solution": false}
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
# <details><summary>Hint 1: a question</summary>
#
# What does `0.0 * torch.tensor(0.0).log()` give? And which terms of the double sum $m^\top J m$ belong to the pair of spins 2
# and 5?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Three sums: pairs, fields, entropies. For the entropy, PyTorch has functions in which $0 \log 0 = 0$: look up
# `torch.special.entr` or `torch.xlogy`. Each spin has two probabilities, $q_i$ and $1 - q_i$.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `up = (1 + means) / 2`
# </details>


# %% nbgrader={"grade": false, "grade_id": "ising_elbo", "locked": false, "schema_version": 3, "solution": true}
@implements("ising_elbo")
def ising_elbo(means, coupling, field):
    """The mean-field lower bound on log Z of the Ising model, in nats.

    means: means of independent spins, (spins,), in [−1, 1], both ends included.
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    Returns a scalar tensor, in the dtype of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    up = (1 + means) / 2
    entropy = torch.special.entr(up) + torch.special.entr(1 - up)
    return 0.5 * means @ coupling @ means + field @ means + entropy.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_ising_elbo", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("ising_elbo")

# %% [markdown]
# ## Exercise 3: `mean_field_fit`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the whole algorithm: sweep until the means no longer move, and record the bound | 4 of 5 | 5 of 5 | 30 minutes |
#
# One sweep is a step, not yet an answer. Repeat it from the given start:
#
# * after each sweep, record the bound;
# * stop right after the first sweep in which **no mean moved by more than** `tolerance` (a mean that falls moves too, and
#   a sweep in which *some* means rest is not enough);
# * in any case stop after **200 sweeps**, because near a phase transition the means creep on almost forever.
#
# Return the means and the bounds of all sweeps. The bounds never fall: if you see one fall, there is a bug.
#
# ```python
# mean_field_fit(coupling, field, start, tolerance)  # (spins, spins), (spins,), (spins,) in [−1, 1], number
#                                                    # →  means (spins,), bounds (sweeps,) nats
# ```
#
# The sweep and the bound are those of exercises 1 and 2. Import them inside the answer cell. You then get your own
# versions, here and in the check, so solve those two first. (If yours are still wrong when you hand in, the grader uses
# its own for this exercise.)
#
# ```python
# from avae_lib.meanfield import ising_elbo, ising_mean_field_sweep
# ```
#
# {{cases of mean_field_fit}}
#
# <details><summary>Hint 1: a question</summary>
#
# After a sweep you have new means and still need the old ones. What happens to the old ones if `before = means` is followed
# by a loop that writes into `means`? And how many bounds does a fit return if it starts at a point where nothing moves?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A loop that can run at most 200 times, with four things in it: remember, sweep, append the bound of the new means, test. If
# the test comes before the bound is kept, the last bound is lost. For the result, `torch.stack` makes one tensor of a list of
# scalars and keeps their dtype; `torch.tensor` of a list of Python floats makes float32.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `means, bounds = start, []`, and inside the loop first `before, means = means, ising_mean_field_sweep(means, coupling, field)`.
# </details>


# %% nbgrader={"grade": false, "grade_id": "mean_field_fit", "locked": false, "schema_version": 3, "solution": true}
@implements("mean_field_fit")
def mean_field_fit(coupling, field, start, tolerance):
    """Mean field by coordinate ascent: sweeps until the means no longer move, and their bounds.

    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    start: means before the first sweep, (spins,), in [−1, 1].
    tolerance: a number, not negative; the fit stops after the first sweep in which no mean
        moved by more.
    Returns the means after the last sweep, (spins,), and the bounds after each sweep,
    (sweeps,), in nats, with at least 1 and at most 200 sweeps; both in the dtype of the inputs,
    which are not changed.
    """
    ### BEGIN SOLUTION
    from avae_lib.meanfield import ising_elbo, ising_mean_field_sweep

    means, bounds = start, []
    for _ in range(200):
        before, means = means, ising_mean_field_sweep(means, coupling, field)
        bounds.append(ising_elbo(means, coupling, field))
        if (means - before).abs().max() <= tolerance:
            break
    return means, torch.stack(bounds)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_mean_field_fit", "locked": true, "points": 7, "schema_version": 3, "solution": false}
check("mean_field_fit")

# %% [markdown]
# ## Exercise 4: `gibbs_sweep`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | draw every spin once, given all the others | 3 of 5 | 4 of 5 | 15 minutes |
#
# Here is the other way to the same posterior: draw spins instead of computing means. Given the rest, spin $i$ is 1 with
# probability
#
# $$p(s_i = 1 \mid s_{-i}) = \frac{1}{1 + \exp\bigl(-2\,(h_i + \sum_j J_{ij} s_j)\bigr)}.$$
#
# All random numbers are passed in: spin $i$ becomes $+1$ where `uniforms[i]` is *below* that probability, and $-1$
# otherwise. Go in index order again, and let each draw use the newest values.
#
# ```python
# gibbs_sweep(spins, coupling, field, uniforms)  # (spins,) of −1 and 1, (spins, spins), (spins,), (spins,)  →  (spins,)
# ```
#
# {{cases of gibbs_sweep}}
#
# <details><summary>Hint 1: a question</summary>
#
# One line differs from the sweep of exercise 1: which? And is the argument of the sigmoid the same number that was inside the
# tanh?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A copy, a loop, a probability, a comparison. `torch.sigmoid` works for arguments of any size. Mind the factor 2 in
# the formula. Write $\pm 1$ as numbers of the same dtype as the spins, not as truth values or integers.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `spins = spins.clone()`; the first line of the loop is `probability = torch.sigmoid(2 * (…))`.
# </details>


# %% nbgrader={"grade": false, "grade_id": "gibbs_sweep", "locked": false, "schema_version": 3, "solution": true}
@implements("gibbs_sweep")
def gibbs_sweep(spins, coupling, field, uniforms):
    """One sweep of Gibbs sampling over all spins, in index order, given the newest values.

    spins: the state before the sweep, (spins,), each −1 or 1.
    coupling: J, (spins, spins), symmetric with zero diagonal, finite.
    field: h, (spins,), finite.
    uniforms: one number in [0, 1) for each spin, (spins,); the only source of randomness.
    Returns the state after the sweep, (spins,), each −1 or 1, in the dtype of the spins. The
    inputs are not changed.
    """
    ### BEGIN SOLUTION
    spins = spins.clone()
    for i in range(len(spins)):
        probability = torch.sigmoid(2 * (field[i] + coupling[i] @ spins))
        spins[i] = 1.0 if uniforms[i] < probability else -1.0
    return spins
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_gibbs_sweep", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("gibbs_sweep")

# %% [markdown]
# ## Exercise 5: `lda_e_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | divide the words of every document among topics | 5 of 5 | 4 of 5 | 40 minutes |
#
# This is the half of coordinate ascent in latent Dirichlet allocation that updates the documents. With $n_{dw}$ the
# count of word $w$ in document $d$, and $q(\theta_d) = \mathrm{Dir}(\gamma_d)$,
#
# $$\varphi_{dwk} \propto \exp\bigl(\mathbb{E}[\log \theta_{dk}] + \mathbb{E}[\log \beta_{kw}]\bigr), \quad \sum_k \varphi_{dwk} = 1, \qquad
#   \gamma_{dk} \leftarrow \alpha_k + \sum_w n_{dw}\, \varphi_{dwk},$$
#
# where $\mathbb{E}[\log \theta_{dk}] = \psi(\gamma_{dk}) - \psi(\sum_j \gamma_{dj})$, with the digamma function $\psi$ of the *old*
# $\gamma$, and $\mathbb{E}[\log \beta_{kw}]$ is given. Besides the new $\gamma$, the topics will need the *expected counts*
# $\sum_d n_{dw}\, \varphi_{dwk}$, from the same $\varphi$. Make a single update.
#
# Rare words have expectations of −1,000 and below in *every* topic, where the exponential is zero. They must still be
# divided among the topics. A document may have no words, and a word may occur nowhere.
#
# ```python
# lda_e_step(counts, alpha, expected_log_topics, gamma)  # (docs, words), (topics,), (topics, words), (docs, topics)
#                                                        # →  new gamma (docs, topics), expected counts (topics, words)
# ```
#
# {{cases of lda_e_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# Think of $\varphi$ as an array with three dimensions, (docs, words, topics). Which of them is missing in each of the
# two terms of the exponent? Over which one is $\varphi$ normalised? Which term is the same for all topics, and what
# does the normalisation do to it?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Give each term its missing dimension (`unsqueeze`, `.T`) and let broadcasting add them. Normalise with
# `torch.softmax`, which subtracts the largest exponent first. Then multiply by the counts once, and sum the product
# twice: over words for the one result, over documents for the other.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `log_shares = torch.digamma(gamma).unsqueeze(1) + expected_log_topics.T`, of shape (docs, words, topics). How does it differ
# from $\mathbb{E}[\log \theta] + \mathbb{E}[\log \beta]$, and why does that not matter?
# </details>


# %% nbgrader={"grade": false, "grade_id": "lda_e_step", "locked": false, "schema_version": 3, "solution": true}
@implements("lda_e_step")
def lda_e_step(counts, alpha, expected_log_topics, gamma):
    """One update of the topic proportions of all documents, and the expected counts of each topic.

    counts: how often each word occurs in each document, (docs, words), not negative; rows and
        columns may be zero.
    alpha: concentration of the prior on a document's proportions, (topics,), positive.
    expected_log_topics: E[log β] of each topic and word, (topics, words), finite, of any size.
    gamma: concentrations of the documents' proportions before the update, (docs, topics),
        positive.
    Returns (new gamma (docs, topics), expected counts (topics, words)), both from the same φ,
    in the dtype of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    log_shares = torch.digamma(gamma).unsqueeze(1) + expected_log_topics.T  # (docs, words, topics)
    assigned = counts.unsqueeze(2) * torch.softmax(log_shares, dim=2)
    return alpha + assigned.sum(dim=1), assigned.sum(dim=0).T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_lda_e_step", "locked": true, "points": 9, "schema_version": 3, "solution": false}
check("lda_e_step")

# %% [markdown]
# ## Exercise 6: `mixture_cavi_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | decide how much each component is responsible for each point, however far away it lies | 4 of 5 | 4 of 5 | 25 minutes |
#
# This is the half of coordinate ascent that assigns points to the components of a mixture of Gaussians with independent
# dimensions. You are given one number $w_k$ per component, means $\mu_k$ and *precisions* $\tau_k$ (one over variance):
#
# $$r_{nk} \propto \exp\Bigl( w_k + \tfrac12 \sum_d \bigl[ \log \tau_{kd} - \tau_{kd}\, (x_{nd} - \mu_{kd})^2 \bigr] \Bigr), \qquad \sum_k r_{nk} = 1.$$
#
# **What is $w_k$?** If the parameters are known, it is the log weight $\log \pi_k$, and this is the E-step of EM. In the
# Bayesian mixture of the lecture the parameters are uncertain; `means` and `precisions` are then expectations,
# $\mathbb{E}[\mu_k]$ and $\mathbb{E}[\tau_{kd}]$, and the uncertainty is in $w_k$:
#
# $$w_k = \mathbb{E}[\log \pi_k] + \tfrac12 \sum_d \Bigl[ \mathbb{E}[\log \tau_{kd}] - \log \mathbb{E}[\tau_{kd}] - \frac{1}{\beta_k} \Bigr].$$
#
# Insert it: the $\log \mathbb{E}[\tau]$ cancels, and what remains is the lecture's update with $\tfrac12 \mathbb{E}[\log \tau]$
# and $1/\beta$. The library computes $w$ and passes it to you as `weights_log`. It need not be normalised.
#
# A point may be so far from *all* components that every density is zero in floating point. It still belongs to some of
# them more than to others. There may be hundreds of dimensions, and points and means may both be near 1,000.
#
# ```python
# mixture_cavi_step(x, weights_log, means, precisions)  # (n, dim), (components,), (components, dim), (components, dim)
#                                                       # →  responsibilities (n, components)
# ```
#
# {{cases of mixture_cavi_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# `x.unsqueeze(1) - means` has three dimensions: which? Over which of them does the formula sum, and over which does it
# normalise?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Stay with logarithms until the very last step: build the exponent, (n, components), as a sum of logarithms, and let a softmax
# normalise it. Subtract before you square; a product of two hundred precisions can leave the range of floats, but the sum of
# their logarithms does not.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `squares = (precisions * (x.unsqueeze(1) - means) ** 2).sum(dim=2)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "mixture_cavi_step", "locked": false, "schema_version": 3, "solution": true}
@implements("mixture_cavi_step")
def mixture_cavi_step(x, weights_log, means, precisions):
    """Responsibilities of the components of a mixture of diagonal Gaussians for each point.

    x: points, (n, dim), finite.
    weights_log: w, (components,), finite, not necessarily normalised: the log weights where all
        parameters are known; in the Bayesian mixture 
        E[log π_k] + ½ Σ_d (E[log τ_kd] − log E[τ_kd] − 1/β_k).
    means: the means or their expectations, (components, dim), finite.
    precisions: τ or E[τ], one over the variance in each dimension, (components, dim), positive,
        of any size.
    Returns responsibilities, (n, components), each row summing to one, in the dtype of the
    inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    squares = (precisions * (x.unsqueeze(1) - means) ** 2).sum(dim=2)
    return torch.softmax(weights_log + 0.5 * (precisions.log().sum(dim=1) - squares), dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_mixture_cavi_step", "locked": true, "points": 7, "schema_version": 3, "solution": false}
check("mixture_cavi_step")

# %% [markdown]
# ## Exercise 7: `score_function_gradient`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a gradient of $\mathbb{E}_q[f]$ from values of $f$ alone | 1 of 5 | 3 of 5 | 10 minutes |
#
# From samples $z_1, \dots, z_S$ of $q_\lambda$ and a given baseline $b$, estimate the gradient:
#
# $$\nabla_\lambda\, \mathbb{E}_{q_\lambda}[f(z)] \approx \frac1S \sum_{s=1}^{S} \bigl(f(z_s) - b\bigr)\, \nabla_\lambda \log q_\lambda(z_s).$$
#
# ```python
# score_function_gradient(f_values, log_prob_gradients, baseline)  # (samples,), (samples, params), number  →  (params,)
# ```
#
# {{cases of score_function_gradient}}
#
# <details><summary>Hint 1: a question</summary>
#
# Every sample has one value and one row of gradients. What does `f_values * log_prob_gradients` multiply when there are as many
# samples as parameters?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Make a column of the values, so that each multiplies its own row; then average over samples. Or write the sum as one product of
# a vector and a matrix.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `centred = f_values - baseline`
# </details>


# %% nbgrader={"grade": false, "grade_id": "score_function_gradient", "locked": false, "schema_version": 3, "solution": true}
@implements("score_function_gradient")
def score_function_gradient(f_values, log_prob_gradients, baseline):
    """The score-function estimate of the gradient of E_q[f].

    f_values: f at each sample, (samples,), finite.
    log_prob_gradients: gradient of log q at each sample, (samples, params), finite.
    baseline: a number, subtracted from f.
    Returns the estimate, (params,), in the dtype of the inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    return (f_values - baseline) @ log_prob_gradients / len(f_values)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_score_function_gradient", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("score_function_gradient")

# %% [markdown]
# ## Your functions at work
#
# The table shows whose code each component currently runs: *yours*, once its cell has run.

# %%
from avae_lib import components

print(components.report())

# %% [markdown]
# ### Six digits, cleaned
#
# Real digits, enlarged to 32 × 32 pixels, black or white; then 15 % of the pixels are flipped. Neighbouring pixels are
# coupled with $J = 0.7$, and a field pulls each pixel towards its observed value. Your `mean_field_fit`, and your
# Gibbs sweep averaged over a chain, clean one digit at a time, as 1,024 spins.

# %% fast="digits = digits[:2]; gibbs_sweeps = 8"
import functools

from avae_lib import data, plotting
from avae_lib.meanfield.bitmaps import one_of_each_digit
from avae_lib.meanfield.ising_sampling import gibbs_chain
from avae_lib.meanfield.lattice import denoising_lattice

digits, gibbs_sweeps = [3, 1, 4, 1, 5, 9], 40

# %%
clean = one_of_each_digit(data.load("digits"), side=32)[digits]
generator = torch.Generator().manual_seed(0)
noisy = torch.where(torch.rand(clean.shape, generator=generator) < 0.15, -clean, clean)
models = [denoising_lattice(picture, 0.15, coupling=0.7).general() for picture in noisy]


# %%
@functools.cache  # run this cell again to fit anew
def fits():
    return [mean_field_fit(m.coupling, m.field, torch.tanh(m.field), 1e-3) for m in models]


@functools.cache
def cleaned():
    """The digits by name of the method that cleaned them, as means of spins."""
    chains = [gibbs_chain(m.coupling, m.field, gibbs_sweeps, generator) for m in models]
    by_gibbs = [chain[gibbs_sweeps // 4 :].mean(0) for chain in chains]
    by_mean_field = [means for means, _ in fits()]
    return {"mean field": torch.stack(by_mean_field), "Gibbs": torch.stack(by_gibbs)}


# %%
rises = [bounds.diff().min() for _, bounds in fits()]
print("sweeps of your fits:", [len(bounds) for _, bounds in fits()])
print(f"smallest rise of a bound in a sweep: {min(rises):+.1e} nats")
for name, means in ({"noisy": noisy} | cleaned()).items():
    wrong = (means.view_as(clean).sign() != clean).double().mean()
    print(f"{name:10s}: {100 * wrong:.1f} % of the pixels wrong")

# %% tags=["picture-digits"]
rows = {"clean": clean, "noisy": noisy} | cleaned()
rows = {name: (1 + means.view(-1, 1, 32, 32)) / 2 for name, means in rows.items()}
plotting.show(plotting.image_rows(rows, bits=1, inches_per_image=0.9))

# %% tags=["build-check"]
everything = [noisy, *(means.view_as(clean) for means in cleaned().values())]
wrong = [100 * (means.sign() != clean).double().mean().item() for means in everything]
assert 14 < wrong[0] < 16 and max(wrong[1:]) < 3.5
assert min(rises) >= -1e-9 and cleaned()["Gibbs"].abs().mean() < cleaned()["mean field"].abs().mean()

# %% [markdown]
# **What you should see:**
#
# ![Four rows with the digits 3 1 4 1 5 9: clean, speckled with noise, and twice nearly clean again](pictures/digits.png)
#
# Both methods reduce the wrong pixels from about 15 in a hundred to two or three, and no bound ever falls. The grey
# pixels of the sampler show real uncertainty; mean field is more certain than it should be.

# %% [markdown]
# ### The topics of the standard library
#
# The docstrings of each module make one document. Your update finds the topic proportions of the documents, and the
# library turns your expected counts into topics. The two alternate for about fifteen seconds. (A loop over documents
# takes no longer; a loop over every word of every document takes about twenty minutes.)

# %% fast="sweeps = 2"
from avae_lib.data.python_docs_corpus import load_documentation
from avae_lib.meanfield.lda_fit import LdaPrior, fit_lda, random_topics

sweeps = 30

# %%
library = load_documentation(words=1000)
prior = LdaPrior(topics=12, document_concentration=0.1, topic_concentration=0.05)
start = random_topics(prior.topics, len(library.words), torch.Generator().manual_seed(0))


@functools.cache  # run this cell again to fit anew
def topic_model():
    return fit_lda(library.counts, prior, start, sweeps=sweeps)


per_word = topic_model().elbo[-1] / library.counts.sum()
print(f"{len(library.counts)} modules, bound {per_word:.3f} nats per word")

# %% [markdown]
# **Name the topics.** Read the words of each line and replace its number with a name of your own, for instance
# `names[3] = "windows"`.

# %% tags=["picture-topics"]
names = {number: str(number) for number in range(1, 13)}
order = topic_model().topic_concentration.sum(1).argsort(descending=True)
likeliest = library.most_likely(topic_model().topics[order], count=10)
columns = {"likeliest words of each topic": likeliest}
plotting.show(plotting.topics_side_by_side(columns, list(names.values())))

# %% tags=["build-check"]
assert len(likeliest) == 12 and all(len(words) == 10 for words in likeliest) and topic_model().elbo.diff().min() > -1e-6

# %% [markdown]
# **What you should see** (another version of Python has slightly different words, so the topics may come in another
# order):
#
# ![Twelve lists of ten words, each about one subject](pictures/topics.png)
#
# <details><summary>Our names, from top to bottom</summary>
#
# Folders, packages and tests; messages, logging and parsers; types and dictionaries; reading and writing streams; e-mail and
# character sets; threads and the event loop; options of commands; lines of text, and compression; web servers; windows;
# numbers; network addresses.
# </details>

# %% [markdown]
# ### Clusters of flowers, from several starts
#
# Here a mixture of up to six components is fitted to 150 flowers, with your `mixture_cavi_step` in the loop. Coordinate
# ascent finds a local optimum, so start several times and compare the bounds.

# %%
from sklearn.datasets import load_iris

from avae_lib.meanfield.mixture_fit import fit_mixture, random_responsibilities
from avae_lib.meanfield.mixture_posteriors import GaussianPrior

flowers = torch.from_numpy(load_iris().data[:, 2:4])
belief = GaussianPrior(flowers.mean(0), 0.01, 2.0, 2.0 * flowers.var(0) / 5)
seeds = [torch.Generator().manual_seed(seed) for seed in range(6)]
starts = [random_responsibilities(len(flowers), 6, seed) for seed in seeds]


@functools.cache  # run this cell again to fit anew
def mixtures():
    return [fit_mixture(flowers, belief, 0.01, begin, sweeps=200) for begin in starts]


for seed, mixture in enumerate(mixtures()):
    sizes = [round(size) for size in mixture.responsibilities.sum(0).tolist() if size > 0.5]
    print(f"seed {seed}: bound {mixture.elbo[-1]:.1f} nats, flowers in each component: {sizes}")

# %% tags=["picture-clusters"]
best = max(mixtures(), key=lambda mixture: mixture.elbo[-1])
found, weights = best.components, best.weight_concentration / best.weight_concentration.sum()
labels = ("length of petal (cm)", "width of petal (cm)")
plotting.show(
    plotting.mixture_components(
        flowers, best.responsibilities, found.mean, found.covariance, weights, axis_labels=labels
    )
)

# %% tags=["build-check"]
used = [int((mixture.responsibilities.sum(0) > 0.5).sum()) for mixture in mixtures()]
assert len(set(used)) == 2 and (best.responsibilities.sum(0) > 0.5).sum() == 4
tilting = GaussianPrior(flowers.mean(0), 0.01, 2.0, torch.diag(2.0 * flowers.var(0) / 5))
tilted = max((fit_mixture(flowers, tilting, 0.01, begin) for begin in starts), key=lambda fit: fit.elbo[-1])
assert (tilted.responsibilities.sum(0) > 0.5).sum() == 3

# %% [markdown]
# **You should see** two kinds of results among the six starts. The one with the higher bound looks like this (yours may
# have other colours):
#
# ![Points in four clusters with ellipses around them](pictures/clusters.png)
#
# Two of the six components stay empty without any pruning: the bound penalises parameters. But there are three species,
# not four. The components describe the *density*, and these ellipses must stand upright: the slanted cloud of the two
# larger species needs three of them. (Ellipses that may tilt need only two.)

# %% [markdown]
# ### A gradient from values alone
#
# With your `score_function_gradient`, a Gaussian $q$ is fitted to a density from its values alone.

# %% fast="steps = 20"
steps = 400

# %%
mean, secret, baseline = torch.zeros(2), torch.tensor([1.5, -0.5]), 0.0
for _ in range(steps):
    noise = torch.randn(20, 2, generator=generator)
    values = -0.5 * (mean + noise - secret).square().sum(1)  # at draws from N(mean, I)
    mean = mean + 0.05 * score_function_gradient(values, noise, baseline)  # ∇ log q is the noise
    baseline = 0.9 * baseline + 0.1 * values.mean().item()
print("the target's mean:", secret.tolist(), "by your gradient:", [round(m, 2) for m in mean.tolist()])

# %% tags=["build-check"]
assert (mean - secret).abs().max() < 0.25

# %% [markdown]
# **You should see** the mean recovered to within a tenth or two.

# %% [markdown]
# ## Question 1
#
# Your `mean_field_fit` stops after the first sweep in which no mean moved by more than `tolerance`. How far from the resting
# point can the means still be?
#
# * (a) Near the end, let every sweep multiply all distances to the resting point by the same $\rho$, with $0 < \rho < 1$. Show
#   that a mean that moved by $\delta$ in the last sweep is still $\delta\, \rho / (1 - \rho)$ away.
# * (b) Take two spins with coupling $J$ between them ($0 < J < 1$), no field, and means near zero. What is $\rho$ for one sweep?
#   What happens to the remaining distance as $J \to 1$?
# * (c) At this moment the bound is much closer to its final value than the means are to theirs. Why?
# * (d) You want the means to three digits. What would you print besides the last move, to know when to stop?
#
# A few lines each. (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) Let the distance before the last sweep be D; after it, it is ρD. So the move is δ = D − ρD = (1 − ρ) D, and the distance
# left is ρD = δρ/(1 − ρ). (b) Near zero tanh(a) ≈ a. The sweep sets m1 = J m2 and then m2 = J m1 = J² m2: each sweep multiplies the
# distance by ρ = J². As J → 1, ρ/(1 − ρ) = J²/(1 − J²) grows without limit: with J = 0.99 the means are still about 49 times the
# tolerance away (the remaining distance is 49 δ), although they hardly move. (c) The resting point is a maximum of the bound, so its
# gradient is zero there, and what is missing is of the order of the squared distance (½ dᵀ H d). (d) The ratio of
# two successive moves, which estimates ρ; then stop when δρ/(1 − ρ) is below 0.0005. (Also right: continue with a tolerance a
# hundred times smaller and compare; or fits from two sides of the resting point.)
#
# *Rubric.* 1 point: (a) with the derivation. 1 point: (b) ρ = J² (half for J, which holds for the update of all spins at once)
# and that the distance diverges. 1 point: (c) the gradient of the bound vanishes at its maximum, so the gap is quadratic in the distance. 1 point:
# (d) the ratio of moves, or another test that does not trust one small move. Half points where the effect is right and the reason
# is missing.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * Other seeds for `random_topics`: which of your named topics come back, and which split or merge?
# * Raise the coupling to $J = 2$ and start `mean_field_fit` once from the picture and once from an all-black page. Which
#   end has the higher bound, and which one looks better?
# * Hand in `02_mean_field.ipynb` as unit 00 explains.
