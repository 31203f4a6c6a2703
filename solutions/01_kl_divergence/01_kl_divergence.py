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
# Six functions: the KL divergence of categorical distributions and of Gaussians, an estimate from samples with
# its error bar, and the two ways to replace a correlated Gaussian by a simple one. You write the six. Then a
# Gaussian of your making settles on a posterior that is shaped like two moons, in both directions of the KL, as a
# film.
#
# | exercise | | difficulty | importance | time |
# |---|---|---|---|---|
# | 1 | `kl_categorical` | 2 of 5 | 4 of 5 | 15 min |
# | 2 | `kl_diagonal_gaussian` | 1 of 5 | 5 of 5 | 10 min |
# | 3 | `kl_gaussian` | 3 of 5 | 3 of 5 | 20 min |
# | 4 | `kl_monte_carlo` | 2 of 5 | 4 of 5 | 15 min |
# | 5 | `reverse_kl_projection` | 2 of 5 | 4 of 5 | 10 min |
# | 6 | `forward_kl_projection` | 1 of 5 | 3 of 5 | 5 min |
# | | pictures and question 1 | | | 25 min |
#
# **You need** lecture 01, and unit 00 for how an exercise works. **Conventions:** $q$ is the distribution that is
# averaged over, $p$ the other one; $\log$ is the natural logarithm, so divergences come in *nats*. `*batch`
# stands for any number of leading dimensions, none included: one result for each of them. Standard deviations
# travel as `log_std` $= \log \sigma$ (not $\log \sigma^2$). Inputs are tensors of floating-point numbers and are
# valid: probabilities sum to one, covariances are symmetric and positive definite.

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
# The formula is one line; the zeros are the exercise. An outcome with $q_k = 0$ contributes nothing, whatever
# $p_k$ is ($0 \log 0 = 0$, also if $p_k = 0$). An outcome with $q_k > 0$ and $p_k = 0$ makes the divergence of
# its pair infinite, and that of no other pair. A small constant inside the logarithm would avoid the NaN, and
# give a wrong answer to both.
#
# ```python
# kl_categorical(q, p)  # both (*batch, outcomes), probabilities  →  (*batch) nats, in the dtype of the inputs
# ```
#
# {{cases of kl_categorical}}
#
# <details><summary>Hint 1</summary>
#
# In floating point `0 * log(0)` is 0 · (−∞), which is NaN. Where $q_k = 0$ you know the contribution without
# computing it. What has to happen at those places?
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.where(q > 0, …, 0.0)` picks the contribution where it counts. Where $p_k = 0 < q_k$, `q / p` is `inf`,
# and so is its logarithm: nothing more to do. Sum over the last dimension.
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_categorical", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_categorical")
def kl_categorical(q, p):
    """KL(q‖p) between distributions over finitely many outcomes, in nats.

    q, p: probabilities, (*batch, outcomes), each distribution summing to one; zeros are allowed in both.
    Returns one divergence for each pair, (*batch), in the precision of the inputs, which are not changed;
    infinite where q is positive and p is zero. Gradients reach q and p where all probabilities are positive.
    """
    ### BEGIN SOLUTION
    contributions = q * torch.log(q / p)
    return torch.where(q > 0, contributions, 0.0).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_categorical", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("kl_categorical")

# %% [markdown]
# ## Exercise 2: `kl_diagonal_gaussian`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the regulariser of every VAE in this course | 1 of 5 | 5 of 5 | 10 minutes |
#
# Two Gaussians with independent coordinates; equation (12) of the lecture:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_d \Bigl[ \log \frac{\sigma_{p,d}}{\sigma_{q,d}}
#   + \frac{\sigma_{q,d}^2 + (\mu_{q,d} - \mu_{p,d})^2}{2 \sigma_{p,d}^2} - \frac12 \Bigr].$$
#
# You are given logarithms of standard deviations, because networks put them out. They may lie anywhere between
# −12 and 8.
#
# ```python
# kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std)  # four times (*batch, dim)  →  (*batch) nats
# ```
#
# {{cases of kl_diagonal_gaussian}}
#
# <details><summary>Hint 1</summary>
#
# The first term needs no logarithm to be computed: what is $\log (\sigma_p / \sigma_q)$ in terms of `p_log_std`
# and `q_log_std`?
# </details>
# <details><summary>Hint 2</summary>
#
# $\sigma^2 =$ `(2 * log_std).exp()`. Every coordinate has its own $-\frac12$. Sum over the last dimension, and
# over no other.
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_diagonal_gaussian", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_diagonal_gaussian")
def kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std):
    """KL(q‖p) between diagonal Gaussians, in nats, summed over the last dimension.

    q_mean, p_mean: means, (*batch, dim).
    q_log_std, p_log_std: logarithms of the standard deviations (not of the variances), same shape, from −12 to 8.
    Returns one divergence for each pair, (*batch), in the precision of the inputs, which are not changed.
    Gradients reach all four.
    """
    ### BEGIN SOLUTION
    q_variance, p_variance = (2 * q_log_std).exp(), (2 * p_log_std).exp()
    distance = (q_mean - p_mean) ** 2
    return (p_log_std - q_log_std + (q_variance + distance) / (2 * p_variance) - 0.5).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_kl_diagonal_gaussian", "locked": true, "points": 6, "schema_version": 3, "solution": false}
