# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 01: Measure how far apart two distributions are
#
# You write seven functions: the KL divergence of categorical distributions and of Gaussians, an estimate of it from
# samples with its error bar, the two ways to replace a correlated Gaussian by a simple one, and a small algorithm that
# changes a distribution as little as possible to give it the mean you want. Then your functions go to work: you watch
# a Gaussian settle on a posterior shaped like two moons, and you reweight a pile of handwritten digits by how much ink
# they have.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `kl_categorical` | 2 of 5 | 4 of 5 | 15 min | 5 |
# | 2 | `kl_diagonal_gaussian` | 1 of 5 | 5 of 5 | 10 min | 4 |
# | 3 | `kl_gaussian` | 4 of 5 | 3 of 5 | 25 min | 7 |
# | 4 | `kl_monte_carlo` | 3 of 5 | 4 of 5 | 20 min | 6 |
# | 5 | `reverse_kl_projection` | 2 of 5 | 4 of 5 | 10 min | 4 |
# | 6 | `forward_kl_projection` | 1 of 5 | 3 of 5 | 5 min | 3 |
# | 7 | `information_projection` | 5 of 5 | 4 of 5 | 45 min | 8 |
# | | pictures and question 1 | | | 25 min | 4 |
#
# **You need** lecture 01, and unit 00 for how an exercise works. **Conventions:** $q$ is the distribution we average
# over, $p$ is the other one. $\log$ is the natural logarithm, so divergences are in *nats*. `*batch` stands for any
# number of leading dimensions, possibly none; you return one result for each of them. Standard deviations come as
# `log_std` $= \log \sigma$ (not $\log \sigma^2$). Inputs are valid tensors of floating-point numbers: probabilities
# sum to one, covariances are symmetric and positive definite. **Results have the dtype of the inputs** (float64 in,
# float64 out), and no function changes its inputs. You may compute in another dtype on the way.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `kl_categorical`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | compare two lists of probabilities, zeros included | 2 of 5 | 4 of 5 | 15 minutes |
#
# Over finitely many outcomes the divergence is a sum,
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_k q_k \log \frac{q_k}{p_k}.$$
#
# The formula is one line; the zeros are the exercise. An outcome with $q_k = 0$ contributes nothing, whatever $p_k$
# is ($0 \log 0 = 0$, even if $p_k = 0$ too). An outcome with $q_k > 0$ and $p_k = 0$ makes the divergence of its own
# pair infinite, but not that of the other pairs of the batch. A small constant inside the logarithm avoids the NaN,
# but gives the wrong answer in both cases.
#
# ```python
# kl_categorical(q, p)  # both (*batch, outcomes), probabilities  →  (*batch) nats
# ```
#
# {{cases of kl_categorical}}
#
# <details><summary>Hint 1: a question</summary>
#
# What does `0 * log(0)` give in floating point, and what should it give here?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Compute the contribution of every outcome as the formula says, NaNs included. Then replace the ones whose value you
# know without computing it. Which PyTorch function chooses between two tensors, element by element?
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `contributions = q * torch.log(q / p)`. Look at it for `q = torch.tensor([0.5, 0.5, 0.0])` and
# `p = torch.tensor([1.0, 0.0, 0.0])`: which of the three entries is already right?
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_categorical", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_categorical")
def kl_categorical(q, p):
    """KL(q‖p) between distributions over finitely many outcomes, in nats.

    q, p: probabilities, (*batch, outcomes), each distribution summing to one; zeros are allowed
        in both.
    Returns one divergence for each pair, (*batch), in the dtype of the inputs, which are not
    changed; infinite where q is positive and p is zero. Gradients reach q and p where all
    probabilities are positive.
    """
    ### BEGIN SOLUTION
    contributions = q * torch.log(q / p)
    return torch.where(q > 0, contributions, 0.0).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_categorical", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("kl_categorical")

