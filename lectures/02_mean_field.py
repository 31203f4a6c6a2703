# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 02: Variational inference and the mean field
#
# Whoever explains data by causes that nobody has seen needs a sum over all causes, and that sum is out of reach. This
# lecture turns the sum into a climb: pick a family of simple distributions, and walk to the best of them. On the way you
# will clean noisy digits, watch a magnet make up its mind, and find the topics of Python's own documentation.
#
# **What you will be able to do**
#
# 1. Say why a posterior is intractable, in directed and in undirected models, and derive the evidence lower bound for
#    both in two ways.
# 2. Derive the coordinate update of mean field for any model, and from it those of the Ising model, of latent Dirichlet
#    allocation and of a Bayesian mixture of Gaussians.
# 3. Put mean field, belief propagation, tree-reweighted belief propagation and annealed importance sampling in order
#    around the true $\log Z$, and say which of them are bounds.
# 4. Predict where mean field fails: strong coupling, symmetry, posteriors with several modes.
# 5. Derive the score-function and the pathwise gradient of the bound, and measure how noisy each of them is.
#
# **What you need first.** KL divergence, its two directions, and estimates by samples (unit 01); sums of independent
# variables; PyTorch tensors. Nothing about physics.
#
# **What it costs.** Two hours to read, with a pencil for the derivations. A minute to run on two CPU cores (50 s of
# processor time), and 1.2 GB of memory. A GPU would not help, since nothing here is large; none was timed.

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
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Dirichlet, Normal, kl_divergence

from avae_lib import data, plotting
from avae_lib.data.documentation import load_documentation
from avae_lib.meanfield.annealed_importance_sampling import annealed_importance_sampling
from avae_lib.meanfield.belief_propagation import belief_propagation, tree_reweighted_belief_propagation
from avae_lib.meanfield.coordinate_ascent import fit_mean_field
from avae_lib.meanfield.ising import enumerate_states
from avae_lib.meanfield.lattice import LatticeIsing, denoising_lattice
from avae_lib.meanfield.mixture_posteriors import GaussianPrior

fast = "AVAE_FAST" in os.environ  # the short way is for automatic tests
generator = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def uniform(*shape):
    return torch.rand(shape, generator=generator, dtype=torch.float64)


# %% [markdown]
# ## 1. Why posteriors are out of reach
#
# **Case 1, directed.** A model tells how causes $z$ come about and how they bring forth what we see, $x$. Its joint
# $p(x, z) = p(z)\, p(x \mid z)$ is easy to evaluate. Inference asks the other way round:
#
# $$p(z \mid x) = \frac{p(x, z)}{p(x)}, \qquad p(x) = \sum_z p(x, z). \tag{1}$$
#
# The numerator is cheap. The denominator, the *evidence*, sums over every combination of causes. Even where the causes
# are independent beforehand, seeing $x$ couples them: if one of them explains $x$, the others need not ("explaining
# away"). So the sum does not fall apart into small ones.
#
# **Case 2, undirected.** A model gives each state a positive *potential*, $\tilde p(s)$, a product of local terms, with
# no promise that they sum to one:
#
# $$p(s) = \frac{\tilde p(s)}{Z}, \qquad Z = \sum_s \tilde p(s). \tag{2}$$
#
# Here not even the joint is known: the *partition function* $Z$ is the same kind of sum. (If potentials depend on
# observations $x$, so does $Z(x)$.)
#
# **Both are one problem.** Call the unknown variables $z$ throughout. Case 1 is case 2 with
#
# $$\tilde p(z) = p(x, z), \qquad Z = p(x), \qquad p(z \mid x) = \tilde p(z) / Z. \tag{3}$$
#
# We can evaluate $\tilde p$ anywhere; we cannot sum it.

# %%
plotting.show(
    plotting.intractable_posteriors(),
    caption="Figure 1. Left: three causes of one observation; given x they depend on one another. Right: spins on a grid, "
    "each coupled to its neighbours. Circles are unknown, the shaded one is observed.",
    alt="Left, three circles z with arrows to a shaded x. Right, nine circles in a grid joined by lines.",
)
for side in (4, 5, 8, 28):
    print(f"{side:2d} × {side:2d} spins: 10^{side * side * math.log10(2):.0f} states to sum over")

# %% [markdown]
# **Two ways out.** *Sampling* (Markov chain Monte Carlo) draws states that in the long run are distributed as $p$;
# *variational inference* searches a family of tractable $q$ for the one nearest to $p$.
#
# | | sampling | variational inference |
# |---|---|---|
# | what it is | simulation | optimisation |
# | answer | averages over states drawn | the parameters of $q$ |
# | with more time | error falls like $1/\sqrt{\text{samples}}$, to zero | settles; the error of the family stays |
# | how one knows it is done | hard to know | the bound stops rising |
# | gives $\log Z$ | only with extra work (annealing) | a lower bound, for free |
# | cost | many sweeps, one state at a time | few sweeps |
#
# Figure 18 will measure the two against each other.

# %% [markdown]
# **Check yourself.** A mixture of two Gaussians with known parameters has the unknown $z \in \{1, 2\}$ for each data
# point. Is $p(z \mid x)$ intractable? And if the means are unknown too?
#
# <details><summary>Answer</summary>
#
# With known parameters, no: the sum in (1) has two terms for each point, and points are independent. With unknown means
# all assignments are coupled through them. Integrating the means out leaves a sum over $2^n$ assignments; not
# integrating them out leaves a continuous posterior with several modes. That is section 9.
# </details>

# %% [markdown]
# ## 2. A bound that can be computed
#
# We want the member $q$ of a family that is nearest to $p$, say in $\mathrm{KL}(q \,\|\, p)$ of unit 01, the direction
# that averages over the distribution we can handle. But
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\bigl[\log q(z) - \log p(z)\bigr] \tag{4}$$
#
# contains $\log p$, hence $\log Z$: the very number we lack. We cannot even say how large the KL of *one* given $q$ is.
#
# **First derivation: take the KL apart.** Put $\log p = \log \tilde p - \log Z$ in; $\log Z$ does not depend on $z$ and
# leaves the expectation:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q[\log q(z)] - \mathbb{E}_q[\log \tilde p(z)] + \log Z. \tag{5}$$
#
# What is unknown is one *constant*. Bring it to the left:
#
# $$\log Z = \mathrm{ELBO}(q) + \mathrm{KL}(q \,\|\, p), \qquad
#   \mathrm{ELBO}(q) = \underbrace{\mathbb{E}_q[\log \tilde p(z)]}_{\text{minus energy}} + \underbrace{\mathrm{H}(q)}_{\text{entropy}}. \tag{6}$$
#
# A KL is never negative (unit 01), so the ELBO never exceeds $\log Z$; and as the left side does not move, *raising the
# ELBO lowers the KL by as much*. For a directed model, (3) makes of it, in the same two lines,
#
# $$\log p(x) = \underbrace{\mathbb{E}_q[\log p(x, z)] + \mathrm{H}(q)}_{\mathrm{ELBO}} + \mathrm{KL}\bigl(q(z) \,\|\, p(z \mid x)\bigr), \tag{7}$$
#
# which is where the name *evidence lower bound* comes from.
#
# **Second derivation: Jensen.** Extend by $q$ and use that the logarithm is concave, so that the logarithm of an average
# is at least the average of logarithms:
#
# $$\log Z = \log \sum_z q(z)\, \frac{\tilde p(z)}{q(z)} \;\ge\; \sum_z q(z) \log \frac{\tilde p(z)}{q(z)}
#   = \mathbb{E}_q[\log \tilde p(z)] - \mathbb{E}_q[\log q(z)] = \mathrm{ELBO}(q). \tag{8}$$
#
# (A $z$ with $q(z) = 0$ but $\tilde p(z) > 0$ drops out of the first sum, which only strengthens the inequality.) The
# directed case reads $\log p(x) = \log \mathbb{E}_q[p(x, z) / q(z)] \ge \mathbb{E}_q[\log p(x, z) - \log q(z)]$. Jensen is
# quicker; the first derivation says more: the gap *is* the KL. Equality holds where $\tilde p / q$ is constant, that is
# $q = p$.
#
# **What each term wants.** The *energy* term $\mathbb{E}_q[\log \tilde p]$ wants $q$ to sit on the best state alone. The
# *entropy* wants $q$ to spread. Without entropy, inference would be a search for the most probable state; without energy, a
# shrug. Physics calls minus the ELBO the *variational free energy*.