check("kl_diagonal_gaussian")

# %% [markdown]
# ## Exercise 3: `kl_gaussian`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the same with correlations, without a determinant and without an inverse | 3 of 5 | 3 of 5 | 20 minutes |
#
# With full covariances it is equation (14) of the lecture:
#
# $$\mathrm{KL}(q \,\|\, p) = \frac12 \Bigl[ \operatorname{tr}\bigl(\Sigma_p^{-1} \Sigma_q\bigr)
#   + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) - D + \log \frac{\det \Sigma_p}{\det \Sigma_q} \Bigr].$$
#
# Determinants of large covariances overflow or round to zero, and covariances may be nearly singular. So take the
# Cholesky factors, $\Sigma = L L^\top$, and write every term with them, as in equation (15). Triangular systems
# are solved by `torch.linalg.solve_triangular`; nothing has to be inverted, and all of it works on batches.
#
# ```python
# kl_gaussian(q_mean, q_cov, p_mean, p_cov)  # means (*batch, dim), covariances (*batch, dim, dim)
#                                            # →  (*batch) nats
# ```
#
# {{cases of kl_gaussian}}
#
# <details><summary>Hint 1</summary>
#
# The trace is the sum of the squares of all entries of $L_p^{-1} L_q$; the quadratic form is that of the vector
# $L_p^{-1} (\mu_q - \mu_p)$; and $\log \det \Sigma$ is twice the sum of the logarithms on the diagonal of $L$.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.solve_triangular(l_p, b, upper=False)` gives $L_p^{-1} b$ for a matrix `b`; `unsqueeze(-1)` makes
# one of a vector. Diagonals of a batch: `l.diagonal(dim1=-2, dim2=-1)`. Sums over a matrix: `sum((-2, -1))`.
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_gaussian", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_gaussian")
def kl_gaussian(q_mean, q_cov, p_mean, p_cov):
    """KL(q‖p) between Gaussians with full covariances, in nats.

    q_mean, p_mean: means, (*batch, dim).
    q_cov, p_cov: symmetric positive definite covariances, (*batch, dim, dim), as they are: nothing is added to them.
    Returns one divergence for each pair, (*batch), in the precision of the inputs, which are not changed.
    Gradients reach all four.
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
# | estimate a KL from samples, and say how far to trust it | 2 of 5 | 4 of 5 | 15 minutes |
#
# Samples $x_1 \dots x_n$ come from $q$; you are given both log-densities at each. With $r = p(x) / q(x)$ the
# estimate is the mean over the samples of
#
# $$k_1 = -\log r, \qquad k_2 = \tfrac12 (\log r)^2, \qquad k_3 = (r - 1) - \log r,$$
#
# whichever is asked for, and its standard error is the standard deviation of these same $n$ numbers, divided by
# $\sqrt n$. (With $n - 1$ in the variance; with $n$ it makes no difference for the sizes used here.) In many
# dimensions log-densities are in the hundreds, positive or negative: only their difference is harmless.
#
# ```python
# kl_monte_carlo(q_log_prob, p_log_prob, estimator)  # (samples,), (samples,), "k1" | "k2" | "k3"
#                                                    # →  estimate and standard error, two scalars, nats
# ```
#
# {{cases of kl_monte_carlo}}
#
# <details><summary>Hint 1</summary>
#
# First make the one tensor that all three need, $\log r$. Then the $n$ terms of the estimator that is asked for.
# Mean and standard error are the same two lines for all three.
# </details>
# <details><summary>Hint 2</summary>
#
# `log_r = p_log_prob - q_log_prob`; $r - 1$ is `torch.expm1(log_r)`. Return two things:
# `terms.mean(), terms.std() / len(terms) ** 0.5`.
# </details>


# %% nbgrader={"grade": false, "grade_id": "kl_monte_carlo", "locked": false, "schema_version": 3, "solution": true}
@implements("kl_monte_carlo")
def kl_monte_carlo(q_log_prob, p_log_prob, estimator):
    """KL(q‖p) estimated from samples x ~ q, and the standard error of the estimate, both in nats.

    q_log_prob, p_log_prob: log q and log p of the samples, (samples,), finite, at least two of them.
    estimator: "k1", "k2" or "k3".
    Returns the estimate and its standard error, two scalars, in the precision of the inputs, which are not changed.
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
# A Gaussian $p = \mathcal{N}(\mu, \Sigma)$ is correlated; $q = \mathcal{N}(m, \operatorname{diag} \sigma^2)$ must
# not be. Find the $q$ with the smallest $\mathrm{KL}(q \,\|\, p)$: equation (22) of the lecture.
#
# ```python
# reverse_kl_projection(mean, cov)  # (dim,), (dim, dim)  →  mean and log_std of q, both (dim,)
# ```
#
# {{cases of reverse_kl_projection}}
#
# <details><summary>Hint 1</summary>
#
# The variance of coordinate $d$ is one over the $d$-th diagonal entry of the precision $\Sigma^{-1}$, which is
# not one over the diagonal of $\Sigma$. What is $\log \sigma_d$ then?
# </details>
# <details><summary>Hint 2</summary>
#
# $\log \sigma_d = -\frac12 \log (\Sigma^{-1})_{dd}$. With $\Sigma = L L^\top$ the diagonal of
# $\Sigma^{-1} = L^{-\top} L^{-1}$ holds the sums of squares of the *columns* of $L^{-1}$;
# `torch.cholesky_inverse(l)` gives $\Sigma^{-1}$ as a whole.
# </details>