# %% [markdown]
# ## Exercise 2: `kl_diagonal_gaussian`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the regulariser of every VAE in this course | 1 of 5 | 5 of 5 | 10 minutes |
#
# Two Gaussians with independent coordinates (derived in section 5 of the lecture):
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_d \Bigl[ \log \frac{\sigma_{p,d}}{\sigma_{q,d}}
#   + \frac{\sigma_{q,d}^2 + (\mu_{q,d} - \mu_{p,d})^2}{2 \sigma_{p,d}^2} - \frac12 \Bigr].$$
#
# You are given the logarithms of standard deviations, because that is what networks predict. They may lie anywhere
# between −12 and 8.
#
# ```python
# kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std)  # four times (*batch, dim)  →  (*batch) nats
# ```
#
# {{cases of kl_diagonal_gaussian}}
#
# <details><summary>Hint 1: a question</summary>
#
# You are given $\log \sigma_p$ and $\log \sigma_q$. What is $\log (\sigma_p / \sigma_q)$, without any further
# logarithm?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Build a tensor `(*batch, dim)` with the three terms of each coordinate, the $-\frac12$ among them. Only then sum over
# the last dimension, and over no other.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `q_variance, p_variance = (2 * q_log_std).exp(), (2 * p_log_std).exp()`
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_diagonal_gaussian", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_diagonal_gaussian")
def kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std):
    """KL(q‖p) between diagonal Gaussians, in nats, summed over the last dimension.

    q_mean, p_mean: means, (*batch, dim).
    q_log_std, p_log_std: logarithms of the standard deviations (not of the variances), same
        shape, from −12 to 8.
    Returns one divergence for each pair, (*batch), in the dtype of the inputs, which are not
    changed. Gradients reach all four.
    """
    ### BEGIN SOLUTION
    q_variance, p_variance = (2 * q_log_std).exp(), (2 * p_log_std).exp()
    distance = (q_mean - p_mean) ** 2
    return (p_log_std - q_log_std + (q_variance + distance) / (2 * p_variance) - 0.5).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_diagonal_gaussian", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("kl_diagonal_gaussian")

# %% [markdown]
# ## Exercise 3: `kl_gaussian`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the KL between correlated Gaussians, without a determinant and without an inverse | 4 of 5 | 3 of 5 | 25 minutes |
#
# With full covariances (also section 5 of the lecture):
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr)
#   + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) - D + \log \frac{\det \Sigma_p}{\det \Sigma_q} \Bigr].$$
#
# Determinants of large matrices overflow or round to zero, and covariances may be nearly singular. So take the
# Cholesky factors, $\Sigma = L L^\top$, and write every term with them. `torch.linalg.solve_triangular` solves
# triangular systems; no matrix has to be inverted, and everything works on batches.
#
# ```python
# kl_gaussian(q_mean, q_cov, p_mean, p_cov)  # means (*batch, dim), covariances (*batch, dim, dim)
#                                            # →  (*batch) nats
# ```
#
# {{cases of kl_gaussian}}
#
# <details><summary>Hint 1: a question</summary>
#
# Insert $\Sigma_q = L_q L_q^\top$ and $\Sigma_p^{-1} = L_p^{-\top} L_p^{-1}$ into the trace. Which matrix $A$ makes it
# $\operatorname{tr}(A A^\top)$, and what is that sum, entry by entry? And what is $\log \det \Sigma$ in terms of the
# diagonal of $L$?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $A = L_p^{-1} L_q$: the trace is the sum of the squares of all its entries. The quadratic form is the squared length of
# $L_p^{-1} (\mu_q - \mu_p)$. Both come from triangular systems with the same $L_p$, one with a matrix on the right-hand
# side and one with a vector. And $\log \det \Sigma = 2 \sum_d \log L_{dd}$.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `l_q, l_p = torch.linalg.cholesky(q_cov), torch.linalg.cholesky(p_cov)`. Then `torch.linalg.solve_triangular(l_p, …,
# upper=False)`, twice; it needs a matrix, so give a vector a last dimension with `unsqueeze(-1)`. The diagonals of a
# batch are `l.diagonal(dim1=-2, dim2=-1)`.
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_gaussian", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_gaussian")
def kl_gaussian(q_mean, q_cov, p_mean, p_cov):
    """KL(q‖p) between Gaussians with full covariances, in nats.

    q_mean, p_mean: means, (*batch, dim).
    q_cov, p_cov: symmetric positive definite covariances, (*batch, dim, dim), used as they are:
        nothing is added.
    Returns one divergence for each pair, (*batch), in the dtype of the inputs, which are not
    changed. Gradients reach all four.
    """
    ### BEGIN SOLUTION
    l_q, l_p = torch.linalg.cholesky(q_cov), torch.linalg.cholesky(p_cov)
    relative = torch.linalg.solve_triangular(l_p, l_q, upper=False)
    distance = torch.linalg.solve_triangular(l_p, (q_mean - p_mean).unsqueeze(-1), upper=False)
    squares = relative.square().sum((-2, -1)) + distance.square().sum((-2, -1))
    log_stds = [factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) for factor in (l_p, l_q)]
    return 0.5 * (squares - q_mean.shape[-1]) + log_stds[0] - log_stds[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_gaussian", "locked": true, "points": 7, "schema_version": 3, "solution": false}
check("kl_gaussian")

# %% [markdown]
# ## Exercise 4: `kl_monte_carlo`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | estimate a KL from samples, and say how far to trust it | 3 of 5 | 4 of 5 | 20 minutes |
#
# Samples $x_1 \dots x_n$ come from $q$, and you are given both log-densities at each of them. With
# $r = p(x) / q(x)$ the estimate is the mean over the samples of
#
# $$k_1 = -\log r, \qquad k_2 = \tfrac12 (\log r)^2, \qquad k_3 = (r - 1) - \log r,$$
#
# whichever is asked for. Its standard error is the standard deviation of these same $n$ numbers (with $n - 1$ in the
# variance), divided by $\sqrt n$. In many dimensions log-densities are in the hundreds, positive or negative, but their
# differences are moderate.
#
# ```python
# kl_monte_carlo(q_log_prob, p_log_prob, estimator)  # (samples,), (samples,), "k1" | "k2" | "k3"
#                                                    # →  estimate and standard error, two scalars, nats
# ```
#
# {{cases of kl_monte_carlo}}
#
# <details><summary>Hint 1: a question</summary>
#
# All three estimators need the same tensor. Which one, and how do you get it without computing any density itself?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# First $\log r$, then the $n$ terms of the estimator, then two lines that are the same for all three: mean and standard
# error. For $r - 1$ with $r$ close to one, look up `torch.expm1`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `log_r = p_log_prob - q_log_prob`
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_monte_carlo", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_monte_carlo")
def kl_monte_carlo(q_log_prob, p_log_prob, estimator):
    """KL(q‖p) estimated from samples x ~ q, and the standard error of the estimate, in nats.

    q_log_prob, p_log_prob: log q and log p of the samples, (samples,), finite, at least two of
        them.
    estimator: "k1", "k2" or "k3".
    Returns the estimate and its standard error, two scalars, in the dtype of the inputs, which
    are not changed.
    """
    ### BEGIN SOLUTION
    log_r = p_log_prob - q_log_prob
    all_terms = {"k1": -log_r, "k2": 0.5 * log_r**2, "k3": torch.expm1(log_r) - log_r}
    terms = all_terms[estimator]
    return terms.mean(), terms.std() / len(terms) ** 0.5
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_monte_carlo", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("kl_monte_carlo")