# %%
# Two spins that like to be alike (coupling 1.2) in a weak field (0.2): small enough to know everything.
states = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
log_potential = 1.2 * states[:, 0] * states[:, 1] + 0.2 * states.sum(1)
log_z = log_potential.logsumexp(0)
p = (log_potential - log_z).exp()
candidates = {
    "p itself": p,
    "uniform": torch.full((4,), 0.25, dtype=torch.float64),
    "both up": torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64),
    "independent, p's means": torch.outer(*[torch.stack([p[:2].sum(), p[2:].sum()])] * 2).flatten(),
    "independent, 95 % up": torch.outer(*[torch.tensor([0.95, 0.05], dtype=torch.float64)] * 2).flatten(),
}
bounds = {}
for name, q in candidates.items():
    energy, entropy = q @ log_potential, torch.special.entr(q).sum()  # equation (6)
    bounds[name] = (energy + entropy).item()
    kl = (torch.xlogy(q, q) - q * p.log()).sum()
    print(
        f"{name:24s} E[log p̃] {energy:5.2f} + H {entropy:4.2f} = {bounds[name]:5.2f};  + KL {kl:4.2f} = {bounds[name] + kl:5.2f}"
    )

# %%
plotting.show(
    plotting.bound_and_gap(bounds, log_z.item()),
    caption="Figure 2. Equation (6) for five q: ELBO and KL always add up to log Z. Of independent spins, those with the "
    "true means are not the best: KL(q‖p) rather commits itself to one of the two likely states.",
    alt="Five horizontal bars that all end at log Z; the hatched part, the KL, is absent for p itself.",
)

# %% [markdown]
# **Check yourself.** (a) Someone finds an "ELBO" above $\log Z$. Name two bugs that do this. (b) Can the ELBO be used to
# choose between two *models*? (c) Why not minimise $\mathrm{KL}(p \,\|\, q)$ instead?
#
# <details><summary>Answer</summary>
#
# (a) A $q$ that sums to more than one, or an entropy with a factor too many; or a $\tilde p$ that is not the one that
# $\log Z$ belongs to. A bound that is exceeded is the best test of such code there is. (b) With care: it compares
# $\log p(x)$ minus a gap, and the gaps differ. (c) It averages over $p$, which we cannot do; for exponential families it
# asks $q$ to match $p$'s moments, which are what inference is after in the first place. Expectation propagation does
# this piece by piece (section 7).
# </details>

# %% [markdown]
# ## 3. Mean field and coordinate ascent
#
# The oldest family of all lets every variable go its own way:
#
# $$q(z) = \prod_{t=1}^{T} q_t(z_t). \tag{9}$$
#
# No form is prescribed for the factors. Fix all but $q_t$ and ask for the best $q_t$. The entropy of independent
# variables is the sum of their entropies, so
#
# $$\mathrm{ELBO} = \sum_{z_t} q_t(z_t)\, \underbrace{\mathbb{E}_{q_{-t}}\bigl[\log \tilde p(z)\bigr]}_{=:\ \log f_t(z_t)}
#   + \mathrm{H}(q_t) + \sum_{u \ne t} \mathrm{H}(q_u), \tag{10}$$
#
# where $\mathbb{E}_{q_{-t}}$ averages over all variables but $z_t$. The first two terms are
# $\sum q_t \log f_t - \sum q_t \log q_t$. With $F_t = \sum_{z_t} f_t(z_t)$ they become
#
# $$\sum_{z_t} q_t(z_t) \log \frac{f_t(z_t)}{q_t(z_t)} = \log F_t - \mathrm{KL}\bigl(q_t \,\|\, f_t / F_t\bigr). \tag{11}$$
#
# $F_t$ does not depend on $q_t$, and the KL is smallest, zero, for equality. Hence *the* best factor is
#
# $$q_t(z_t) \;\propto\; \exp \mathbb{E}_{q_{-t}}\bigl[\log \tilde p(z)\bigr]. \tag{12}$$
#
# This one line is behind every update of this lecture. Going through all $t$ and repeating is *coordinate ascent
# variational inference* (CAVI). Each update is the exact maximum in its coordinate, so **the ELBO never falls**, and since it is
# bounded by $\log Z$ it converges. To what? To a place where no single factor can improve: not necessarily the highest.
#
# Two warnings. The newest values must be used: updating all factors at once from the old ones may lower the bound or go
# in circles. And independence is a strong demand: where it hurts, leave some dependence in $q$ (whole chains or trees of
# variables as one factor). That is *structured* mean field; (12) holds word for word with $z_t$ a block.

# %% [markdown]
# ## 4. The Ising model
#
# Spins $s_i \in \{-1, 1\}$, a symmetric coupling $J$ with zero diagonal, a field $h$:
#
# $$\tilde p(s) = \exp\Bigl(\tfrac12\, s^\top J s + h^\top s\Bigr). \tag{13}$$
#
# The ½ is there because $s^\top J s$ holds each pair twice, as $J_{ij} s_i s_j$ and as $J_{ji} s_j s_i$.
#
# **The update.** Sort $\log \tilde p$ by $s_i$. In $\tfrac12 \sum_{kj} J_{kj} s_k s_j$ spin $i$ stands once as $k$ and once as
# $j$; both times it meets the same sum, which takes the ½ away:
#
# $$\log \tilde p(s) = s_i \Bigl( h_i + \sum_j J_{ij} s_j \Bigr) + \text{terms without } s_i. \tag{14}$$
#
# Average over the others. They are independent under $q$, with means $m_j = \mathbb{E}_q[s_j]$, and the bracket is linear in
# them:
#
# $$\mathbb{E}_{q_{-i}}[\log \tilde p(s)] = s_i\, a_i + \text{const}, \qquad a_i = h_i + \sum_j J_{ij} m_j. \tag{15}$$
#
# By (12), $q_i(s_i) = e^{a_i s_i} / (e^{a_i} + e^{-a_i})$, and its mean is
#
# $$m_i = q_i(1) - q_i(-1) = \frac{e^{a_i} - e^{-a_i}}{e^{a_i} + e^{-a_i}} = \tanh\Bigl(h_i + \sum_j J_{ij} m_j\Bigr), \qquad
#   q_i(1) = \sigma(2 a_i). \tag{16}$$
#
# A spin sees the *mean* of the field that its neighbours exert, whence the name. For comparison, *Gibbs sampling* draws
# $s_i$ from its true conditional, which by (14) is $p(s_i = 1 \mid s_{-i}) = \sigma\bigl(2 (h_i + \sum_j J_{ij} s_j)\bigr)$: the same
# formula with spins in place of means.
#
# **The bound.** Since $\mathbb{E}_q[s_i s_j] = m_i m_j$ for $i \ne j$ (and $J_{ii} = 0$), and $q_i(\pm 1) = (1 \pm m_i)/2$,
#
# $$\mathrm{ELBO}(m) = \tfrac12\, m^\top J m + h^\top m - \sum_i \sum_{s = \pm 1} \frac{1 + s\, m_i}{2} \log \frac{1 + s\, m_i}{2}
#   \;\le\; \log Z. \tag{17}$$
#
# Two spins are enough to see what happens. Drag the coupling.


# %%
def entropy_of_spin(m):
    return torch.special.entr((1 + m) / 2) + torch.special.entr((1 - m) / 2)


field = 0.05


def climb(coupling, start, updates=24):
    """The places that coordinate ascent visits on two spins, one coordinate at a time: equation (16)."""
    m = torch.tensor(start, dtype=torch.float64)
    places = [m.clone()]
    for update in range(updates):
        m[update % 2] = torch.tanh(field + coupling * m[1 - update % 2])
        places.append(m.clone())
    return torch.stack(places)


frames, couplings = [], [0.0, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0]
for coupling in couplings:

    def bound(m, coupling=coupling):  # equation (17) for two spins
        return coupling * m[:, 0] * m[:, 1] + field * m.sum(1) + entropy_of_spin(m).sum(1)

    weights = torch.softmax(coupling * states[:, 0] * states[:, 1] + field * states.sum(1), 0)
    starts = [climb(coupling, [-0.9, 0.3]), climb(coupling, [0.9, -0.5])]
    frames.append(plotting.bound_landscape(bound, starts, tuple((weights @ states).tolist()), f"J = {coupling:g}"))
plotting.slider(
    frames,
    couplings,
    "J",
    caption="Figure 3. The ELBO of two coupled spins over their two means. The cross is the truth; staircases are coordinate "
    "ascent from two starts. One shade is a quarter of a nat. Beyond J = 1 one summit becomes two, and the truth lies in the saddle between them.",
    alt="A map of heights over two means with two staircase paths to its summits, of which there are two if J is large",
)

# %% [markdown]
# ### Cleaning digits
#
# Let each spin be a pixel of a black-and-white picture. Prior: neighbours like to be alike, coupling $J$ on a grid.
# Likelihood: each pixel reaches us flipped with probability $\epsilon$. Then, with $x_i = \pm 1$ what we see,
#
# $$\log p(x_i \mid s_i) = \tfrac12 \log \frac{1 - \epsilon}{\epsilon}\; x_i s_i + \text{const}, \tag{18}$$
#
# (check both cases of $x_i s_i$), so that the posterior over pictures is again an Ising model, with field
# $h_i = \tfrac12 x_i \log\frac{1-\epsilon}{\epsilon}$. Real digits, enlarged four times so that strokes are some pixels wide, and
# made black or white:

# %%
grey = data.load("digits").test[:10].float() / 15
enlarged = F.interpolate(grey, scale_factor=4, mode="bicubic", align_corners=False).squeeze(1)
clean = torch.where(enlarged > 0.5, 1.0, -1.0).double()  # (pictures, 32, 32)
flips = uniform(*clean.shape) < 0.15
noisy = torch.where(flips, -clean, clean)


def gibbs_means(model, sweeps, skipped, start):
    """Average spins of one chain for each picture, the first sweeps left out."""
    spins, total = start, torch.zeros_like(start)
    for sweep in range(sweeps):
        spins = model.sample_sweep(spins, uniform(*spins.shape))
        total += spins if sweep >= skipped else 0
    return total / (sweeps - skipped)


def shown(spins):
    return ((1 + spins) / 2).unsqueeze(1)


def wrong(means):
    return 100 * (means.sign() != clean).double().mean().item()


posterior = denoising_lattice(noisy, flip_probability=0.15, coupling=0.8)
begun = time.perf_counter()
by_mean_field = fit_mean_field(posterior, sweeps=50, tolerance=1e-4).means
halfway = time.perf_counter()
by_gibbs = gibbs_means(posterior, sweeps=150, skipped=30, start=noisy)
print(f"pixels wrong: noisy {wrong(noisy):.1f} %")
print(f"mean field {wrong(by_mean_field):.1f} %, in {halfway - begun:.2f} s")
print(f"Gibbs sampling, 150 sweeps {wrong(by_gibbs):.1f} %, in {time.perf_counter() - halfway:.2f} s")

# %%
rows = {"clean": clean, "noisy": noisy, "mean field": by_mean_field, "Gibbs": by_gibbs}
plotting.show(
    plotting.image_rows({name: shown(spins) for name, spins in rows.items()}, bits=1),
    caption="Figure 4. Ten real digits, with 15 % of their pixels flipped, and the means of their posteriors by mean field "
    "and by Gibbs sampling. Grey would be doubt: there is little, and most of it along the edges of strokes.",
    alt="Four rows of ten digits: clean, speckled, and twice nearly clean again with slightly rounded strokes.",
)

# %%
frames, strengths = [], [0.0, 0.2, 0.4, 0.6, 0.8, 1.2, 2.0, 4.0]
for strength in strengths:
    cleaned = fit_mean_field(denoising_lattice(noisy, 0.15, strength), sweeps=50, tolerance=1e-3).means
    frames.append(plotting.image_rows({"noisy": shown(noisy), "mean field": shown(cleaned)}, bits=1))
    frames[-1].axes[0].set_title(f"{wrong(cleaned):.1f} % of the pixels wrong")
plotting.slider(
    frames,
    strengths,
    "J",
    caption="Figure 5. How strongly should neighbours agree? Drag J: too little keeps the noise, too much eats thin strokes "
    "and fills holes.",
    alt="Noisy digits above and cleaned ones below for one coupling J",
)

# %% [markdown]
# **Check yourself.** (a) With $J = 0$ the cleaned picture equals the noisy one in its signs. Why is it grey all the same? (b) Which
# change to the prior would help thin strokes?
#
# <details><summary>Answer</summary>
#
# (a) Without neighbours $m_i = \tanh(h_i) = \pm(1 - 2\epsilon) = \pm 0.7$: each pixel is believed as far as the noise
# allows. (b) A prior that knows strokes: couplings between pixels further apart, learned from clean pictures, or
# latent variables that stand for strokes. From unit 03 on, a network will learn it.
# </details>

# %% [markdown]
# ## 5. How good is it? Enumerate
#
# On $4 \times 4$ spins there are 65,536 states: all can be summed, and every number above can be compared with the truth.
# Neighbours are coupled with strength $J$, and each spin has a random field.

# %%
fields = 0.3 * normal(4, 4)


def magnet(strength):
    return LatticeIsing.uniform(strength, fields)


print("   J    log Z     ELBO    gap    error of the means (root mean square)")
for strength in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0):
    truth = enumerate_states(magnet(strength).general())
    fit = fit_mean_field(magnet(strength))
    error = (fit.means.flatten() - truth.means).square().mean().sqrt()
    gap = truth.log_partition - fit.elbo[-1]
    print(f"{strength:4.1f} {truth.log_partition:8.3f} {fit.elbo[-1]:8.3f} {gap:6.3f} {error:8.3f}")

# %%
truth = enumerate_states(magnet(0.4).general())
sampled = gibbs_means(magnet(0.4), sweeps=2000, skipped=100, start=torch.ones(4, 4, dtype=torch.float64))
estimates = {
    "mean field": fit_mean_field(magnet(0.4)).means,
    "loopy belief propagation": belief_propagation(magnet(0.4).general()).means,
    "Gibbs, 1,900 sweeps": sampled,
}
plotting.show(
    plotting.marginals_against_exact(truth.means, estimates),
    caption="Figure 6. Means of the sixteen spins at J = 0.4 against the truth by enumeration. Mean field overstates: each "
    "spin believes its neighbours' means as if they were certain. Belief propagation is far nearer.",
    alt="Scatter of approximate against true means; mean-field points are steeper than the diagonal, others near it.",
)

# %% [markdown]
# The gap is largest at middling couplings. At weak coupling spins *are* nearly independent. At strong coupling they are all up or all
# down, and within either state they fluctuate little; mean field describes one of the two well, and pays only for leaving the other
# out (section 6 says how much). In between, correlations matter, and a product of single spins has none to offer. The *means*
# do not recover: here the fields are weak, the truth is a compromise of up and down, and mean field has chosen.

# %% [markdown]
# ## 6. Phase transition and broken symmetry
#
# Now take the field away and let the lattice grow. All spins are alike, so try $m_i = m$. Inside the lattice each has four
# neighbours, and (16) becomes one equation:
#
# $$m = \tanh(4 J m). \tag{19}$$
#
# $m = 0$ always solves it. The right side has slope $4J$ there, and it is concave for $m > 0$; so for $4J > 1$ it starts above
# the line $m$ and crosses it once more: two new solutions $\pm m^*$ appear, and 0 becomes a saddle of the ELBO. **Mean
# field predicts a magnet from $J_c = \tfrac14$ on.**
#
# The infinite lattice has been solved exactly (Onsager; the magnetisation is due to Yang): order sets in at
#
# $$J_c = \tfrac12 \log(1 + \sqrt 2) \approx 0.441, \qquad |m| = \bigl(1 - \sinh(2J)^{-4}\bigr)^{1/8} \text{ beyond}. \tag{20}$$
#
# Mean field sees the transition, which is remarkable for one equation, but too early: it forgets that neighbours fluctuate
# together.

# %%
grid = torch.linspace(0.0, 1.0, 201, dtype=torch.float64)
m = torch.ones_like(grid)
for _ in range(3000):
    m = torch.tanh(4 * grid * m)  # equation (19), from above