# %% nbgrader={"grade": false, "grade_id": "reverse_kl_projection", "locked": false, "schema_version": 3, "solution": true}
@implements("reverse_kl_projection")
def reverse_kl_projection(mean, cov):
    """The diagonal Gaussian q with the smallest KL(q‖p) from the Gaussian p with the given mean and covariance.

    mean: (dim,). cov: symmetric positive definite, (dim, dim), perhaps nearly singular.
    Returns mean and log standard deviation of q, two tensors (dim,), in the precision of the inputs, which are not
    changed.
    """
    ### BEGIN SOLUTION
    precision = torch.cholesky_inverse(torch.linalg.cholesky(cov))
    return mean.clone(), -0.5 * precision.diagonal().log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_reverse_kl_projection", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("reverse_kl_projection")

# %% [markdown]
# ## Exercise 6: `forward_kl_projection`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | the factorised Gaussian that matches the marginals | 1 of 5 | 3 of 5 | 5 minutes |
#
# The same with the smallest $\mathrm{KL}(p \,\|\, q)$: equation (24) of the lecture.
#
# ```python
# forward_kl_projection(mean, cov)  # (dim,), (dim, dim)  →  mean and log_std of q, both (dim,)
# ```
#
# {{cases of forward_kl_projection}}
#
# <details><summary>Hint 1</summary>
#
# Which variances does a distribution have whose single coordinates are distributed as those of $p$?
# </details>
# <details><summary>Hint 2</summary>
#
# $\sigma_d^2 = \Sigma_{dd}$, and the logarithm of a root is half the logarithm.
# </details>