# %% [markdown]
# ## Exercise 5: `reverse_kl_projection`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the factorised Gaussian that variational inference would choose | 2 of 5 | 4 of 5 | 10 minutes |
#
# A Gaussian $p = \mathcal{N}(\mu, \Sigma)$ is correlated; $q = \mathcal{N}(m, \operatorname{diag} \sigma^2)$ must not
# be. Find the $q$ with the smallest $\mathrm{KL}(q \,\|\, p)$. The lecture derives it in section 7.
#
# ```python
# reverse_kl_projection(mean, cov)  # (dim,), (dim, dim)  →  mean and log_std of q, both (dim,)
# ```
#
# {{cases of reverse_kl_projection}}
#
# <details><summary>Hint 1: a question</summary>
#
# Does the best $q$ match the diagonal of $\Sigma$ or that of another matrix?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# It matches the diagonal of the precision: $1 / \sigma_d^2 = (\Sigma^{-1})_{dd}$, which is not one over $\Sigma_{dd}$. What is
# $\log \sigma_d$ then? When $\Sigma$ is nearly singular, compute the precision from its Cholesky factor.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `precision = torch.cholesky_inverse(torch.linalg.cholesky(cov))`
# </details>


# %% nbgrader={"grade": false, "grade_id": "reverse_kl_projection", "locked": false, "schema_version": 3, "solution": true}
@implements("reverse_kl_projection")
def reverse_kl_projection(mean, cov):
    """The diagonal Gaussian q with the smallest KL(q‖p) from a Gaussian p with full covariance.

    mean, cov: of p, (dim,) and (dim, dim); the covariance is symmetric and positive definite,
        perhaps nearly singular.
    Returns mean and log standard deviation of q, two tensors (dim,), in the dtype of the
    inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    precision = torch.cholesky_inverse(torch.linalg.cholesky(cov))
    return mean.clone(), -0.5 * precision.diagonal().log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_reverse_kl_projection", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("reverse_kl_projection")

# %% [markdown]
# ## Exercise 6: `forward_kl_projection`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the factorised Gaussian that matches the marginals | 1 of 5 | 3 of 5 | 5 minutes |
#
# Find the $q$ with the smallest $\mathrm{KL}(p \,\|\, q)$ instead. This, too, is in section 7 of the lecture.
#
# ```python
# forward_kl_projection(mean, cov)  # (dim,), (dim, dim)  →  mean and log_std of q, both (dim,)
# ```
#
# {{cases of forward_kl_projection}}
#
# <details><summary>Hint 1: a question</summary>
#
# Each coordinate of $q$ can be chosen separately. Which one-dimensional distribution of $p$ should it match?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The marginal of coordinate $d$ is a Gaussian with mean $\mu_d$ and variance $\Sigma_{dd}$. You need the logarithm of its
# standard deviation, not of its variance.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `variances = cov.diagonal()`
# </details>


# %% nbgrader={"grade": false, "grade_id": "forward_kl_projection", "locked": false, "schema_version": 3, "solution": true}
@implements("forward_kl_projection")
def forward_kl_projection(mean, cov):
    """The diagonal Gaussian q with the smallest KL(p‖q) from a Gaussian p with full covariance.

    mean, cov: of p, (dim,) and (dim, dim); the covariance is symmetric and positive definite.
    Returns mean and log standard deviation of q, two tensors (dim,), in the dtype of the
    inputs, which are not changed.
    """
    ### BEGIN SOLUTION
    variances = cov.diagonal()
    return mean.clone(), 0.5 * variances.log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_forward_kl_projection", "locked": true, "points": 3, "schema_version": 3, "solution": false}
check("forward_kl_projection")

# %% [markdown]
# ## Exercise 7: `information_projection`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | turn a derivation into an algorithm that cannot get lost | 5 of 5 | 4 of 5 | 45 minutes |
#
# You believe $p$. Then you learn one fact: the average of some quantity $v$ is $m$. Which distribution should you
# believe now? The one that has this average and is otherwise as close to $p$ as possible:
#
# $$\min_q\; \mathrm{KL}(q \,\|\, p) \quad \text{subject to} \quad \sum_k q_k v_k = m, \quad \sum_k q_k = 1.$$
#
# For example, somebody throws a die ten thousand times and tells you only that the average was 4.5, not 3.5. Work out
# the answer with a pencil, in three steps:
#
# 1. Add the two constraints with Lagrange multipliers and set the derivative with respect to $q_k$ to zero. You find
#    $p$, *tilted*, with one unknown number $\lambda$:
#
#    $$\log q_k = \log p_k + \lambda v_k - \log \sum_j p_j e^{\lambda v_j}.$$
#
#    (Section 8 of the lecture shows that this is the minimum; it does not say how to find $\lambda$.)
# 2. Differentiate the mean of this $q$ with respect to $\lambda$. You get a quantity that is never negative. So the
#    mean rises with $\lambda$, and there is exactly one right $\lambda$.
# 3. Find it numerically. Every $\lambda$ that you try shows you on which side of it the solution lies.
#
# **What can go wrong?** $\lambda$ can be in the hundreds, of either sign, when $m$ is close to the smallest or largest
# value. Values may all lie near 1,000, where $e^{\lambda v}$ overflows, or be as small as 0.001. Outcomes that $p$ rules
# out (`log_p` is −∞) stay ruled out. The tolerance has no units: you are done when the mean of $q$ is off by at most
# `tolerance` times the range of the values (largest minus smallest, over the outcomes that $p$ allows).
#
# ```python
# information_projection(log_p, values, mean, tolerance)  # (outcomes,), (outcomes,), number, number
#                                                         # →  log q (outcomes,), λ (scalar)
# ```
#
# {{cases of information_projection}}
#
# <details><summary>Hint 1: a question</summary>
#
# Step 2 gives the variance of $v$ under $q$. Suppose you have one $\lambda$ at which the mean is too small and another at
# which it is too large. How do you shrink the gap between them? And how do you find such a pair in the first place, when
# you do not know how large $\lambda$ may get?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Bracket and bisect: step outwards from zero, doubling the step, until the mean has crossed $m$; then halve the bracket
# again and again. (Newton's method, with the variance as slope, is faster, but where the variance is tiny its step is
# enormous: take it only where it stays inside the bracket.) Work with $v - m$ in place of $v$: a constant shift does not
# change $q$, and the equation becomes $\mathbb{E}_q[v - m] = 0$. Measure $v - m$ in units of the range, and a first step
# of 1 is right for all problems; divide $\lambda$ by the range at the end.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `excess = values.double() - mean`. For one $\lambda$, `torch.log_softmax(log_p.double() + multiplier * excess, dim=0)` is
# the tilted log q: it never overflows, and −∞ stays −∞.
# </details>


# %% nbgrader={"grade": false, "grade_id": "information_projection", "locked": false, "schema_version": 3, "solution": true}
@implements("information_projection")
def information_projection(log_p, values, mean, tolerance):
    """The q with the smallest KL(q‖p) among all distributions that give the values this mean.

    log_p: log-probabilities of p, (outcomes,); −∞ for an outcome that p rules out.
    values: one number v for each outcome, (outcomes,), finite, with any offset and scale.
    mean: a number strictly between the smallest and the largest value of the outcomes that p
        allows.
    tolerance: how far the mean of q may be from it, as a share of the range of these values;
        not below 1e-10 if the tensors are float64, and not below 1e-6 if they are float32.
    Returns log q, (outcomes,), and λ, a scalar, with log q = log p + λ · values + a constant,
    both in the dtype of the inputs, which are not changed. λ times the range may be in the
    hundreds, with either sign.
    """
    ### BEGIN SOLUTION
    excess = values.double() - mean
    allowed = excess[log_p > -torch.inf]
    spread = (allowed.max() - allowed.min()).item()

    def log_tilted(multiplier):
        return torch.log_softmax(log_p.double() + multiplier * excess, dim=0)

    def error(multiplier):
        return (log_tilted(multiplier).exp() @ excess).item()

    low, high = -1 / spread, 1 / spread
    while error(low) > 0:
        low *= 2
    while error(high) < 0:
        high *= 2
    multiplier = 0.0
    while abs(error(multiplier)) > tolerance * spread and low < multiplier < high:
        low, high = (multiplier, high) if error(multiplier) < 0 else (low, multiplier)
        multiplier = (low + high) / 2
    return log_tilted(multiplier).to(log_p.dtype), log_p.new_tensor(multiplier)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_information_projection", "locked": true, "points": 8, "schema_version": 3, "solution": false}
check("information_projection")

# %% [markdown]
# ## Two moons
#
# The rest is a reward. An object lies in the plane at an unknown point $z$; all we know in advance is
# $z \sim \mathcal{N}(0, 3^2 I)$. Two instruments measure it. One gives the distance from the origin: $2 \pm 0.4$. The
# other gives the coordinate along a slanted axis $u$: $2 \pm 0.6$, but its sign was lost. The posterior of $z$ given
# both has the shape of two moons.
#
# In the plane we can compute this posterior by brute force on a grid. So we know the truth: the normaliser
# $\log p(y)$, the posterior's mean and covariance, and samples from it.

# %%
import functools
import math

from torch.distributions import Normal

from avae_lib import data, plotting

axis = torch.tensor([math.cos(0.5), math.sin(0.5)])
prior_mean, prior_log_std = torch.zeros(2), torch.full((2,), math.log(3.0))


def log_likelihood(z):
    distance, along = z.norm(dim=-1), z @ axis
    reading = Normal(2.0, 0.6)
    either_sign = torch.logaddexp(reading.log_prob(along), reading.log_prob(-along)) - math.log(2)
    return Normal(2.0, 0.4).log_prob(distance) + either_sign


# %%
def log_joint(z):
    return log_likelihood(z) + Normal(prior_mean, prior_log_std.exp()).log_prob(z).sum(-1)


def log_posterior(z):
    return log_joint(z) - log_evidence


side = torch.linspace(-4, 4, 321)
places = torch.cartesian_prod(side, side)
log_evidence = torch.logsumexp(log_joint(places), 0) + 2 * (side[1] - side[0]).log()
mass = log_joint(places).softmax(0)
posterior_mean = mass @ places
posterior_cov = (places - posterior_mean).T @ (mass.unsqueeze(1) * (places - posterior_mean))
print(f"log p(y) = {log_evidence:.3f} nats; covariance of the posterior {posterior_cov.tolist()}")

# %% [markdown]
# ### Both ways, as a film
#
# The family is the Gaussians with independent coordinates. Both fits start at the same random point, use the same
# optimiser, and see 100 random points in each update.
#
# * **Reverse.** $\mathrm{KL}(q \,\|\, p)$ with $p = p(z \mid y)$. Since
#   $\log p(z \mid y) = \log p(z) + \log p(y \mid z) - \log p(y)$, we minimise
#   $\mathrm{KL}(q \,\|\, \text{prior}) - \mathbb{E}_q \log p(y \mid z)$, with *your* `kl_diagonal_gaussian` in it. The
#   points are draws from $q$.
# * **Forward.** $\mathrm{KL}(p \,\|\, q)$, that is, $-\mathbb{E}_p \log q$ plus a constant. The points are draws from the
#   posterior.

# %% fast="updates = 60"
updates = 600


# %%
def points_of_q(mean, log_std, n):
    return mean + torch.randn(n, 2) * log_std.exp()


def points_of_posterior(n):
    return places[torch.multinomial(mass, n, replacement=True)]


def log_q(z, mean, log_std):
    return Normal(mean, log_std.exp()).log_prob(z).sum(-1)


def reverse_loss(mean, log_std):
    kl_to_prior = kl_diagonal_gaussian(mean, log_std, prior_mean, prior_log_std)
    return kl_to_prior - log_likelihood(points_of_q(mean, log_std, 100)).mean()


# %%
def forward_loss(mean, log_std):
    return -log_q(points_of_posterior(100), mean, log_std).mean()


@functools.cache  # run this cell again to fit anew
def path_of(loss, seed=0):
    """The Gaussians on the way to the smallest loss, one for each update: (mean, log_std)."""
    torch.manual_seed(seed)
    mean = torch.randn(2).requires_grad_()
    log_std = torch.tensor([-0.7, -0.7], requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_std], lr=0.02)
    path = [(mean.detach().clone(), log_std.detach().clone())]
    for _ in range(updates):
        optimizer.zero_grad()
        loss(mean, log_std).backward()
        optimizer.step()
        path.append((mean.detach().clone(), log_std.detach().clone()))
    return path


# %% [markdown]
# The title of each picture gives the estimate of *your* `kl_monte_carlo` from 4,000 draws, with two standard errors.
# Press ▶.


# %% tags=["picture-moons"]
def kl_with_error(log_ratio):
    estimate, error = kl_monte_carlo(log_ratio, torch.zeros_like(log_ratio), "k1")
    return f"{estimate:.2f} ± {2 * error:.2f}"


def picture(moment):
    (m, s), (n, t) = path_of(reverse_loss)[moment], path_of(forward_loss)[moment]
    z, x = points_of_q(m, s, 4000), points_of_posterior(4000)
    reverse = "KL(q‖p) = " + kl_with_error(log_q(z, m, s) - log_posterior(z))
    forward = "KL(p‖q) = " + kl_with_error(log_posterior(x) - log_q(x, n, t))
    fits = {reverse: (m, torch.diag((2 * s).exp())), forward: (n, torch.diag((2 * t).exp()))}
    return plotting.gaussian_fits(log_posterior, fits)


moments = sorted({round(updates * share**2) for share in torch.linspace(0, 1, 16).tolist()})
frames = [picture(moment) for moment in moments]
plotting.slider(frames, moments, "update", start=len(moments) - 1, seconds_per_frame=0.3)

# %% tags=["build-check"]
(m, s), (n, t) = path_of(reverse_loss)[-1], path_of(forward_loss)[-1]
torch.manual_seed(2)
z = points_of_q(m, s, 100_000)
assert abs((log_q(z, m, s) - log_posterior(z)).mean() - 1.2) < 0.05
assert n.norm() < 0.2 and log_posterior(n) < log_posterior(m) - 2, "the forward fit is centred where nothing is"

# %% [markdown]
# **What you should see** (some frames of the film):
#
# ![Two grey crescents, twice: an ellipse settles on one of them on the left, and over both on the right](pictures/moons.png)
#
# The reverse fit chooses a moon. It ends at about $1.2$ nats: $\log 2 \approx 0.69$ is the price of ignoring the other
# moon, and the rest is there because a moon is not an ellipse. The forward fit covers both moons and puts its centre
# where there is nothing.

# %% [markdown]
# ### Other starts
#
# Which moon does the reverse fit choose? That depends on the start. Here is where six reverse fits end.

# %% fast="seeds = range(2)"
seeds = range(6)

# %%
for seed in seeds:
    m, s = path_of(reverse_loss, seed)[-1]
    z = points_of_q(m, s, 4000)
    moon = "upper right" if m @ axis > 0 else "lower left"
    kl = kl_with_error(log_q(z, m, s) - log_posterior(z))
    print(f"seed {seed}: {moon} moon, KL(q‖p) = {kl} nats")

# %% tags=["build-check"]
ends = [path_of(reverse_loss, seed)[-1] for seed in seeds]
drawn = [points_of_q(m, s, 50_000) for m, s in ends]
kls = [(log_q(z, *end) - log_posterior(z)).mean().item() for z, end in zip(drawn, ends, strict=True)]
assert len({bool(m @ axis > 0) for m, _ in ends}) == 2 and max(kls) - min(kls) < 0.05
one, other = (next(i for i, (m, _) in enumerate(ends) if (m @ axis > 0) == side_of) for side_of in (True, False))
z = torch.cat([drawn[one], drawn[other]])  # question 1 (b): half of each
log_mixture = torch.logaddexp(log_q(z, *ends[one]), log_q(z, *ends[other])) - math.log(2)
assert abs((log_mixture - log_posterior(z)).mean() - 0.5) < 0.05

# %% [markdown]
# **You should see** both moons, and the same KL for all seeds to within a few hundredths. Nothing in one fit tells you
# that there is another moon. Keep the two kinds of end in mind for question 1.

# %% [markdown]
# ### Where the films must end
#
# The forward fit needed no film. It matches moments, and *your* `forward_kl_projection` gives the answer at once. Of
# all Gaussians *with* correlation, the forward fit is the one with the posterior's mean and covariance. Project that
# one both ways, and let *your* `kl_gaussian` compute what each projection loses.

# %%
full = (posterior_mean, posterior_cov)
in_film, projected = path_of(forward_loss)[-1][1].exp(), forward_kl_projection(*full)[1].exp()
for name, (first, second) in {"end of the film": in_film, "your projection": projected}.items():
    print(f"standard deviations, {name}: {first:.2f} and {second:.2f}")


# %%
@functools.cache  # run this cell again to project anew
def projections():
    (m, s), (n, t) = forward_kl_projection(*full), reverse_kl_projection(*full)
    return {"forward": (m, torch.diag((2 * s).exp())), "reverse": (n, torch.diag((2 * t).exp()))}


for name, projection in projections().items():
    there, back = kl_gaussian(*projection, *full), kl_gaussian(*full, *projection)
    print(f"{name} projection: KL(q‖full) = {there:.3f}, KL(full‖q) = {back:.3f} nats")

# %% tags=["picture-projections"]
plotting.show(plotting.gaussian_fits(log_posterior, {"full covariance": full} | projections()))

# %% tags=["build-check"]
assert (in_film - projected).abs().max() < 0.05
kl_to_full = {name: kl_gaussian(*projection, *full) for name, projection in projections().items()}
kl_of_full = {name: kl_gaussian(*full, *projection) for name, projection in projections().items()}
assert kl_to_full["reverse"] < kl_to_full["forward"] and kl_of_full["forward"] < kl_of_full["reverse"]

# %% [markdown]
# **What you should see:** standard deviations that agree to a few hundredths; the forward projection with the smaller
# $\mathrm{KL}(\text{full} \,\|\, q)$ and the reverse one with the smaller $\mathrm{KL}(q \,\|\, \text{full})$; and
#
# ![Three panels: the two crescents under a tilted ellipse, an upright wide one, and an upright narrower one](pictures/projections.png)

# %% [markdown]
# ### Three estimates of one number
#
# How far from the posterior is the end of the reverse film? Here are all three estimators, with more and more samples,
# next to the truth from the grid.

# %% tags=["picture-estimates"]
mean, log_std = path_of(reverse_loss)[-1]
at_places = log_q(places, mean, log_std)
exact = (at_places.exp() * (at_places - log_posterior(places))).sum() * (side[1] - side[0]) ** 2
counts = [30, 100, 300, 1000, 3000, 10_000]
torch.manual_seed(1)
drawn = [points_of_q(mean, log_std, n) for n in counts]
estimates = {
    name: [kl_monte_carlo(log_q(z, mean, log_std), log_posterior(z), name) for z in drawn]
    for name in ("k1", "k2", "k3")
}
plotting.show(plotting.estimates_with_errors(counts, estimates, exact=exact.item()))

# %% tags=["build-check"]
last = {name: pairs[-1] for name, pairs in estimates.items()}
assert abs(last["k1"][0] - exact) < 3 * last["k1"][1] + 0.01
assert 0.45 < exact - last["k3"][0] < 0.65 and 2 * last["k3"][1] < 0.05
assert abs((log_posterior(drawn[-1]) - log_q(drawn[-1], mean, log_std)).exp().mean() - 0.45) < 0.1

# %% [markdown]
# **What you should see:**
#
# ![Three series of points with error bars that shrink to the right; only k1 ends at the dotted line](pictures/estimates.png)
#
# $k_3$ is unbiased in theory, and its small error bars are half a nat away from the truth. Section 6 of the lecture
# explains it: the samples never visit the other moon, so the average of $r$ over them is below ½ and not 1.

# %% [markdown]
# ## Light pens and heavy pens
#
# A pile of 1,500 handwritten digits; $p$ picks one at random. $v$ is the share of ink on the page. Now ask for the same
# pile, changed as little as possible, in which the average ink is 70 %, 85 %, 115 % or 130 % of what it was. *Your*
# `information_projection` computes it. No image is changed; some only become more likely than others.

# %%
pile = data.load("digits").train.float()
ink = pile.mean(dim=(1, 2, 3)).double() / 15
log_p = torch.full((len(pile),), -math.log(len(pile)), dtype=torch.float64)


@functools.cache  # run this cell again to tilt anew
def tilted(share):
    return information_projection(log_p, ink, share * ink.mean().item(), 1e-9)


for share in (0.7, 0.85, 1.15, 1.3):
    log_q_of_ink, multiplier = tilted(share)
    nats = kl_categorical(log_q_of_ink.exp(), log_p.exp())
    left = f"as if {len(pile) / nats.exp():.0f} images were left"
    print(f"{share:.0%} ink: λ = {multiplier:6.1f}, KL(q‖p) = {nats:.2f} nats, {left}")

# %% tags=["picture-ink"]
torch.manual_seed(4)
frame = torch.nn.ConstantPad2d(1, 0)  # a dark edge, which keeps neighbouring pictures apart
piles = {f"{share:.0%} ink": tilted(share)[0].exp() for share in (0.7, 0.85, 1.15, 1.3)}
pens = {name: frame(pile[q.multinomial(9)]) for name, q in piles.items()}
plotting.show(plotting.image_rows(pens, bits=4, inches_per_image=0.6))

# %% tags=["build-check"]
shown = [images.float().mean().item() for images in pens.values()]
assert shown == sorted(shown)
for (name, q), share in zip(piles.items(), (0.7, 0.85, 1.15, 1.3), strict=True):
    assert abs(q @ ink / ink.mean() - share) < 1e-6, name

# %% [markdown]
# **What you should see:**
#
# ![Four rows of nine digits, thin and grey in the first row, bold and white in the last](pictures/ink.png)
#
# The further the target is from the original mean, the larger is $|\lambda|$, and the more of the pile is given up:
# $e^{-\mathrm{KL}}$ is the share of images that are effectively left. You will meet this tilt again: with minus an
# energy for $v$ it is the Boltzmann distribution, and with $v = \log p(\text{label} \mid \text{image})$ it is what
# "guided" image generators aim at.

# %% [markdown]
# ## Question 1
#
# Your six reverse fits end on two different moons. A colleague suggests using both: $q = w\, q_1 + (1 - w)\, q_2$, with
# one end on each moon. Write $K_i = \mathrm{KL}(q_i \,\|\, p)$.
#
# * (a) Let the two Gaussians have practically no overlap. Show that
#
#   $$\mathrm{KL}(q \,\|\, p) = w\,(K_1 + \log w) + (1 - w)\,(K_2 + \log (1 - w)).$$
#
# * (b) How many nats is that for the moons above with $w = \tfrac12$, and why is it not zero?
# * (c) On another posterior the second moon holds less mass, and $K_1 = 0.8$, $K_2 = 1.9$. Which $w$ is best, and what
#   is the KL then?
# * (d) In real problems $\log p(y)$ is unknown. Why can you still find this $w$?
#
# A few lines each. (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) Where q1 lives, q2 is practically zero, so log q = log w + log q1 there, and likewise for q2. The average over q is
# w times the average over q1 plus (1 − w) times that over q2: w E_q1[log w + log q1 − log p] + (1 − w) E_q2[log (1 − w) +
# log q2 − log p], which is the formula. (b) K1 = K2 = 1.2, so 1.2 − log 2 = 0.5 nats. The price of the missing moon is
# gone; what is left is that each half of p is a moon and each half of q an ellipse with axes along the coordinates. (c)
# Set the derivative to zero: K1 + log w = K2 + log (1 − w), so w is proportional to exp(−K1) and 1 − w to exp(−K2):
# w = 1 / (1 + exp(−1.1)) = 0.75. Both brackets then equal −log(e^−0.8 + e^−1.9), so the KL is 0.51. (d) An unknown
# log p(y) adds the same constant to K1 and K2 (KL = log p(y) − ELBO), which cancels in w: w is proportional to
# exp(ELBO1), 1 − w to exp(ELBO2).
#
# *Rubric.* 1 point: (a) with the reason that log q splits where the parts do not overlap. 1 point: (b) 1.2 − 0.69 = 0.5
# (± 0.05) and that the rest is the shape of a moon; half for one of the two. 1 point: (c) w = 0.75 with a derivation
# (derivative, or the tilted form of exercise 7), and KL = 0.51; half for w alone or for a guess with the right direction.
# 1 point: (d) the same constant in both, or the ELBOs.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * Try out question 1: mix the fits of two seeds and estimate the KL of the mixture with `kl_monte_carlo`.
# * Give $q$ a full covariance: write it with a Cholesky factor, and replace the KL to the prior by `kl_gaussian`.
# * `information_projection` with the *label* of the image as $v$: which digits do you get with an average of 7.5?
# * Hand in `01_kl_divergence.ipynb` as unit 00 explains.