critical = 0.5 * math.log(1 + math.sqrt(2))
exact = torch.where(grid > critical, (1 - torch.sinh(2 * grid).clamp(min=1) ** -4) ** 0.125, 0.0)  # equation (20)
strengths, magnetisations = [0.1, 0.2, 0.3, 0.35, 0.4, 0.42, 0.44, 0.46, 0.5, 0.6, 0.8], []
for strength in strengths:
    large = LatticeIsing.uniform(strength, torch.zeros(48, 48, dtype=torch.float64))
    spins, total, sweeps = torch.ones(48, 48, dtype=torch.float64), 0.0, 100 if fast else 1500
    for sweep in range(sweeps):
        spins = large.sample_sweep(spins, uniform(48, 48))
        total += spins[8:-8, 8:-8].mean().item() if sweep >= sweeps // 3 else 0  # far from the free edges
    magnetisations.append(abs(total) / (sweeps - sweeps // 3))

# %%
plotting.show(
    plotting.magnetisation(
        grid,
        {"mean field, (19)": m.where(grid > 0.25, 0.0), "exact, infinite lattice, (20)": exact},
        {"Gibbs sampling, 48 × 48": (strengths, magnetisations)},
        {"¼": 0.25, "0.441": critical},
    ),
    caption="Figure 7. Magnetisation against coupling. Mean field orders too early. Gibbs sampling follows the exact curve but "
    "for points at the transition, where the lattice takes longer to forget its start than we waited.",
    alt="Two curves that rise from zero, mean field at 0.25 and the exact one steeply at 0.441, with points along the latter.",
)

# %% [markdown]
# **Symmetry breaking.** Without a field, flipping all spins changes nothing, so the true mean of every spin on any finite
# lattice is exactly **zero**. Beyond the transition mean field says $+m^*$ or $-m^*$, depending on the start. It is not wrong
# by accident: $\mathrm{KL}(q \,\|\, p)$ is mode-seeking (unit 01), and a product cannot hold "all up or all down". How much
# does it cost? If $q$ covers one of two equal halves of $p$ perfectly, $p = \tfrac12 q$ wherever $q$ lives, and
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_q\Bigl[\log \frac{q}{q / 2}\Bigr] = \log 2 \approx 0.693. \tag{21}$$

# %%
silent = LatticeIsing.uniform(1.5, torch.zeros(4, 4, dtype=torch.float64))
truth = enumerate_states(silent.general())
print(f"truth: log Z {truth.log_partition:.3f}, largest mean {truth.means.abs().max():.1e}")
for name, start in {"up": 0.1, "down": -0.1, "exactly zero": 0.0}.items():
    fit = fit_mean_field(silent, start=torch.full((4, 4), start, dtype=torch.float64))
    print(
        f"start {name:12s}: means {fit.means.mean():6.3f}, ELBO {fit.elbo[-1]:.3f}, gap {truth.log_partition - fit.elbo[-1]:.3f}"
    )

# %% [markdown]
# **Check yourself.** The bound misses only 0.69 nats of 37, and yet all means are off by one. Which questions does such a $q$
# answer well, and which not at all?
#
# <details><summary>Answer</summary>
#
# Well: $\log Z$, the energy, whether *neighbours agree* (in either half of $p$ they do), all that the symmetry leaves alone.
# Not at all: the mean of a spin, its variance, the correlation of distant spins. A tight bound is a statement
# about $\log Z$, not about every expectation. The same happens with mixtures: any relabelling of components is as
# good, $q$ picks one, and there it does no harm.
# </details>

# %% [markdown]
# ## 7. Around $\log Z$ from all sides
#
# Mean field bounds $\log Z$ from below. Other approximations come from the same variational view.
#
# **Loopy belief propagation.** On a tree the entropy of a distribution is known from its marginals of single variables and
# of edges: $\sum_i \mathrm{H}_i - \sum_{ij} \mathrm{I}_{ij}$, with the mutual information $\mathrm{I}_{ij}$ of each edge. Bethe's approximation
# uses this on *any* graph:
#
# $$\log Z_{\mathrm{Bethe}} = \max_{b}\; \sum_i h_i\, \mathbb{E}_b[s_i] + \sum_{ij} J_{ij}\, \mathbb{E}_b[s_i s_j] + \sum_i \mathrm{H}_i(b) - \sum_{ij} \mathrm{I}_{ij}(b), \tag{22}$$
#
# over beliefs $b$ that agree with one another locally but need not be the marginals of any distribution. Messages passed along
# edges find stationary points of it. Exact on trees. On graphs with loops it is *neither* an upper nor a lower bound, and it
# may not converge.
#
# **Tree-reweighted belief propagation.** Let $\theta$ collect all couplings and fields. $\log Z(\theta)$ is a
# log-sum-exp of linear functions, hence *convex*. Write $\theta$ as an average of parameters that live on spanning trees,
# $\theta = \sum_T w_T\, \theta^{(T)}$; then Jensen gives
#
# $$\log Z(\theta) \;\le\; \sum_T w_T \log Z(\theta^{(T)}), \tag{23}$$
#
# and each term on the right is easy. Optimised over all $\theta^{(T)}$ at once, this becomes (22) with each $\mathrm{I}_{ij}$
# multiplied by the share $\rho_{ij}$ of trees that hold the edge: an **upper** bound, once converged.
#
# **Annealed importance sampling.** Take samples where sampling is easy ($J = 0$) and lead them by Gibbs sweeps to the full
# coupling in small steps $0 = \beta_0 < \dots < \beta_K = 1$, gathering a weight on the way:
#
# $$\log w = \log Z_0 + \sum_{k=0}^{K-1} (\beta_{k+1} - \beta_k)\, \tfrac12\, s_k^\top J s_k, \qquad \mathbb{E}[w] = Z. \tag{24}$$
#
# Unbiased for $Z$, so by Jensen too low for $\log Z$ on average; and as good as one has time.
#
# **Expectation propagation** turns the KL around: replace one factor of $\tilde p$ after the other by a simple one such that, *in the
# context of all the others*, the moments are right: a KL from the true to the simple distribution at each step. It often gives better
# marginals than mean field and spreads over modes instead of choosing one. It bounds nothing, and may not converge; belief
# propagation is the special case of factorised approximations.

# %%
signs = [(uniform(*shape) - 0.5).sign() for shape in ((4, 3), (3, 4))]
glass = {"frustrated: signs at random": lambda J: LatticeIsing(J * signs[0], J * signs[1], fields)}
kinds = {"all neighbours alike": magnet} | glass
strengths = [0.1, 0.5, 1.0] if fast else [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.2]


def estimates_of(model):
    """Four estimates of log Z less the true one, the error of the last, and whether the second and third came to rest."""
    general, starts = model.general(), [0.5 * normal(4, 4) for _ in range(4)]
    climbs = [fit_mean_field(model, start=torch.tanh(model.field + start), sweeps=200) for start in starts]
    loopy = belief_propagation(general, damping=0.3)
    trees = tree_reweighted_belief_propagation(general)
    annealed = annealed_importance_sampling(model, chains=200, temperatures=100, generator=generator)
    values = (max(fit.elbo[-1] for fit in climbs), loopy.log_partition, trees.log_partition, annealed.log_partition)
    exact = enumerate_states(general).log_partition
    return (
        [(value - exact).item() for value in values],
        annealed.standard_error.item(),
        loopy.converged,
        trees.converged,
    )


# %%
names = ("mean field", "loopy belief propagation", "tree-reweighted", "annealed sampling")
for kind, make in kinds.items():
    values, errors, loopy_rests, trees_rest = zip(
        *[estimates_of(make(strength)) for strength in strengths], strict=True
    )
    plotting.show(
        plotting.log_partition_bounds(
            strengths,
            dict(zip(names, zip(*values, strict=True), strict=True)),
            {"annealed sampling": errors},
            {"loopy belief propagation": loopy_rests, "tree-reweighted": trees_rest},
            title=kind,
        ),
        caption=f"Figure {8 if kind == 'all neighbours alike' else 9}. Estimates of log Z on 4 × 4 spins, less the truth by "
        "enumeration. Mean field is always below, tree-reweighted always above; hollow marks are runs that did not come to rest; "
        "bars are two standard errors.",
        alt="Curves around a zero line: mean field below, tree-reweighted above, loopy near zero, annealed on it with bars.",
    )

# %% [markdown]
# Where neighbours only want to agree, loopy belief propagation is excellent and happens to lie below (for such *attractive* models that
# has been proven). With signs at random, loops send contradictory messages: it comes out above, then ceases to converge. The
# sandwich between the two true bounds holds throughout, and gets wide exactly where the problem gets hard.

# %% [markdown]
# **Check yourself.** You have no enumeration, only numbers: mean field 120.3, tree-reweighted (converged) 131.0, loopy 126.2,
# annealed 124.9 ± 0.3. What do you know for certain, and what do you believe?
#
# <details><summary>Answer</summary>
#
# Certain: $120.3 \le \log Z \le 131.0$. Believed: near 125, on the strength of annealing; but an annealed estimate errs low when no
# chain finds an important region, and its standard error cannot know about what no chain saw. A longer annealing that gives
# the same is the test.
# </details>

# %% [markdown]
# ## 8. Latent Dirichlet allocation
#
# Now a directed model. A document is a bag of words; each word was written on some *topic*; nobody said which.
#
# $$\theta_d \sim \mathrm{Dir}(\alpha), \quad \beta_k \sim \mathrm{Dir}(\eta), \quad z_{dn} \mid \theta_d \sim \theta_d, \quad w_{dn} \mid z_{dn} = k \sim \beta_k. \tag{25}$$
#
# $\theta_d$ are the shares of topics in document $d$, $\beta_k$ the probabilities of words in topic $k$; both are unknown, as is the topic
# $z_{dn}$ of every word. The joint is the product of all that:
#
# $$\log p = \sum_{k, w} (\eta - 1) \log \beta_{kw} + \sum_d \Bigl[ \sum_k (\alpha_k - 1) \log \theta_{dk}
#   + \sum_n \bigl( \log \theta_{d z_{dn}} + \log \beta_{z_{dn} w_{dn}} \bigr) \Bigr] + \text{const}. \tag{26}$$
#
# **The family**, nothing integrated out, every unknown its own factor (the shapes will be found, not assumed):
#
# $$q = \prod_k q(\beta_k) \prod_d \Bigl[ q(\theta_d) \prod_n q(z_{dn}) \Bigr]. \tag{27}$$
#
# **Topic of a word.** By (12), keep the terms of (26) with $z_{dn}$ and average the rest:
#
# $$\varphi_{dwk} := q(z_{dn} = k) \;\propto\; \exp\bigl( \mathbb{E}[\log \theta_{dk}] + \mathbb{E}[\log \beta_{kw}] \bigr), \qquad w = w_{dn}. \tag{28}$$
#
# It depends on the word only, not on its place: one $\varphi$ for each word of the vocabulary in each document, and counts $n_{dw}$.
#
# **Shares of a document.** The terms with $\theta_d$, averaged over $z$, are $\sum_k (\alpha_k - 1 + \sum_w n_{dw} \varphi_{dwk}) \log \theta_{dk}$, which is
# the logarithm of a Dirichlet distribution. Likewise for the topics:
#
# $$q(\theta_d) = \mathrm{Dir}(\gamma_d), \quad \gamma_{dk} = \alpha_k + \sum_w n_{dw}\, \varphi_{dwk}; \qquad
#   q(\beta_k) = \mathrm{Dir}(\lambda_k), \quad \lambda_{kw} = \eta + \sum_d n_{dw}\, \varphi_{dwk}. \tag{29}$$
#
# **The expectation of a logarithm.** A Dirichlet density integrates to one, that is
# $\int \prod_k \theta_k^{\gamma_k - 1}\, d\theta = \prod_k \Gamma(\gamma_k) / \Gamma(\sum_j \gamma_j) =: e^{A(\gamma)}$. Differentiate both sides with
# respect to $\gamma_k$: on the left $\log \theta_k$ comes down, on the right $e^A\, \partial A / \partial \gamma_k$. Divide by $e^A$:
#
# $$\mathbb{E}[\log \theta_k] = \frac{\partial A}{\partial \gamma_k} = \psi(\gamma_k) - \psi\Bigl(\sum_j \gamma_j\Bigr), \qquad \psi = (\log \Gamma)' \text{ (digamma)}. \tag{30}$$
#
# **As matrix products.** With $T_{dk} = e^{\mathbb{E} \log \theta_{dk}}$ and $B_{kw} = e^{\mathbb{E} \log \beta_{kw}}$ the normaliser of (28) is $C = TB$, and
# $\varphi_{dwk} = T_{dk} B_{kw} / C_{dw}$ never needs to be stored:
#
# $$\gamma = \alpha + T \odot \Bigl( \tfrac{n}{C}\, B^\top \Bigr), \qquad \lambda = \eta + B \odot \Bigl( T^\top \tfrac{n}{C} \Bigr). \tag{31}$$
#
# **The bound.** Collect (26) and the entropies. For $z$: $\sum_k \varphi (\mathbb{E} \log \theta + \mathbb{E} \log \beta - \log \varphi) = \log C$, because
# $\log \varphi$ is the bracket minus $\log C$. What is left are two KLs to the priors:
#
# $$\mathrm{ELBO} = \sum_{dw} n_{dw} \log C_{dw} - \sum_d \mathrm{KL}\bigl(q(\theta_d) \,\|\, \mathrm{Dir}(\alpha)\bigr) - \sum_k \mathrm{KL}\bigl(q(\beta_k) \,\|\, \mathrm{Dir}(\eta)\bigr). \tag{32}$$


# %%
def expected_log(concentration):  # equation (30)
    return torch.digamma(concentration) - torch.digamma(concentration.sum(1, keepdim=True))


def share_words_out(counts, topics, gamma, updates):
    """Equations (28), (29) for the documents, as matrix products: equation (31)."""
    for _ in range(updates):
        shares = expected_log(gamma).exp()
        gamma = alpha + shares * ((counts / (shares @ topics)) @ topics.T)
    shares = expected_log(gamma).exp()
    return gamma, topics * (shares.T @ (counts / (shares @ topics)))


def bound_of(counts, gamma, concentration):  # equation (32)
    likelihood = (counts * (expected_log(gamma).exp() @ expected_log(concentration).exp()).log()).sum()
    documents = kl_divergence(Dirichlet(gamma), Dirichlet(torch.full_like(gamma, alpha))).sum()
    topics = kl_divergence(Dirichlet(concentration), Dirichlet(torch.full_like(concentration, eta))).sum()
    return (likelihood - documents - topics).item()


# %% [markdown]
# ### What is Python's standard library about?
#
# The text is the documentation of the standard library that runs this notebook: all docstrings of a module make one document. (So
# the numbers differ a little from one version of Python to the next; the topics are stable.) Common words of English
# and of code are left out.

# %%
library = load_documentation()
counts, num_topics, alpha, eta = library.counts, 10, 0.1, 0.05
words_in_all = counts.sum().item()
print(f"{len(counts)} modules, {len(library.words)} words, {words_in_all:.0f} occurrences")

# %%
sweeps = 15 if fast else 50
start = torch.from_numpy(np.random.RandomState(1).gamma(100.0, 0.01, (num_topics, len(library.words))))


def fit_topics(concentration, sweeps):
    climbed = []
    for _ in range(sweeps):
        gamma = torch.ones(len(counts), num_topics, dtype=torch.float64)  # documents start afresh in each sweep
        gamma, expected = share_words_out(counts, expected_log(concentration).exp(), gamma, updates=60)
        concentration = eta + expected
        climbed.append(bound_of(counts, gamma, concentration) / words_in_all)
    return concentration, gamma, climbed


begun = time.perf_counter()
concentration, gamma, climbed = fit_topics(start, sweeps)
print(
    f"{sweeps} sweeps in {time.perf_counter() - begun:.1f} s; ELBO {climbed[0]:.4f} → {climbed[-1]:.4f} nats per word"
)
print(f"smallest step of the bound: {min(np.diff(climbed)):+.1e}")
plotting.show(
    plotting.learning_curves({"ELBO": climbed}, y_label="ELBO (nats per word)", x_label="sweep over all documents"),
    caption="Figure 10. Coordinate ascent on the bound of the topic model: steep while topics sort themselves out, then ever "
    "slower, and never downwards.",
    alt="A curve that rises steeply in the first ten sweeps and slowly ever after.",
)

# %% [markdown]
# A document's shares start afresh in each sweep: kept from the first sweep, when all topics are still noise, they would never let go of
# it. (Strictly, the bound may then fall, where a document climbs another summit than before. The line above prints whether it did.)
#
# scikit-learn's `LatentDirichletAllocation` runs the same updates in its batch form. It draws its random start in the same way as we did,
# so both climb from (nearly) the same place. Topics are matched by the words they share, since their order means nothing.

# %%
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import LatentDirichletAllocation

model = LatentDirichletAllocation(
    num_topics, doc_topic_prior=alpha, topic_word_prior=eta, max_iter=sweeps, max_doc_update_iter=60, random_state=1
)
begun = time.perf_counter()
model.fit(counts.numpy())
theirs = torch.from_numpy(model.components_)
print(f"scikit-learn: {time.perf_counter() - begun:.1f} s")
their_gamma, _ = share_words_out(counts, expected_log(theirs).exp(), torch.ones_like(gamma), updates=100)
their_bound = bound_of(counts, their_gamma, theirs) / words_in_all
print(f"ELBO by (32), nats per word: ours {climbed[-1]:.4f}, theirs {their_bound:.4f}")
further, _, _ = fit_topics(theirs, 5)
moved = (F.normalize(further, p=1, dim=1) - F.normalize(theirs, p=1, dim=1)).abs().sum(1).max() / 2
print(f"five sweeps of ours from where theirs ended move no topic by more than {100 * moved:.1f} % of its probability")

# %%
topics, their_topics = (F.normalize(rows, p=1, dim=1) for rows in (concentration, theirs))
overlap = torch.minimum(topics.unsqueeze(1), their_topics).sum(2)  # 1 if equal, 0 if they share no word
_, match = linear_sum_assignment(-overlap.numpy())
order = concentration.sum(1).argsort(descending=True)
ours_listed = library.most_likely(topics[order])
theirs_listed = library.most_likely(their_topics[match][order])
print("overlap of matched topics:", " ".join(f"{overlap[k, match[k]]:.2f}" for k in order.tolist()))
plotting.show(
    plotting.topics_side_by_side({"coordinate ascent (31)": ours_listed, "scikit-learn": theirs_listed}),
    caption="Figure 11. Ten topics of the standard library's documentation, the largest first: the eight likeliest words of each, by "
    "the equations above and by scikit-learn. Words that both list are dark.",
    alt="Two columns of ten word lists; most words appear in both columns.",
)

# %%
shares = F.normalize(gamma, p=1, dim=1)[:, order]
names = [" ".join(words[:2]) for words in ours_listed]
wanted = (
    "argparse",
    "asyncio.events",
    "email.message",
    "http.server",
    "logging",
    "pathlib",
    "statistics",
    "turtle",
    "zipfile",
)
chosen = {title: shares[library.titles.index(title)].tolist() for title in wanted if title in library.titles}
plotting.show(
    plotting.topic_shares(chosen, names),
    caption="Figure 12. What some modules are about: the expected shares of topics, each named by its two likeliest words.",
    alt="Stacked bars for nine modules; most are dominated by one or two topics that fit their purpose.",
)

# %% [markdown]
# Nobody told the model what networks or numbers are. It found sets of words that come together, because few topics for each document (small
# $\alpha$) and few words for each topic (small $\eta$) make the data likely.
#
# **Check yourself.** (a) Why does $\psi(\sum_j \gamma_j)$ of (30) make no difference in (28)? (b) With another random start the topics
# come out differently. Is that a bug?
#
# <details><summary>Answer</summary>
#
# (a) It is the same for all $k$ of a document, so it cancels when $\varphi$ is normalised over topics. In the bound (32) it does
# count. (b) No: coordinate ascent finds *a* summit of the ELBO, and there are many. Run several and keep the highest; what all
# of them find is what one should believe.
# </details>

# %% [markdown]
# ## 9. A Bayesian mixture of Gaussians
#
# Points come from components with unknown weights, means and precisions:
#
# $$\pi \sim \mathrm{Dir}(\alpha_0), \quad \tau_{kd} \sim \mathrm{Gamma}\bigl(\tfrac{\nu_0}{2}, \tfrac{S_d}{2}\bigr), \quad
#   \mu_{kd} \mid \tau_{kd} \sim \mathcal{N}\bigl(m_{0d}, (\beta_0 \tau_{kd})^{-1}\bigr), \quad z_n \sim \pi, \quad x_{nd} \mid z_n = k \sim \mathcal{N}(\mu_{kd}, \tau_{kd}^{-1}). \tag{33}$$
#
# The family separates assignments from parameters, $q(z)\, q(\pi)\, \prod_k q(\mu_k, \tau_k)$. For the assignments, (12) asks for the
# expectation of the log density:
#
# $$\log r_{nk} = \mathbb{E}[\log \pi_k] + \tfrac12 \sum_d \Bigl( \mathbb{E}[\log \tau_{kd}] - \mathbb{E}\bigl[\tau_{kd} (x_{nd} - \mu_{kd})^2\bigr] \Bigr) + \text{const}_n. \tag{34}$$
#
# The last expectation, in two steps: given $\tau$, $\mu \sim \mathcal{N}(m, (\beta\tau)^{-1})$, so $\mathbb{E}[(x - \mu)^2 \mid \tau] = (x - m)^2 + \frac{1}{\beta\tau}$; times
# $\tau$ and averaged,
#
# $$\mathbb{E}\bigl[\tau (x - \mu)^2\bigr] = \mathbb{E}[\tau]\, (x - m)^2 + \frac1\beta: \tag{35}$$
#
# the familiar squared distance, and a price for not knowing the mean. For the parameters, (12) gives the conjugate posterior with each point
# counted $r_{nk}$ times. With $N_k = \sum_n r_{nk}$ and $\bar x_k = \sum_n r_{nk} x_n / N_k$:
#
# $$\alpha_k = \alpha_0 + N_k, \quad \beta_k = \beta_0 + N_k, \quad m_k = \frac{\beta_0 m_0 + N_k \bar x_k}{\beta_k}, \quad \nu_k = \nu_0 + N_k, \tag{36}$$
#
# $$S_k = S + \sum_n r_{nk} (x_n - m_k)^2 + \beta_0 (m_0 - m_k)^2, \qquad \mathbb{E}[\tau_k] = \frac{\nu_k}{S_k}, \quad
#   \mathbb{E}[\log \tau_k] = \psi\bigl(\tfrac{\nu_k}{2}\bigr) - \log \tfrac{S_k}{2}. \tag{37}$$
#
# The data are 150 real flowers, two lengths of each. We offer eight components. A small $\alpha_0$ lets those that
# are not needed wither: an empty component falls back to its prior and costs nothing, while a needless split costs entropy and KL.

# %%
from sklearn.datasets import load_iris

flowers = torch.from_numpy(load_iris().data[:, 2:4])  # length and width of the petals, cm
prior = GaussianPrior(flowers.mean(0), 0.01, 2.0, 2.0 * flowers.var(0) / 5)
weight_prior, num_components = 0.01, 8
near = torch.cdist(flowers, flowers[torch.randperm(150, generator=generator)[:num_components]])
r = F.one_hot(near.argmin(1), num_components).double()
frames, moments = [], [0, 1, 2, 5, 10, 20, 40]
for sweep in range(max(moments) + 1):
    believed = weight_prior + r.sum(0)  # equation (36), for the weights
    q = prior.posterior(flowers, r)  # equations (36) and (37)
    if sweep in moments:
        kept = int((r.sum(0) > 1).sum())
        frames.append(
            plotting.mixture_components(
                flowers,
                r,
                q.mean,
                q.covariance,
                believed / believed.sum(),
                f"sweep {sweep}: {kept} components in use",
                ("length of petal (cm)", "width of petal (cm)"),
            )
        )
    distances = q.expected_precision * (flowers.unsqueeze(1) - q.mean) ** 2 + 1 / q.mean_precision.unsqueeze(1)  # (35)
    half = q.degrees_of_freedom.unsqueeze(1) / 2
    log_precision = torch.digamma(half) - (q.scatter / 2).log()  # equation (37)
    log_weights = torch.digamma(believed) - torch.digamma(believed.sum())
    r = torch.softmax(log_weights + 0.5 * (log_precision - distances).sum(2), dim=1)  # equation (34)

# %%
plotting.slider(
    frames,
    moments,
    "sweep",
    caption="Figure 13. Coordinate ascent on a mixture of eight Gaussians, with 150 flowers (drag the slider). Components that do not "
    "earn their keep lose their points; ellipses are two standard deviations, the thicker the more they weigh.",
    alt="Points of flowers in clusters, with ellipses of components, whose number falls as sweeps go on",
)

# %% [markdown]
# The cluster at the lower left is one species of iris, all fifty flowers of it; nobody told the model that there are species. Maximum likelihood could not do this: it would use every component, and be glad to shrink one onto a single point. Here the ELBO bounds
# the evidence, which charges for complexity.

# %% [markdown]
# ## 10. Stochastic variational inference
#
# One sweep of (31) reads *all* documents before it improves the topics once. With millions of documents that is a waste: the first
# thousand already tell roughly where the topics should go.
#
# How does the ELBO depend on $\lambda$, the topics' parameters, with each document's $\gamma, \varphi$ at their best? The coordinate update sets
# $\lambda$ to $\hat\lambda = \eta + \sum_d n_d \varphi_d$. For a family in natural form, the *natural* gradient (the one that measures steps by the KL they
# cause) is simply the way from here to there:
#
# $$\tilde\nabla_\lambda \mathrm{ELBO} = \eta + \sum_d n_d\, \varphi_d - \lambda. \tag{38}$$
#
# The reason in one line: as a function of $\lambda$ the ELBO is $(\hat\lambda - \lambda)^\top \nabla A(\lambda) + A(\lambda)$ up to a constant ($\nabla A$ being the expectation
# of the sufficient statistics, as in (30)); its gradient is $\nabla^2 A(\lambda)\, (\hat\lambda - \lambda)$, and $\nabla^2 A$ is the Fisher information that the natural
# gradient divides by. The sum over documents in (38) can be estimated from a batch $b$, and noise averages out if steps shrink:
#
# $$\lambda \leftarrow (1 - \rho_t)\, \lambda + \rho_t \Bigl( \eta + \frac{D}{|b|} \sum_{d \in b} n_d\, \varphi_d \Bigr), \qquad \sum_t \rho_t = \infty, \quad \sum_t \rho_t^2 < \infty. \tag{39}$$
#
# With $\rho = 1$ and all documents in the batch it is coordinate ascent again. To have many documents, let every single docstring be one.

# %%
pieces = load_documentation(pieces=True)
many = pieces.counts[torch.randperm(len(pieces.counts), generator=generator)]
test, many = many[:200], many[200:]
print(f"{len(many)} docstrings to learn from, {len(test)} to test on")


def per_word(concentration):
    """The bound on the test documents, per word, the topics given."""
    gamma, _ = share_words_out(test, expected_log(concentration).exp(), torch.ones(len(test), num_topics).double(), 30)
    documents = kl_divergence(Dirichlet(gamma), Dirichlet(torch.full_like(gamma, alpha))).sum()
    likelihood = (test * (expected_log(gamma).exp() @ expected_log(concentration).exp()).log()).sum()
    return ((likelihood - documents) / test.sum()).item()


def learn(batch_size, epochs, rate):
    """The test bound after each few steps, and how many documents had been read by then."""
    concentration, read, curve, step = 0.5 + uniform(num_topics, many.shape[1]), 0, ([], []), 0
    for _ in range(epochs):
        for batch in many[torch.randperm(len(many), generator=generator)].split(batch_size):
            begin = torch.ones(len(batch), num_topics, dtype=torch.float64)
            _, expected = share_words_out(batch, expected_log(concentration).exp(), begin, updates=20)
            step, read = step + 1, read + len(batch)
            rho = rate(step)
            concentration = (1 - rho) * concentration + rho * (eta + len(many) / len(batch) * expected)  # (39)
            if batch_size > 1000 or step % 5 == 0:
                curve[0].append(read)
                curve[1].append(per_word(concentration))
    return curve


# %%
epochs = 2 if fast else 12
curves = {
    "all documents at once": learn(len(many), epochs, rate=lambda step: 1.0),
    "batches of 64": learn(64, min(epochs, 4), rate=lambda step: (step + 5) ** -0.7),
}
figure = plotting.learning_curves(curves, y_label="bound on test docstrings (nats per word)", x_label="documents read")
plotting.show(
    figure,
    caption="Figure 14. Topics learned from all docstrings at once and from batches of 64, judged on docstrings not learned "
    "from, against the number of documents read. Small batches are ahead long before the first sweep has ended.",
    alt="Two rising curves against documents read; that of batches rises earlier.",
)

# %% [markdown]
# ## 11. Black-box variational inference
#
# All updates so far needed expectations in closed form: conjugate models. For anything else, estimate the *gradient* of the ELBO by samples
# from $q_\lambda$. Let $f_\lambda(z) = \log \tilde p(z) - \log q_\lambda(z)$, so that $\mathrm{ELBO} = \mathbb{E}_{q_\lambda}[f_\lambda(z)]$.
#
# **Score function.** Differentiate the density and the integrand, with $\nabla q = q\, \nabla \log q$:
#
# $$\nabla_\lambda \mathrm{ELBO} = \int \nabla_\lambda q_\lambda(z)\, f_\lambda(z)\, dz + \int q_\lambda(z)\, \nabla_\lambda f_\lambda(z)\, dz
#   = \mathbb{E}_q\bigl[f_\lambda(z)\, \nabla_\lambda \log q_\lambda(z)\bigr] - \underbrace{\mathbb{E}_q\bigl[\nabla_\lambda \log q_\lambda(z)\bigr]}_{= 0}. \tag{40}$$
#
# The last term vanishes because $\int q\, \nabla \log q = \nabla \int q = \nabla 1 = 0$. For the same reason a constant $b$ may be subtracted from $f$:
#
# $$\hat g_{\text{score}} = \frac1S \sum_{s=1}^{S} \bigl(f(z_s) - b\bigr)\, \nabla_\lambda \log q_\lambda(z_s), \qquad z_s \sim q_\lambda. \tag{41}$$
#
# It needs *values* of $\log \tilde p$ only: discrete variables, simulators, anything. Which $b$ is best? The variance of one component with score
# $g = \partial_\lambda \log q$ is $\mathbb{E}[(f - b)^2 g^2]$ minus a constant; its derivative in $b$ vanishes at
#
# $$b^* = \frac{\mathbb{E}[f g^2]}{\mathbb{E}[g^2]}, \qquad \text{and } b = \mathbb{E}[f] = \mathrm{ELBO} \text{ is a good, cheap guess.} \tag{42}$$
#
# (A baseline made from the same samples it is subtracted from would bring a bias.)
#
# **Pathwise.** If $z = \mu + \sigma \varepsilon$ with $\varepsilon \sim \mathcal{N}(0, 1)$, the expectation is over $\varepsilon$, which does not depend on $\lambda$,
# and the gradient goes inside:
#
# $$\hat g_{\text{path}} = \frac1S \sum_{s=1}^{S} \nabla_\lambda f_\lambda(\mu + \sigma \varepsilon_s), \qquad \varepsilon_s \sim \mathcal{N}(0, 1). \tag{43}$$
#
# It needs a *slope* of $\log \tilde p$, and a $q$ that can be written this way.
#
# **A model that is not conjugate:** Bayesian logistic regression. Is a digit a 3 or an 8? Labels $y_n = \pm 1$, a standard normal prior on the
# weights, $\log \tilde p(z) = \log \mathcal{N}(z; 0, I) + \sum_n \log \sigma(y_n\, x_n^\top z)$.

# %%
digits = data.load("digits")
chosen = (digits.train_labels == 3) | (digits.train_labels == 8)
pixels = digits.train[chosen].flatten(1).double()
pixels = pixels - pixels.mean(0)
_, _, directions = torch.linalg.svd(pixels, full_matrices=False)
x = F.normalize(pixels @ directions[:20].T, dim=1) * 4  # twenty principal components
y = torch.where(digits.train_labels[chosen] == 3, 1.0, -1.0).double()


def log_joint(z):  # (samples, 20) → (samples,)
    return Normal(0.0, 1.0).log_prob(z).sum(1) + F.logsigmoid(y * (z @ x.T)).sum(1)


def pathwise(mean, log_std, noise):  # equation (43), and the values of f
    mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
    q = Normal(mean, log_std.exp())
    z = mean + log_std.exp() * noise
    f = log_joint(z) - q.log_prob(z).sum(1)
    return torch.cat(torch.autograd.grad(f.mean(), (mean, log_std))), f.detach()


def by_scores(mean, log_std, noise, baseline):  # each sample's term of equation (41), and the values of f
    z = mean + log_std.exp() * noise
    f = log_joint(z) - Normal(mean, log_std.exp()).log_prob(z).sum(1)
    scores = torch.cat([noise / log_std.exp(), noise**2 - 1], dim=1)  # ∇ log q for mean and log σ
    return (f - baseline).unsqueeze(1) * scores, f


# %% [markdown]
# First the estimators at one place, each two thousand times from a single draw: the derivative with respect to the first mean.

# %%
mean, log_std = torch.zeros(20, dtype=torch.float64), torch.full((20,), -1.0, dtype=torch.float64)
noise = normal(2000, 20)
_, f = by_scores(mean, log_std, noise, 0.0)
single = {
    "score function": by_scores(mean, log_std, noise, 0.0)[0][:, 0],
    "with a baseline": by_scores(mean, log_std, noise, by_scores(mean, log_std, normal(500, 20), 0.0)[1].mean())[0][
        :, 0
    ],
    "pathwise": torch.stack([pathwise(mean, log_std, one.unsqueeze(0))[0][0] for one in noise[:500]]),
}
exact = pathwise(mean, log_std, normal(20_000, 20))[0][0].item()
plotting.show(
    plotting.gradient_estimates({name: values.tolist() for name, values in single.items()}, exact),
    caption="Figure 15. Estimates of one derivative of the ELBO, one dot for each draw; black: mean and standard deviation; dotted: the "
    "pathwise mean of 20,000 draws. All are right on average, and not equally useful.",
    alt="Three rows of dots: very wide for the score function, narrower with a baseline, very narrow for pathwise.",
)

# %%
sizes, repeats = [1, 3, 10, 30, 100], 100 if fast else 400
spread = {"score function": [], "with a baseline": [], "pathwise": []}
level = f.mean()
for samples in sizes:
    noise = normal(repeats, samples, 20)
    for name, baseline in (("score function", 0.0), ("with a baseline", level)):
        estimates = torch.stack([by_scores(mean, log_std, draw, baseline)[0].mean(0) for draw in noise])
        spread[name].append(estimates.var(0).mean().item())
    spread["pathwise"].append(torch.stack([pathwise(mean, log_std, draw)[0] for draw in noise]).var(0).mean().item())
plotting.show(
    plotting.gradient_variance(sizes, spread),
    caption="Figure 16. Variance of the gradient, averaged over the forty parameters, against the number of samples in one estimate. All "
    "fall in proportion; between the lines lie factors that samples would have to pay for.",
    alt="Three parallel falling lines in a log-log plot: score function highest, with baseline lower, pathwise lowest.",
)
print("samples a score-function estimate needs to be as good as one pathwise sample:")
for name in ("score function", "with a baseline"):
    print(f"  {name:16s} {spread[name][0] / spread['pathwise'][0]:8.0f}")


# %%
def fit(estimate, steps, samples=10, rate=0.05):
    """Adam on the ELBO of a diagonal Gaussian; the baseline is a running mean of earlier values."""
    mean, log_std, baseline, curve = torch.zeros(20).double(), torch.full((20,), -1.0).double(), 0.0, []
    optimizer = torch.optim.Adam([mean, log_std], lr=rate, maximize=True)
    for step in range(steps):
        gradient, f = estimate(mean, log_std, normal(samples, 20), baseline)
        mean.grad, log_std.grad = gradient.chunk(2)
        optimizer.step()
        baseline = f.mean() if step == 0 else 0.9 * baseline + 0.1 * f.mean()
        curve.append(f.mean().item())
    return curve


def scored(mean, log_std, noise, baseline):
    terms, f = by_scores(mean, log_std, noise, baseline)
    return terms.mean(0), f


steps = 100 if fast else 600
curves = {
    "score function, no baseline": fit(lambda *arguments: scored(*arguments[:3], 0.0), steps),
    "score function, baseline": fit(scored, steps),
    "pathwise": fit(lambda *arguments: pathwise(*arguments[:3]), steps),
}
figure = plotting.learning_curves(curves, y_label="ELBO (nats)")
figure.axes[0].set_ylim(2.2 * max(curves["pathwise"]), 0.8 * max(curves["pathwise"]))
plotting.show(
    figure,
    caption="Figure 17. The same optimiser on three estimates of the same gradient, ten samples each. Variance is time.",
    alt="Three noisy rising curves: pathwise rises at once, with baseline later, without baseline slowest.",
)

# %% [markdown]
# The pathwise gradient is what makes variational autoencoders work, and **unit 03 begins where this section ends**: there, a network will
# predict $\mu$ and $\sigma$ from $x$, and the model itself will be learned by the same bound.
#
# **Check yourself.** (a) The spins of section 4 are discrete. Which of the two estimators could be used there? (b) Why is the variance of the score
# function so much larger, although both use the same draws?
#
# <details><summary>Answer</summary>
#
# (a) The score function; a draw of a spin does not change smoothly with its mean, so (43) has no slope to follow. (b) It learns from
# *values*: to find out in which direction $f$ grows it has to compare draws, and in each draw all twenty coordinates have moved at once.
# The slope tells the direction for every coordinate separately.
# </details>

# %% [markdown]
# ## 12. Mean field or sampling?
#
# Back to $4 \times 4$ spins at $J = 0.3$, where the truth is known. On the left, the bound against sweeps from several starts; on the right, the error of the
# means that Gibbs sampling has reached after a given time, next to mean field's.

# %%
model = magnet(0.3)
truth = enumerate_states(model.general())
climbs = {
    f"start {number + 1}": fit_mean_field(model, start=start, sweeps=12, tolerance=0.0)
    for number, start in enumerate([torch.tanh(3 * normal(4, 4)) for _ in range(3)])
}
begun = time.perf_counter()
best = fit_mean_field(model, tolerance=1e-4)
mean_field_seconds = time.perf_counter() - begun
mean_field_error = (best.means.flatten() - truth.means).square().mean().sqrt().item()

chains, sweeps = 12, 300 if fast else 6000
spins = torch.ones(chains, 4, 4, dtype=torch.float64)
total, errors = torch.zeros_like(spins), []
batch = LatticeIsing.uniform(0.3, fields.expand(chains, 4, 4))
for sweep in range(1, sweeps + 1):
    spins = batch.sample_sweep(spins, uniform(chains, 4, 4))
    total += spins
    errors.append((total / sweep - truth.means.view(4, 4)).square().mean(dim=(1, 2)).sqrt())
begun = time.perf_counter()
gibbs_means(model, 200, 0, torch.ones(4, 4, dtype=torch.float64))
seconds = (time.perf_counter() - begun) / 200  # of one sweep of one chain

# %%
moments = torch.logspace(0, math.log10(sweeps), 40).round().long().unique() - 1
plotting.show(
    plotting.bound_next_to_sampling(
        {name: climb.elbo.tolist() for name, climb in climbs.items()},
        truth.log_partition.item(),
        ((seconds * (moments + 1)).tolist(), torch.stack(errors)[moments].T.tolist()),
        (mean_field_seconds, mean_field_error),
    ),
    caption="Figure 18. Left: the ELBO is at its height after a few sweeps and then stays, a gap below log Z. Right: the error of Gibbs "
    "sampling (faint: single chains) goes on falling; mean field is done sooner and never gets better.",
    alt="Left, three curves that rise within five sweeps to a level below a dotted line. Right, falling error with time.",
)

# %% [markdown]
# ## What to remember
#
# 1. $\log Z = \mathrm{ELBO} + \mathrm{KL}(q \,\|\, p)$: the unknown constant is bounded from below, and the gap is what we minimise.
# 2. The ELBO is expected log potential plus entropy: find the good states, and do not bet on one of them.
# 3. Mean field: $q_t \propto \exp \mathbb{E}_{-t}[\log \tilde p]$, one factor at a time, with the newest values; the bound never falls.
# 4. Independence overstates certainty, orders too early, and picks one of several modes.
# 5. Where no expectation can be done by hand, sample the gradient: by slopes if there are any, by scores and a baseline if not.

# %% [markdown]
# ## What goes wrong in practice
#
# * **Updating all at once.** With old values for all factors the bound may fall and the means oscillate (try two spins with $J = -2$). Sweep, or
#   update sets of variables that do not interact, as the black and white squares of a checkerboard.
# * **Starting at a symmetric point.** All-zero means without a field, equal responsibilities, equal topics: fixed points all of them. Break the symmetry at random.
# * **A bound that falls** is a bug: some update does not maximise the ELBO that is reported. Check it in every test.
# * **$0 \log 0$.** A mean of exactly $\pm 1$ or a responsibility of 0 must contribute 0, not nan. Softmax from logarithms, never from densities.
# * **Believing the variances.** Factorised $q$ are too narrow (unit 01). Take means from them, and error bars with caution.
# * **Local optima.** Several starts; report the best bound and how often it was found.
# * **Reading topics by their top words only.** Look at documents too (figure 12), and at what happens with another number of topics.
# * **A baseline computed from the same samples** biases the score-function gradient. Use earlier ones, or leave each sample out of its own.

# %% [markdown]
# ## Sources
#
# * M. J. Wainwright and M. I. Jordan, *Graphical Models, Exponential Families, and Variational Inference*, Foundations and Trends in Machine Learning
#   1, 2008: sections 2 to 7 here; M. J. Wainwright, T. S. Jaakkola and A. S. Willsky, *A New Class of Upper Bounds on the Log Partition Function*, IEEE
#   Transactions on Information Theory 51, 2005: equation (23).
# * C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, chapter 10: equations (12) and (33) to (37).
# * D. M. Blei, A. Kucukelbir and J. D. McAuliffe, [Variational Inference: A Review for Statisticians](https://arxiv.org/abs/1601.00670), JASA 112, 2017: to read next.
# * L. Onsager, *Crystal Statistics I*, Physical Review 65, 1944; C. N. Yang, *The Spontaneous Magnetization of a Two-Dimensional Ising Model*, Physical Review
#   85, 1952: equation (20).
# * S. Geman and D. Geman, *Stochastic Relaxation, Gibbs Distributions, and the Bayesian Restoration of Images*, IEEE PAMI 6, 1984: denoising.
# * J. S. Yedidia, W. T. Freeman and Y. Weiss, *Constructing Free-Energy Approximations and Generalized Belief Propagation Algorithms*, IEEE Transactions on Information Theory 51,
#   2005: equation (22). N. Ruozzi, [The Bethe Partition Function of Log-supermodular Graphical Models](https://arxiv.org/abs/1202.6035), NIPS 2012: why it lies below in
#   figure 8. T. P. Minka, [Expectation Propagation for Approximate Bayesian Inference](https://arxiv.org/abs/1301.2294), UAI 2001. R. M. Neal, [Annealed Importance
#   Sampling](https://arxiv.org/abs/physics/9803008), Statistics and Computing 11, 2001: equation (24).
# * D. M. Blei, A. Y. Ng and M. I. Jordan, *Latent Dirichlet Allocation*, JMLR 3, 2003; M. D. Hoffman, D. M. Blei, C. Wang and J. Paisley, [Stochastic Variational
#   Inference](https://arxiv.org/abs/1206.7055), JMLR 14, 2013: sections 8 and 10.
# * R. Ranganath, S. Gerrish and D. M. Blei, [Black Box Variational Inference](https://arxiv.org/abs/1401.0118), AISTATS 2014; R. J. Williams, *Simple statistical
#   gradient-following algorithms for connectionist reinforcement learning*, Machine Learning 8, 1992: section 11.
# * E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI repository, 1998: the digits. R. A. Fisher, *The use of multiple measurements in
#   taxonomic problems*, Annals of Eugenics 7, 1936 (data by E. Anderson): the flowers.

# %% [markdown]
# ## Where next
#
# The **assignment** of this unit asks for the functions behind this lecture: the mean-field sweep, the bound, the Gibbs sweep, the update of the topic model, that of the
# mixture, and the score-function gradient. Then yours denoise a page of digits and name the topics of the standard library. **Unit 03** lets a network do the
# inference, with the pathwise gradient of section 11.