# %% nbgrader={"grade": false, "grade_id": "forward_kl_projection", "locked": false, "schema_version": 3, "solution": true}
@implements("forward_kl_projection")
def forward_kl_projection(mean, cov):
    """The diagonal Gaussian q with the smallest KL(p‖q) from the Gaussian p with the given mean and covariance.

    mean: (dim,). cov: symmetric positive definite, (dim, dim).
    Returns mean and log standard deviation of q, two tensors (dim,), in the precision of the inputs, which are not
    changed.
    """
    ### BEGIN SOLUTION
    variances = cov.diagonal()
    return mean.clone(), 0.5 * variances.log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_forward_kl_projection", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("forward_kl_projection")

# %% [markdown]
# ## Two moons
#
# The rest is a reward. Something lies in the plane at an unknown place $z$, about which nothing is known but
# $z \sim \mathcal{N}(0, 3^2 I)$. Two instruments report. One measures the distance from the origin, $2 \pm 0.4$.
# The other measures the coordinate along a slanted axis $u$, $2 \pm 0.6$, but its sign got lost. What is known
# then about $z$, the posterior, has the shape of two moons.
#
# In the plane a posterior can be computed by brute force, on a grid, so that we know the truth: its normaliser
# $\log p(y)$, its mean and covariance, and samples from it.

# %%
import functools
import math
import os

from torch.distributions import Normal

from avae_lib import plotting

axis = torch.tensor([math.cos(0.5), math.sin(0.5)])
prior_mean, prior_log_std = torch.zeros(2), torch.full((2,), math.log(3.0))
updates = 60 if "AVAE_FAST" in os.environ else 600  # the short way is for automatic tests


def log_likelihood(z):
    distance, along = z.norm(dim=-1), z @ axis
    either_sign = torch.logaddexp(Normal(2.0, 0.6).log_prob(along), Normal(2.0, 0.6).log_prob(-along))
    return Normal(2.0, 0.4).log_prob(distance) + either_sign - math.log(2)


def log_joint(z):
    return log_likelihood(z) + Normal(prior_mean, prior_log_std.exp()).log_prob(z).sum(-1)


side = torch.linspace(-4, 4, 321)
places = torch.cartesian_prod(side, side)
log_evidence = torch.logsumexp(log_joint(places), 0) + 2 * (side[1] - side[0]).log()


def log_posterior(z):
    return log_joint(z) - log_evidence


mass = log_joint(places).softmax(0)
posterior_mean = mass @ places
posterior_cov = (places - posterior_mean).T @ (mass.unsqueeze(1) * (places - posterior_mean))
print(f"log p(y) = {log_evidence:.3f} nats; covariance of the posterior {posterior_cov.tolist()}")

# %% [markdown]
# ### Both ways, as a film
#
# The family: Gaussians with independent coordinates. Both fits start at the same place, take the same optimiser,
# and see 100 random points for each update.
#
# * **Reverse.** $\mathrm{KL}(q \,\|\, p)$ with $p = p(z \mid y)$. Split
#   $\log p(z \mid y) = \log p(z) + \log p(y \mid z) - \log p(y)$: what is left to minimise is
#   $\mathrm{KL}(q \,\|\, \text{prior}) - \mathbb{E}_q \log p(y \mid z)$, with *your* `kl_diagonal_gaussian` in
#   it. The points are draws from $q$.
# * **Forward.** $\mathrm{KL}(p \,\|\, q)$, that is, $-\mathbb{E}_p \log q$ and a constant. The points are draws
#   from the posterior.
#
# Above each picture stands what *your* `kl_monte_carlo` makes of 4,000 draws.


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


def forward_loss(mean, log_std):
    return -log_q(points_of_posterior(100), mean, log_std).mean()


@functools.cache  # run this cell again to fit anew
def path_of(loss, seed=0):
    """The Gaussians on the way to the smallest loss, one for each update: (mean, log_std)."""
    torch.manual_seed(seed)
    mean = torch.tensor([0.5, -0.5], requires_grad=True)
    log_std = torch.tensor([-0.7, -0.7], requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_std], lr=0.02)
    path = [(mean.detach().clone(), log_std.detach().clone())]
    for _ in range(updates):
        optimizer.zero_grad()
        loss(mean, log_std).backward()
        optimizer.step()
        path.append((mean.detach().clone(), log_std.detach().clone()))
    return path


# %% tags=["picture-moons"]
def picture(moment):
    (m, s), (n, t) = path_of(reverse_loss)[moment], path_of(forward_loss)[moment]
    z, x = points_of_q(m, s, 4000), points_of_posterior(4000)
    reverse = "KL(q‖p) = {:.2f} ± {:.2f} nats".format(*kl_monte_carlo(log_q(z, m, s), log_posterior(z), "k1"))
    forward = "KL(p‖q) = {:.2f} ± {:.2f} nats".format(*kl_monte_carlo(log_posterior(x), log_q(x, n, t), "k1"))
    fits = {reverse: (m, torch.diag((2 * s).exp())), forward: (n, torch.diag((2 * t).exp()))}
    return plotting.gaussian_fits(log_posterior, fits)


moments = sorted({round(updates * share**2) for share in torch.linspace(0, 1, 16).tolist()})
plotting.slider(
    [picture(moment) for moment in moments],
    moments,
    "update",
    caption="A Gaussian settles on a posterior of two moons. Left by the reverse KL, right by the forward KL.",
    alt="Two grey crescents, twice. On the left an ellipse shrinks onto one of them, on the right it grows over both",
    seconds_per_frame=0.3,
)

# %% [markdown]
# **What you should see** (press ▶; below the film, three of its pictures):
#
# ![Two grey crescents, twice: an ellipse settles on one of them on the left, and over both on the right](pictures/moons.png)
#
# The reverse fit chooses a moon. It ends at about $1.2$ nats, of which $\log 2 \approx 0.69$ are the price of
# ignoring the other one, and the rest that a moon is no ellipse. The forward fit covers both, and is most
# confident where nothing can be.

# %% [markdown]
# ### Where the films had to end
#
# The forward fit needed no film: it matches moments, and *your* `forward_kl_projection` knows the answer. And of
# all Gaussians *with* correlation the forward fit is the one with the posterior's mean and covariance. Project
# that one both ways, and let *your* `kl_gaussian` say what each projection loses.

# %% tags=["picture-projections"]
forward_mean, forward_log_std = forward_kl_projection(posterior_mean, posterior_cov)
reverse_mean, reverse_log_std = reverse_kl_projection(posterior_mean, posterior_cov)
print("standard deviations, end of the film:", [f"{std:.2f}" for std in path_of(forward_loss)[-1][1].exp().tolist()])
print("standard deviations, your projection:", [f"{std:.2f}" for std in forward_log_std.exp().tolist()])

full = (posterior_mean, posterior_cov)
projections = {
    "forward": (forward_mean, torch.diag((2 * forward_log_std).exp())),
    "reverse": (reverse_mean, torch.diag((2 * reverse_log_std).exp())),
}
for name, projection in projections.items():
    there, back = kl_gaussian(*projection, *full), kl_gaussian(*full, *projection)
    print(f"{name} projection: KL(q‖full) = {there:.3f}, KL(full‖q) = {back:.3f} nats")
plotting.show(
    plotting.gaussian_fits(log_posterior, {"full covariance": full} | projections),
    caption="The Gaussian with the posterior's moments, and its projections onto independent coordinates.",
    alt="The two crescents three times: under a tilted ellipse, an upright wide one, and an upright narrower one.",
)

# %% [markdown]
# **What you should see:** standard deviations that agree to a few hundredths; the forward projection smallest in
# $\mathrm{KL}(\text{full} \,\|\, q)$ and the reverse one in $\mathrm{KL}(q \,\|\, \text{full})$; and
#
# ![Three panels: the two crescents under a tilted ellipse, an upright wide one, and an upright narrower one](pictures/projections.png)

# %% [markdown]
# ### Three estimates of one number
#
# How far from the posterior is the end of the reverse film? Estimate it with all three estimators, from more and
# more samples, next to the truth by the grid.

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
plotting.show(
    plotting.estimates_with_errors(counts, estimates, exact=exact.item()),
    caption="Three estimates of KL(q‖p) for the end of the reverse film, with bars of two standard errors.",
    alt="Three series of points with error bars that shrink to the right; only k1 ends at the dotted line.",
)

# %% [markdown]
# **What you should see:**
#
# ![Three series of points with error bars that shrink to the right; only k1 ends at the dotted line](pictures/estimates.png)

# %% [markdown]
# ## Question 1
#
# *In the last picture two estimators that the lecture calls unbiased, $k_1$ and $k_3$, differ by about half a
# nat, and with 10,000 samples both have small error bars. (a) Which one is right, and how can you tell without
# the dotted line? (b) Where does the other lose its half nat? Argue with $\mathbb{E}_q[r]$. (c) Why does its
# standard error give no warning? (d) Name one number that you would have printed, from the same samples, to be
# warned. Four to six sentences.* (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# k1 is right: it is the average of log q − log p itself, over points where q lives, and needs no part of p that q
# does not visit. One can tell that about log 2 = 0.69 nats have to be in it, because q sits on one of two equal
# moons; k3 is below that, so it cannot be right. k3 adds r − 1, whose average is zero only if E_q[r] = 1. But
# E_q[r] is the mass of p that the samples of q reach: on one moon that is about one half, so k3 is too small by
# one half. In theory q, a Gaussian, is positive everywhere, and E_q[r] is 1, carried by samples on the other
# moon; these have a probability of less than one in a billion and an enormous r, so none of them is ever drawn.
# The standard error is computed from the samples that were drawn. It measures how much *they* vary and can know
# nothing of those that are missing. The mean of r over the samples gives the warning: it should be 1 and is about
# ½.
#
# *Rubric.* 1 point: (a) k1, with a reason (log 2 for the missing moon, or: k1 is the definition and needs no r).
# 1 point: (b) E_q[r] over the samples is about ½, the mass of the moon that q covers, and k3 = k1 + mean(r) − 1.
# 1 point: (c) the missing samples are not in the sample variance either. 1 point: (d) the mean of r (should be
# 1), or an equivalent: a comparison of k1 with k3, samples of p, restarts that find the other moon. Half points
# where the effect is right and the reason missing.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * `path_of(reverse_loss, seed=…)` with other seeds: how often does it choose the other moon? What would you report
#   as the posterior?
# * Give $q$ a full covariance: parametrise it by a Cholesky factor, and replace the KL to the prior by
#   `kl_gaussian`.
# * Hand in as unit 00 explains: run everything once from top to bottom, save, and hand in
#   `01_kl_divergence.ipynb`.
