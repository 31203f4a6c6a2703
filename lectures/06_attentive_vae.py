# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 06: Deep attentive variational inference
#
# A hierarchy of thirty layers passes information on as in the children's game of whispers: each layer hears only the one before it. What if every
# layer could look back at all layers before it, at every pixel, and use what it needs? This lecture builds that
# model, checks it against the library to the last bit, and measures what looking back costs and what it gains.
#
# **What you will be able to do**
#
# 1. Count the multiplications and the memory of attention between layers, full and factorised, and check the count by
#    measurement.
# 2. Write down the prior and the posterior of an attentive layer, say where each query, key and value comes from, and derive
#    why scores are divided by $\sqrt d$.
# 3. Say what model an attentive hierarchy is while its gates are zero, and what normalisation changes about that.
# 4. Assemble an attentive model from parts and show that it computes what the library computes, bit for bit.
# 5. Read a plot of KL per layer and a map of attention over depth, and say what they do not show.
#
# **What you need first.** Hierarchies, residual Gaussians and the top-down pass (unit 05); the bound and its two terms (unit 03).
# No knowledge of attention is assumed.
#
# | what it costs | |
# |---|---|
# | reading | ninety minutes, with a pencil for section 3 |
# | running, photographs of 32 × 32 pixels, one thread | about 100 seconds of processor time with PyTorch 2.14, of which the minute of training in section 8 is as long as you set it |
# | memory | 1.4 GB |
# | Colab | section 8 trains on CIFAR-10 for as many minutes as you set; not timed on Colab's GPUs |

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %%
import copy
import itertools
import math
import time
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from avae_lib import data, plotting
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.nonlocal_block import nonlocal_attention
from avae_lib.notebook_setup import choose, keep_runs_on_drive
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.notebook_training import train_in_notebook

torch.set_num_threads(1)  # networks this small are faster on one thread than on several

# %% fast="repeats, largest_side, games, minutes = 1, 16, 20, 0.05"
repeats = 3  # of each timed computation; the fastest counts
games = 800  # batches of a small memory game in section 4
largest_side = 64  # of the feature maps on which attention is timed
minutes = choose(1.0, colab=20)  # of training in section 8: set as many as you can spare

# %% [markdown]
# ## A first picture
#
# Deeper hierarchies can express more: unit 05 proved it, and its published tables show better bounds with every doubling. But how
# much does the thirtieth layer add? The authors of the model of this unit trained local hierarchies on CIFAR-10 and doubled the depth
# again and again.

# %%
published = {2: [3.5], 4: [3.26], 8: [3.06], 16: [2.96], 30: [2.91]}  # bits/dim
for (fewer, before), (more, after) in itertools.pairwise(published.items()):
    saved = before[0] - after[0]
    print(f"{fewer:2d} → {more:2d} layers: {before[0]:.2f} → {after[0]:.2f} bits/dim, {-100 * saved / before[0]:.1f} %")
plotting.show(plotting.bits_per_dim_against_depth({"local": published}))

# %% [markdown]
# **Figure 1.** Bits per dimension of CIFAR-10 test images against the number of stochastic layers, as published by Apostolopoulou et al. (2022; the authors'
# blog post, table 1). The first doubling saves 6.9 %; the last step saves 1.7 % and costs fourteen more layers.
#
# <!-- alt: A falling curve that flattens: 3.5 bits per dimension at two layers, 3.26 at four, 3.06 at eight, 2.96 at sixteen, 2.91 at thirty. -->

# %% tags=["build-check"]
falls = [100 * (1 - after[0] / before[0]) for before, after in itertools.pairwise(published.values())]
assert [round(fall, 1) for fall in falls] == [6.9, 6.1, 3.3, 1.7]

# %% [markdown]
# (The table itself prints −6.8, −6.1, −3.2 and −1.7 %; ours are computed from its rounded bits.)
#
# The authors' explanation: in a local hierarchy a layer sees the layer above it and nothing else. What layer 1
# encodes reaches layer 16 only if the fourteen layers in between pass it on, and each of them has its own use for the channels. Training then gives the upper
# layers little reason to carry information: "deep VAEs overthink".

# %% [markdown]
# **Check yourself.** (a) The last step of figure 1 is not a doubling. What does it save *per doubling*? (b) Name two reasons why the curve must flatten for *any* family of models.
#
# <details><summary>Answer</summary>
#
# (a) $\log_2 (30/16) = 0.91$ doublings save 1.7 %, so one would save about 1.9 %: still the smallest of the four. (b) No model can fall below
# the entropy of the data, so a monotone curve must level off somewhere. And the training set is finite: beyond some size a model
# gains on training images and not on test images. A flattening curve alone does not show that layers communicate badly.
# </details>

# %% [markdown]
# ## 1. The same, measured here
#
# Does depth help a local and an attentive hierarchy alike? Here is a comparison small enough for two cores: CIFAR-10, latents of 8 × 8 with two channels, width 16 to 24. At equal width the attentive model would be larger, because keys and queries pass through its
# cells. So the local models are widened until the numbers of *parameters* agree as nearly as widths allow (to 12 %). Attention is plain, without normalisation (section 5).

# %%
record = data.recorded("depth_local_attentive")
updates = min(run["curve"]["step"][-1] for arm in record["arms"] for run in arm["runs"])  # that all runs have had
print(f"{record['data']['title']}; validation images, after {updates} updates")
measured = {}
for arm in record["arms"]:
    curves = [dict(zip(run["curve"]["step"], run["curve"]["bits_per_dim"], strict=True)) for run in arm["runs"]]
    kind, layers = arm["factors"]["conditioning"], arm["factors"]["layers"]
    bits = measured.setdefault(kind, {})[layers] = [curve[updates] for curve in curves]
    milliseconds = min(run["ms_per_step"] for run in arm["runs"])
    print(f"{kind:9s} L = {layers:2d}: {arm['parameters']:7,} parameters, {milliseconds:3.0f} ms an update; ", end="")
    print("bits/dim of the seeds:", "  ".join(f"{value:.3f}" for value in bits))
plotting.show(plotting.bits_per_dim_against_depth(measured))

# %% [markdown]
# **Figure 2.** Bits per dimension against depth, here, on validation images, after the updates printed above. Markers are means of three seeds, and bars reach from the best to the worst. The attentive models gain from every doubling, the local ones up to 8 layers. On average the local ones are ahead at every depth; at 16 layers the two are close.
#
# <!-- alt: Two lines with error bars over 2, 4, 8 and 16 layers. The local one falls to 8 layers and rises a little after that. The attentive one lies above it, falls all the way and nearly meets it at 16 layers; its bars are long except at 16. -->

# %% tags=["build-check"]
means = {kind: [sum(bits) / len(bits) for bits in of_kind.values()] for kind, of_kind in measured.items()}
assert set(measured) == {"local", "attentive"} and all(len(bits) == 3 for of_kind in measured.values() for bits in of_kind.values())
assert means["attentive"] == sorted(means["attentive"], reverse=True), means
assert means["local"][:3] == sorted(means["local"][:3], reverse=True) and means["local"][3] > means["local"][2], means
behind = [attentive - local for attentive, local in zip(means["attentive"], means["local"], strict=True)]
assert min(behind) > 0 and behind[-1] == min(behind) < 0.1, behind

# %%
gains = {}
for layers in measured["local"]:
    pairs = zip(measured["local"][layers], measured["attentive"][layers], strict=False)  # seed by seed
    gains[layers] = torch.tensor([local - attentive for local, attentive in pairs])
    error = gains[layers].std() / len(gains[layers]) ** 0.5
    print(f"L = {layers:2d}: attention saves {gains[layers].mean():+.3f} ± {error:.3f} bits/dim ", end="")
    print(f"(mean and standard error of {len(gains[layers])} seeds)")

# %% tags=["build-check"]
sure = {layers: gain.mean() / gain.std() * len(gain) ** 0.5 > 4.3 for layers, gain in gains.items()}
assert not any(sure[layers] and gain.mean() > 0.03 for layers, gain in gains.items()), gains

# %% [markdown]
# So, at this scale: depth helps, and attention does not. The signs of the means agree, but no difference is large enough to be established by three seeds.
#
# Where does attention start to help? Look at how the lead of the local models changes during the runs.

# %%
print("how far the attentive models are behind, bits/dim, mean of the seeds, after")
print(" " * 8, "".join(f"{step:>8d}" for step in range(200, updates + 1, 200)), "updates")
arms = {(arm["factors"]["layers"], arm["factors"]["conditioning"]): arm["runs"] for arm in record["arms"]}


def bits_after(step, layers, kind):
    """Mean over seeds of the bound at one update."""
    curves = [run["curve"] for run in arms[layers, kind]]
    return sum(curve["bits_per_dim"][curve["step"].index(step)] for curve in curves) / len(curves)


arrears = {
    layers: [bits_after(step, layers, "attentive") - bits_after(step, layers, "local") for step in range(200, updates + 1, 200)]
    for layers in measured["local"]
}
for layers, values in arrears.items():
    print(f"L = {layers:2d}: ", "".join(f"{value:8.3f}" for value in values))
settled = {kind: sum(run["stop_rule_met"] for run in arms[16, kind]) for kind in ("local", "attentive")}
print(f"runs of 16 layers whose bound has settled: local {settled['local']} of 3, attentive {settled['attentive']} of 3")

# %% tags=["build-check"]
assert max(arrears[16][:4]) > 0.2 and arrears[16][3:] == sorted(arrears[16][3:], reverse=True) and arrears[16][-1] < 0.07, arrears
assert all(arrears[layers][-1] > arrears[layers][0] for layers in (2, 4, 8)), arrears
assert settled == {"local": 2, "attentive": 1}, settled

# %% [markdown]
# Attentive models fall behind early, at every depth: they have more to learn before attention is of use. At 16 layers, and only there, they then catch up, and two of their three runs have not settled. If the curves cross, it will be at 16 layers and after more updates than these; they do not cross here. An update takes eight images, so these
# runs have seen some ten thousand, and the published model about twenty million (400 epochs). In the published results, at 16 layers the attentive model has 2.82 bits/dim (section 12) and the local one 2.96 (figure 1), though the two need not be of equal size. Section 4 shows a game in which looking back decides everything, and section 10 shows how little the small model here uses it. The experiment's `full` scale repeats the comparison at width 96, on one GPU.

# %% [markdown]
# **Check yourself.** (a) At equal *width* the attentive model is larger and slower. Name three budgets that a comparison could hold equal instead. Which one is held equal here, and whom would the others favour? (b) With three seeds, how large must a mean difference be, in standard errors, before you would bet on its sign?
#
# <details><summary>Answer</summary>
#
# (a) Parameters, updates, and computing time. Parameters (nearly) and updates are equal here. An attentive update takes longer, so at equal time the local model could make more of them: the comparison favours the attentive side. (b) With three differences the $t$ distribution has two degrees of freedom, and a two-sided
# 95 % interval reaches 4.3 standard errors, not 2. If there is no difference at all, three seeds still show two standard errors or more nearly one time in five.
# </details>

# %% [markdown]
# ## 2. Two kinds of layer
#
# First the local hierarchy of unit 05, in the notation of this unit. Latents $z_1, \dots, z_L$ are feature maps, $z_1$ at the top. Prior
# and posterior follow the same chain,
#
# $$p(z) = \prod_{l=1}^{L} p(z_l \mid z_{<l}), \qquad q(z \mid x) = \prod_{l=1}^{L} q(z_l \mid z_{<l}, x), \tag{1}$$
#
# and the bound has one KL for each layer,
#
# $$\mathrm{ELBO}(x) = \mathbb{E}_q\bigl[\log p(x \mid z)\bigr] - \sum_{l=1}^{L} \mathbb{E}_q\Bigl[\mathrm{KL}\bigl(q(z_l \mid z_{<l}, x) \,\|\, p(z_l \mid z_{<l})\bigr)\Bigr]. \tag{2}$$
#
# Conditioning on "$z_{<l}$" is easy to write, but a network needs $z_{<l}$ as features. A local hierarchy passes one feature map down, the *context*,
#
# $$c_l = T_l(z_{l-1} \oplus c_{l-1}), \tag{3}$$
#
# where $\oplus$ puts channels side by side and $T_l$ is a cell of residual blocks. The prior of $z_l$ is computed from $c_l$ alone, so $c_l$
# has to summarise all of $z_{<l}$; so does every later context for its own layer.

# %%
plotting.show(plotting.layers_side_by_side())

# %% [markdown]
# **Figure 3.** A local layer and an attentive one, after figure 1 of the authors' blog post. Black: the parts both have; the dashed arrow is
# how $z_l$ is drawn when there is no image. Orange: attention A to all contexts above, and A' to the evidence below. (The query for A' is cut from $c_l$;
# its arrow is left out.)
#
# <!-- alt: Two diagrams. Local: the context and latent of the layer above enter the cell T, which gives the context c; c goes to the prior and, merged with the evidence e, to the posterior; both lead to z. Attentive: the same, with a node A that takes c and all contexts from c1 to c l minus 1 and adds to c before prior and merge, and a node A prime that takes the merged evidence and all evidence below and adds to the posterior. -->

# %% tags=["build-check"]
local_axes, attentive_axes = plotting.layers_side_by_side().axes
assert len(attentive_axes.texts) > len(local_axes.texts)

# %% [markdown]
# On the way up, a chain of cells computes evidence from the image: $e_{L+1}$ at the bottom, nearest to the pixels, $e_1$ at the top. A
# local layer reads $e_l$ alone. An attentive layer has two more inputs. The whole model looks like this.

# %%
plotting.show(plotting.attentive_model(layers=3))

# %% [markdown]
# **Figure 4.** An attentive model of three layers. Evidence goes up on the left, latents go down on the right. Orange: every layer also looks at all
# evidence below its own, and at all contexts above it.
#
# <!-- alt: A column of boxes from the image x up to e1 on the left, a column from a learned constant through three layers, a readout and the likelihood on the right. Black arrows lead up, down, and from each e to its layer; orange arrows lead from lower evidence to higher layers and, around the right edge, from each layer to all layers below it. -->

# %% tags=["build-check"]
assert len(plotting.attentive_model(layers=3).axes) == 1

# %% [markdown]
# **Check yourself.** (a) How many paths lead downwards from layer 1 to layer 4 in an attentive model of four layers? (b) Both models of figure 3 define a distribution of the form (1). So what can the attentive one express that the
# local one cannot?
#
# <details><summary>Answer</summary>
#
# (a) Each of layers 2 and 3 is visited or not, so there are $2^2 = 4$ if an
# orange arrow and the black arrow between neighbours count as one connection. In a model of $L$ layers there are $2^{L-2}$ from the first to the last; a local one has a single path. (b) With
# networks of unlimited width nothing: $c_l$ could carry everything. The difference is what a *given* width can carry, and how far a gradient has to travel.
# </details>

# %% [markdown]
# ## 3. The problem, and two ways to see it
#
# Layer $l$ has $l - 1$ tensors above it, $c_1, \dots, c_{l-1}$, each of size $H \times W \times C$. It needs *one* tensor of that size that summarises what matters in
# them. In attention a *query* is compared with the *keys* of everything that can be looked at, and *values* are averaged with weights that
# grow with the match. Values are the contexts. To produce queries $s$ and keys $k$, the cell gets a few more output channels:
#
# $$[c_l, s_l, k_l] \leftarrow T_l(z_{l-1} \oplus c_{l-1}). \tag{4}$$
#
# So each pixel of each layer has its own query and its own key. What should one query look at?

# %%
plotting.show(plotting.sequences_over_depth_and_space())

# %% [markdown]
# **Figure 5.** The query of one pixel of layer $l$ (orange), and what it can look at (blue). Left: everything. The same stack can be seen as $H \times W$
# sequences over depth (middle), or as $l - 1$ sequences over space (right).
#
# <!-- alt: Three stacks of four feature maps drawn as grids. On the left all pixels of all maps are coloured; in the middle the same pixel in each map; on the right all pixels of the lowest map. -->

# %% tags=["build-check"]
assert len(plotting.sequences_over_depth_and_space().axes) == 3

# %% [markdown]
# **Full attention.** Layer $l$ has $HW$ queries, and each looks at $(l-1) HW$ positions. A score $\langle s, k \rangle$ with $C_k$ channels takes $C_k$
# multiply-adds, and adding the value of that position to the average takes $C$. Sum over the layers, with $\sum_{l=1}^{L} (l - 1) = L(L-1)/2$:
#
# $$\text{full} = \sum_{l=1}^{L} HW \cdot (l-1)\, HW \cdot (C_k + C) = \frac{L(L-1)}{2}\, (HW)^2\, (C_k + C). \tag{5}$$
#
# **Depth-wise attention.** A query looks at its own pixel only, in each of the $l - 1$ layers:
#
# $$\text{depth-wise} = \sum_{l=1}^{L} HW \cdot (l-1) \cdot (C_k + C) = \frac{L(L-1)}{2}\, HW\, (C_k + C). \tag{6}$$
#
# The ratio is $HW$. The second gives up the view over space. The *factorised* scheme recovers it in another way: *non-local blocks* inside the cells let
# the pixels of one feature map look at each other (section 6). One such block costs $(HW)^2 (C_k + C)$, but the number of
# blocks grows with $L$, not with $L^2$. Information from any pixel of any layer can then arrive in two steps, first across space, then across depth.

# %%
# needs: attention_cost
from avae_lib.nn.depthwise_attention import attention_cost

print("multiply-adds for one image, L = 16, 256 channels, keys of 20")
for side in (8, 16, 32):
    depth_wise, full = attention_cost(16, side, side, 256, 20)
    convolution = side**2 * 9 * 256**2  # one convolution, 3 × 3, from 256 to 256 channels
    print(f"{side:2d} × {side:2d}: depth-wise {depth_wise:12,}  full {full:15,}  ratio {full // depth_wise:5d}", end="")
    print(f"  in convolutions: {depth_wise / convolution:.2f} and {full / convolution:.1f}")

# %% tags=["build-check"]
depth_wise, full = attention_cost(16, 16, 16, 256, 20)
assert full // depth_wise == 256 and 10 < full / (256 * 9 * 256**2) < 20
assert attention_cost(16, 32, 32, 256, 20)[1] == 16 * full

# %% [markdown]
# The last columns put this in proportion. At 16 × 16, where the published model has its latents, full attention would cost as much as
# 14 of its convolutions, and it has more than a hundred. It is the *growth* that rules it out: double the side,
# and a convolution costs four times as much, full attention sixteen times.
#
# Do the formulas hold on a real machine? We let a query look at three layers, at sizes small enough for two cores. Full attention is measured one layer at
# a time: `nonlocal_attention` lets all pixels of one map look at all pixels of another, and three calls need the multiplications that (5) counts. (Its softmax
# is then over one layer instead of all three; the cost is the same.) Time is processor time, the fastest of a few runs.

# %%
# needs: depthwise_attention, nonlocal_attention
above, channels, key_channels = 3, 32, 8


def inputs(side):
    torch.manual_seed(0)
    query, *keys = torch.randn(1 + above, 1, key_channels, side, side).requires_grad_()
    return query, keys, list(torch.randn(above, 1, channels, side, side).requires_grad_())


def over_depth(query, keys, values):
    return depthwise_attention(query, keys, values, key_channels**-0.5)


def over_everything(query, keys, values):
    query, *keys = (features.flatten(2).mT for features in (query, *keys))
    values = [value.flatten(2).mT for value in values]
    return [nonlocal_attention(query, k, v, key_channels**-0.5) for k, v in zip(keys, values, strict=True)]


# %%
# needs: depthwise_attention, nonlocal_attention
def seconds(compute, side):
    query, keys, values = inputs(side)
    times = []
    for _ in range(repeats + 1):
        started = time.process_time()
        with torch.no_grad():
            compute(query, keys, values)
        times.append(time.process_time() - started)
    return min(times[1:])  # the first call warms up


sides = [side for side in (8, 16, 32, 64) if side <= largest_side]
milliseconds = {
    name: [1000 * seconds(compute, side) for side in sides]
    for name, compute in (("full", over_everything), ("depth-wise", over_depth))
}
for side, full, depth_wise in zip(sides, *milliseconds.values(), strict=True):
    ratio = full / depth_wise
    print(f"{side:2d} × {side:2d}: full {full:8.2f} ms, depth-wise {depth_wise:6.3f} ms, ratio {ratio:4.0f}")


# %%
# needs: depthwise_attention, nonlocal_attention
pixels = [side**2 for side in sides]
plotting.show(plotting.costs_against_size(pixels, milliseconds, "pixels H · W of a layer", "processor time (ms)"))

# %% [markdown]
# **Figure 6.** Time to look at three layers, 32 channels each, measured here; both axes are logarithmic. At the smallest sizes both times are mostly overhead. Beyond them full attention rises with slope 2 or more: (5) predicts 2, and where the weights outgrow the processor's caches, time rises more steeply; depth-wise
# attention comes near the slope 1 of (6) at the end. (The slopes in the legend are those of the last interval.)
#
# <!-- alt: Two rising lines on logarithmic axes. Full attention rises steeply, with a slope of two or more; depth-wise attention rises gently and lies below it at the largest sizes. -->

# %% tags=["build-check"]
full_slope = math.log(milliseconds["full"][-1] / milliseconds["full"][-2]) / math.log(4)
depth_slope = math.log(milliseconds["depth-wise"][-1] / milliseconds["depth-wise"][-2]) / math.log(4)
assert 1.6 < full_slope < 3.2 and depth_slope < 1.6, (full_slope, depth_slope)
assert milliseconds["full"][-1] > 20 * milliseconds["depth-wise"][-1], milliseconds

# %% [markdown]
# Memory matters more than time. The memory that a computation keeps for the backward pass can be counted exactly: PyTorch calls a hook for every tensor that it saves.

# %%
def bytes_kept(compute, *arguments):
    """Bytes that PyTorch keeps for the backward pass, each block of memory counted once."""
    blocks = {}

    def note(tensor):
        blocks[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute(*arguments)  # held, so that its graph and the blocks stay alive
    return sum(blocks.values()) if result is not None else 0


# %%
# needs: depthwise_attention, nonlocal_attention
kept = {}
for side in (8, 16, 32):
    query, keys, values = inputs(side)
    kept[side] = [bytes_kept(attend, query, keys, values) / 2**20 for attend in (over_everything, over_depth)]
    print(f"{side:2d} × {side:2d}: full {kept[side][0]:7.2f} MiB, depth-wise {kept[side][1]:6.2f} MiB", end="; ")
    print(f"weights alone {above * side**4 * 4 / 2**20:6.2f} and {above * side**2 * 4 / 2**20:.3f} MiB")

# %% tags=["build-check"]
assert kept[32][0] > 10 * kept[16][0] and 3.5 < kept[32][1] / kept[16][1] < 4.5, kept
assert kept[32][0] > 10 * kept[32][1], kept

# %% [markdown]
# The weights of full attention alone grow with the fourth power of the side, and they soon dwarf everything else. (Some implementations
# compute them piece by piece and never store them; this saves memory, not multiplications.)

# %% [markdown]
# **Check yourself.** (a) The published model has 16 layers of 16 × 16 latents. How many numbers are the attention weights of all its layers together, full and
# depth-wise? (b) Attention over space inside each of the $l - 1$ maps, followed by attention over depth: how many steps does a message from a far
# pixel of layer 1 to layer 16 need? And with local layers and 3 × 3 convolutions?
#
# <details><summary>Answer</summary>
#
# (a) One weight for each query and position: $L(L-1)/2 \cdot (HW)^2 = 120 \cdot 65{,}536 = 7.9$ million for each image, against $120 \cdot 256 = 30{,}720$. (b) Two: once across the map, once
# across depth. With local layers the message passes 14 layers in between, and each convolution carries it one pixel further. Crossing 16 pixels takes 15 of them,
# which the cells do have, but any layer on the way may overwrite the message.
# </details>

# %% [markdown]
# ## 4. Attention over depth
#
# Look at one pixel. Layer $l$ has a query $s_l \in \mathbb{R}^{d}$ there, and each layer above it a key $k_j$ and a value $c_j$. The weights are a softmax of
# the scores, and the result is the weighted average of the values:
#
# $$a_{lj} = \frac{\exp \tau \langle s_l, k_j \rangle}{\sum_{i<l} \exp \tau \langle s_l, k_i \rangle}, \qquad A(s_l;\, c_{<l}) = \sum_{j<l} a_{lj}\, c_j. \tag{7}$$
#
# Take three layers with scores 2, 1 and −1 and $\tau = 1$. The exponentials are 7.39, 2.72 and 0.37, their sum is 10.48, so the weights are 0.71, 0.26 and 0.04. To see weights where a function
# returns only the average, make the values one-hot.

# %%
# needs: depthwise_attention
one_pixel = torch.ones(1, 1, 1, 1)
keys = [2 * one_pixel, 1 * one_pixel, -1 * one_pixel]  # with the query 1 these are the scores
one_hot = [channel.reshape(1, 3, 1, 1) for channel in torch.eye(3)]
weights = depthwise_attention(one_pixel, keys, one_hot, 1.0)
print("weights:", [f"{weight:.3f}" for weight in weights.flatten().tolist()])

# %% tags=["build-check"]
assert torch.allclose(weights.flatten(), torch.tensor([2.0, 1.0, -1.0]).softmax(0)), weights
assert [round(weight, 2) for weight in weights.flatten().tolist()] == [0.71, 0.26, 0.04]

# %% [markdown]
# Every pixel does this for itself. In the next picture three layers have one key each, the same at all pixels, 120° apart in the plane. The query of a pixel points from
# the middle of the picture to that pixel. So each pixel prefers the layer whose key points towards it, and the scale $\tau$ decides how strictly.

# %%
# needs: depthwise_attention
side, angles = 48, [math.pi / 2 + 2 * math.pi * layer / 3 for layer in range(3)]
across = torch.linspace(-1, 1, side)
query = torch.stack(torch.meshgrid(-across, across, indexing="ij")).flip(0)[None]  # (1, 2, side, side)
plane = torch.ones(1, 1, side, side)
keys = [torch.cat([math.cos(angle) * plane, math.sin(angle) * plane], dim=1) for angle in angles]
colours = [(0, 114, 178), (230, 159, 0), (0, 158, 115)]  # blue, orange, green
values = [torch.tensor(colour, dtype=torch.float32).reshape(1, 3, 1, 1) * plane for colour in colours]

# %%
# needs: depthwise_attention
scales, frames = [0, 1, 3, 10, 100], []
for scale in scales:
    found = depthwise_attention(query, keys, values, float(scale))
    row = {"c₁, c₂, c₃ and found": torch.cat([*values, found])}
    frames.append(plotting.image_rows(row, title=f"τ = {scale}", inches_per_image=1.1))
plotting.slider(frames, scales, "τ", start=2)

# %% [markdown]
# **Figure 7.** Depth-wise attention to three flat layers (blue, orange, green); the last picture is the result. At $\tau = 0$ every layer counts the same, and
# at $\tau = 100$ each pixel takes one layer and ignores the rest.
#
# <!-- alt: Three squares in blue, orange and green, and a fourth in which their colours meet in the middle: blue at the top, orange at the lower left, green at the lower right, blending smoothly into one another. -->

# %% tags=["build-check"]
hard, flat = depthwise_attention(query, keys, values, 100.0), depthwise_attention(query, keys, values, 0.0)
assert torch.allclose(flat, sum(values) / 3, atol=1e-3)
assert torch.allclose(hard[0, :, 0, side // 2], torch.tensor([0.0, 114.0, 178.0]), atol=1), "top: blue"
assert torch.allclose(hard[0, :, -1, 0], torch.tensor([230.0, 159.0, 0.0]), atol=1), "lower left: orange"
assert torch.allclose(hard[0, :, -1, -1], torch.tensor([0.0, 158.0, 115.0]), atol=1), "lower right: green"

# %% [markdown]
# **Which scale?** Suppose that the components of a query and of a key are independent with mean 0 and variance 1. Each product $s_i k_i$ then has mean
# $\mathbb{E} s_i\, \mathbb{E} k_i = 0$ and variance $\mathbb{E} s_i^2\, \mathbb{E} k_i^2 = 1$, and the $d$ products are independent, so their variances add:
#
# $$\operatorname{Var} \langle s, k \rangle = \sum_{i=1}^{d} \operatorname{Var}(s_i k_i) = d, \qquad \operatorname{Var} \tau \langle s, k \rangle = 1 \;\text{ for }\; \tau = \frac{1}{\sqrt d}. \tag{8}$$
#
# Without the scale, scores of 20 channels have a standard deviation of 4.5, and a fresh softmax starts out close to a hard choice. Here $\tau$ starts at
# $1/\sqrt d$ and is trained. In the published code it stays at 1, because it is not passed to the optimiser.

# %%
torch.manual_seed(0)
for d in (4, 20, 100):
    s, k = torch.randn(2, 10_000, 8, d)
    scores = (s[:, :1] * k).sum(-1)  # of one query with eight keys, 10,000 times
    largest = [(scale * scores).softmax(1).amax(1).mean() for scale in (1, d**-0.5)]
    print(f"d = {d:3d}: variance of a score {scores.var():6.1f}; ", end="")
    print(f"largest of eight weights, τ = 1: {largest[0]:.2f}, τ = 1/√d: {largest[1]:.2f}")

# %% tags=["build-check"]
assert abs(scores.var() / 100 - 1) < 0.05 and largest[0] > 0.9 and largest[1] < 0.5
assert round(math.sqrt(20), 1) == 4.5

# %% [markdown]
# ### The prior looks up
#
# The first use is the prior. A layer adds the result of attention to its own context and predicts the prior from the sum:
#
# $$\hat c_l = c_l + \gamma_l\, A(s_l;\, c_{<l}), \qquad p(z_l \mid z_{<l}) = \mathcal{N}\bigl(P_l(\hat c_l)\bigr). \tag{9}$$
#
# The *gate* $\gamma_l$ is one trained number. Only the plain context $c_l$ is passed down and stored; $\hat c_l$ stays in the layer. Otherwise
# layer 3 would find, as the stored context of layer 2, a mixture made for layer 2 alone.
#
# ### The posterior looks down
#
# The second use is the posterior. It reads evidence: its own, and everything below it, down to $e_{L+1}$ next to the pixels. Its query $r_l$ is
# the first few channels of $c_l$: what is worth knowing about the image depends on what has been decided above. The layer first
# corrects its own evidence for what is known already (equations (7) and (9) give $\hat c_l$),
#
# $$\tilde e_l \oplus \tilde k_l = V e_l + W \hat c_l, \tag{10}$$
#
# then attends to the evidence, with its own in the corrected form,
#
# $$\hat e_l = \tilde e_l + \gamma'_l\, A\bigl(r_l;\; \tilde e_l, e_{l+1}, \dots, e_{L+1}\bigr), \tag{11}$$
#
# and shifts the prior, as the residual Gaussians of unit 05 do:
#
# $$(\Delta\mu, \Delta\log\sigma) = Q_l(\hat e_l \oplus \tilde k_l), \qquad q(z_l \mid z_{<l}, x) = \mathcal{N}\bigl(\mu_p + \Delta\mu,\; \sigma_p^2\, e^{2 \Delta\log\sigma}\bigr). \tag{12}$$
#
# Like contexts, evidence is split into values and keys, $e_j \oplus k_j$, but it has no query: it is only looked at. The top layer has no contexts above it. Its context is a
# learned constant, its prior is $\mathcal{N}(0, I)$, and its posterior looks at all evidence.

# %% [markdown]
# ### Where looking back pays
#
# A game shows what (9) is for. In a chain of twelve layers, each receives two random numbers, and the last must return the two numbers of one layer, chosen at random. The local chain has a context of 9 channels and can only pass them on; the attentive one has 6 channels, keys of 4,
# and looks back with a query made from the question. Their parameters are about equal. A third, local, has 26 channels, room for all 24 numbers.

# %%
# needs: depthwise_attention
chain_layers, asked_keys = 12, 4


def mlp(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 48), nn.SiLU(), nn.Linear(48, outputs))


class Chain(nn.Module):
    def __init__(self, width, looks_back):
        super().__init__()
        self.width, self.looks_back = width, looks_back
        outputs = width + asked_keys if looks_back else width
        self.cells = nn.ModuleList(mlp(width + 2, outputs) for _ in range(chain_layers))
        self.query = nn.Linear(chain_layers, asked_keys) if looks_back else None
        self.answer = mlp(width * (2 if looks_back else 1) + chain_layers, 2)


# %%
# needs: depthwise_attention
def one_pixel_maps(rows):
    return rows[..., None, None]


def answers(chain, told, asked):
    """The two numbers that the last layer outputs; ``asked`` is one-hot over layers."""
    context, contexts, keys = told.new_zeros(len(told), chain.width), [], []
    for cell, numbers in zip(chain.cells, told.unbind(dim=1), strict=True):
        output = cell(torch.cat([context, numbers], dim=1))
        context = output[:, : chain.width]  # equation (3), with what the layer is told as z
        contexts.append(one_pixel_maps(context))
        keys.append(one_pixel_maps(output[:, chain.width :]))
    if chain.looks_back:
        query = one_pixel_maps(chain.query(asked))
        found = depthwise_attention(query, keys, contexts, asked_keys**-0.5)
        context = torch.cat([context, found.flatten(1)], dim=1)
    return chain.answer(torch.cat([context, asked], dim=1))


# %%
# needs: depthwise_attention
def play(rounds):
    told, which = torch.randn(rounds, chain_layers, 2), torch.randint(chain_layers, (rounds,))
    return told, F.one_hot(which, chain_layers).float(), told[torch.arange(rounds), which], which


def train_chain(chain):
    optimizer = torch.optim.Adam(chain.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, games)
    for _ in range(games):
        told, asked, wanted, _ = play(128)
        loss = (answers(chain, told, asked) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


# %%
# needs: depthwise_attention
errors = {}
for name, width, looks_back in (("local, 9 channels", 9, False), ("local, 26", 26, False), ("attentive, 6", 6, True)):
    torch.manual_seed(0)
    chain = Chain(width, looks_back)
    train_chain(chain)
    with torch.no_grad():
        told, asked, wanted, which = play(12_000)
        error = (answers(chain, told, asked) - wanted).square().mean(dim=1)
    errors[name] = [error[which == layer].mean().item() for layer in range(chain_layers)]
    print(f"{name:18s} {sum(parameter.numel() for parameter in chain.parameters()):6,} parameters, ", end="")
    print(f"squared error for layer 1: {errors[name][0]:.3f}, for the last: {errors[name][-1]:.3f}")

# %%
# needs: depthwise_attention
of_layers = {name: (range(1, chain_layers + 1), values) for name, values in errors.items()}
plotting.show(plotting.learning_curves(of_layers, y_label="squared error of the answer", x_label="layer that was told"))

# %% [markdown]
# **Figure 8.** Error of the answer against the layer whose numbers were asked for; 1 is the error of a chain that recalls nothing. After 800 batches the attentive chain recalls all layers. The local ones recall the last layer, part of the one before, and little or nothing further up.
#
# <!-- alt: Error against layer. Two lines, for the local chains, lie near one and fall only at the last layers; the line of the attentive chain lies near zero throughout. -->

# %% tags=["build-check"]
assert max(errors["attentive, 6"]) < 0.05, errors
assert min(errors["local, 9 channels"][:8]) > 0.8 and min(errors["local, 26"][:8]) > 0.8, errors
assert errors["local, 26"][-1] < 0.2 and errors["local, 9 channels"][-1] < 0.2, errors

# %% [markdown]
# The attentive chain need not store everything in one context: what layer 3 was told is still in $c_3$. The chain with 26 channels has room for all 24 numbers and still recalls only the latest. All cells would have to learn to leave the numbers alone, and 800 batches are too few for that. (Of the learning rates 0.001, 0.003, 0.01 and 0.03, the one used here, 0.01, is the best for this chain.)
#
# In the game, the relevant information is far away. In images most is nearby, so the benefit of attention has to be measured.

# %% [markdown]
# **Check yourself.** (a) Two layers have the same key at some pixel. How do their values enter (7)? (b) Which of $c, s, k, r$ does the *last* layer not need to output,
# and which the first? (c) What would change if each weight were $\sigma(\tau\langle s, k_j\rangle)$ on its own, with no softmax?
#
# <details><summary>Answer</summary>
#
# (a) With equal weights, so only their mean matters, whatever the two values are. (b) Nobody looks at the last context, so it needs no key; the first layer looks at no context, so it needs no $s$. It does need $r$. (c) It could find more,
# not less: sums of several layers, or nothing at all. What would be lost is the scale: with 15 layers above, the sum of 15 values can be 15 times as large as one of them, and layers at different depths would meet inputs of different size.
# </details>

# %% [markdown]
# ## 5. The gate at zero, and normalisation
#
# All gates start at zero. Then (9) says $\hat c_l = c_l$ and (11) says $\hat e_l = \tilde e_l$, exactly, whatever attention finds. A fresh attentive model
# *is* a local one that carries keys and queries along.

# %%
# needs: attentive_context, depthwise_attention
from avae_lib.nn.depthwise_attention import attentive_context

torch.manual_seed(0)
own, query, key, huge = torch.randn(4, 1, 8, 4, 4)
huge = 1e30 * huge
for gate in (0.0, 1e-30, 0.5):
    condition = attentive_context(own, query, [key], [huge], 8**-0.5, gate)
    print(f"gate {gate:g}: largest difference from its own context {(condition - own).abs().max():.3g}")

# %% tags=["build-check"]
assert torch.equal(attentive_context(own, query, [key], [huge], 8**-0.5, 0.0), own)

# %% [markdown]
# Starting from the identity is a well-known trick for deep networks (fixup, ReZero, the last scale of a residual block). It has two uses here. Early in training the contexts are noise, and a sum over noise
# would only disturb the layer. Also, training starts at the local twin, a model that is known to train. Section 10 shows how the gates move from there.
#
# **Normalisation.** The published model wraps (9) in layer norms. With $N(x) = x + \mathrm{gelu}(\mathrm{LN}(x))$, where LN brings the channels of each pixel to mean 0 and variance 1 and then scales and shifts them,
#
# $$\hat c_l = N(c_l) + \gamma_l\, N'\bigl(A(s_l;\, \mathrm{LN}(c_{<l}))\bigr). \tag{13}$$
#
# What does that add? First compare scales. A context is the sum of many residual corrections, and nothing keeps its size the same from layer to layer. In a weighted average, a value ten times as large as the others
# dominates even with a small weight. LN of the values gives every layer the same scale, and $N'$ bounds what comes through the gate.


# %%
trained = {}
for end in ("-early", "-middle", ""):
    steps = data.recorded_model_facts(f"attentive-photos32{end}")["steps"]
    trained[f"{steps:,} updates"] = data.recorded_model(f"attentive-photos32{end}")
photos = data.load("photos32")
busy = photos.test.float().var((2, 3)).mean(1).topk(120).indices
x = photos.test[busy[::8]]  # 15 test images with plenty of detail

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
def sizes_of_contexts(model, x):
    """Root mean square of c₂, c₃, …, as the cells put them out."""
    sizes = []

    def note(transition, inputs, context):
        sizes.append(context.value.square().mean().sqrt())

    hooks = [layer.transition.register_forward_hook(note) for layer in model.layers[1:]]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return torch.stack(sizes)


sizes = {moment: sizes_of_contexts(model, x) for moment, model in trained.items()}
for moment, of_layers in sizes.items():
    print(f"{moment:>13s}: size of c₂, c₃, …", "  ".join(f"{size:.2f}" for size in of_layers))

# %% [markdown]
# In these weights of a plain model, trained on photographs by `experiments/small_models`, contexts tend to grow on the way down, at all three moments. No layer looks at the last one, $c_8$. But $c_7$ is two to three times as large as $c_2$, and in a plain average it counts that much more.
#
# There is a price. With a norm around $c_l$ the gate at zero no longer gives the local layer: (13) becomes
#
# $$\hat c_l = N(c_l) = c_l + \mathrm{gelu}\bigl(\mathrm{LN}(c_l)\bigr) \ne c_l.$$
#
# Every norm also has two trained numbers for each channel, and
# the published code normalises the history one layer late, value and key together. This unit and its experiments use
# the *plain* form, (9) and (11), in which every part is visible; the presets `photos32-attentive` and `cifar10-attentive-16` use the normalised one.

# %% [markdown]
# **Check yourself.** (a) Suppose all gates stay exactly zero through training. Which parameters of the attentive model still learn something? (b) A softmax average of values that have mean 0 and variance 1 at each
# pixel: is its variance 1, too?
#
# <details><summary>Answer</summary>
#
# (a) Those that the local twin has too: cells, priors, posteriors, readout. Attention is then dead weight. (b) No, at most 1. An average of $n$ uncorrelated values with equal weights has variance $1/n$; only a hard choice keeps 1, or values that agree. The
# second norm $N'$ restores the size.
# </details>

# %% [markdown]
# ## 6. Non-local blocks: attention over space
#
# The other half of the factorised scheme looks across one feature map. With $n, m$ for pixels,
#
# $$y_n = x_n + \gamma \sum_{m=1}^{HW} \operatorname{softmax}_m\bigl(\tau \langle q_n, k_m \rangle\bigr)\, v_m, \qquad q, k, v = W_q x,\; W_k x,\; W_v x, \tag{14}$$
#
# again with a gate that starts at zero. These *non-local* blocks (Wang et al., 2018) are named after an older idea that needs no training, and that shows what looking across an image is good for. *Non-local means* (Buades et al., 2005) removes noise by
# averaging each pixel with all pixels whose surroundings look alike, wherever they are. With $f_n$ for the 3 × 3 patch around pixel $n$,
#
# $$\hat x_n = \sum_m \operatorname{softmax}_m\Bigl(-\tfrac1h \lVert f_n - f_m \rVert^2\Bigr)\, x_m. \tag{15}$$
#
# This *is* attention. Expand the square: $-\lVert f_n \rVert^2 + 2 \langle f_n, f_m \rangle - \lVert f_m \rVert^2$. The first term is the same for all $m$ and cancels in the softmax. This leaves the inner product of a query and a
# key with one extra channel,
#
# $$q_n = 2 f_n \oplus (-1), \qquad k_m = f_m \oplus \lVert f_m \rVert^2, \qquad v_m = x_m, \qquad \tau = 1/h. \tag{16}$$

# %%
# needs: nonlocal_attention
torch.manual_seed(0)
clean = x[:10].float()
sigma = 25
noisy = clean + sigma * torch.randn_like(clean)
patches = F.unfold(F.pad(noisy, (1, 1, 1, 1), mode="reflect"), 3).mT  # (images, pixels, 27)
query = torch.cat([2 * patches, -torch.ones_like(patches[..., :1])], dim=2)  # equation (16)
key = torch.cat([patches, patches.square().sum(2, keepdim=True)], dim=2)
colours = noisy.flatten(2).mT
h = 0.7 * 27 * sigma**2
found = nonlocal_attention(query, key, colours, 1 / h).mT.reshape(clean.shape)
blurred = F.avg_pool2d(F.pad(noisy, (1, 1, 1, 1), mode="reflect"), 3, stride=1)

# %%
# needs: nonlocal_attention
rows = {"clean": clean, "noisy": noisy, "3 × 3 average": blurred, "non-local": found}
error = {label: (picture - clean).square().mean().sqrt().item() for label, picture in rows.items()}
print("root mean squared error:", ", ".join(f"{label} {value:.1f}" for label, value in error.items()))
plotting.show(plotting.image_rows(rows, inches_per_image=0.75))

# %% [markdown]
# **Figure 9.** Test photographs with noise of standard deviation 25 levels, averaged over the 3 × 3 neighbourhood, and over all pixels with similar surroundings by one call of `nonlocal_attention`. The neighbourhood blurs edges; the non-local
# average keeps them where they separate unlike patches.
#
# <!-- alt: Four rows of small photographs: clean, grainy, blurred, and smooth with edges kept. -->

# %% tags=["build-check"]
assert error["non-local"] < error["3 × 3 average"] < error["noisy"], error

# %% [markdown]
# In (14) the patches, the inner product and the values are learned instead. In the published CIFAR-10 model such a block stands in each node of all residual cells up to the last layer (none in those that lead from there to the pixels), between normalisation and activation.

# %% [markdown]
# **Check yourself.** (a) In (15) each pixel is compared with itself, too, at distance 0. What happens for $h \to 0$? (b) Shuffle the pixels of a map, apply (14), and undo the shuffle. What changes?
#
# <details><summary>Answer</summary>
#
# (a) The pixel's own weight tends to 1 and the noise stays: nothing is averaged. (b) Nothing: (14) knows positions only through the contents of $x$. Only the convolutions around the block distinguish pixels by position.
# </details>

# %% [markdown]
# ## 7. The layer, assembled
#
# We now put the pieces together, building a small attentive model for digits from the library's convolutions and residual cells, give it the weights of a model that the library built, and compare their outputs. First,
# the parts of a layer: the maps of equations (4) and (9) to (12), and for each attention a gate and a scale.

# %%
from avae_lib.models.variational_layer import Transition
from avae_lib.nn.contexts import ChannelSplit
from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.nn.depthwise_attention import AttentiveConditioning, TrainedScale
from avae_lib.nn.residual_cells import JoiningConvolution, SummingConvolution, residual_cell

num_layers, width, latent, key_width = 4, 16, 2, 4
both = width + key_width  # channels of value and key together


# %%
class Layer(nn.Module):
    def __init__(self, is_last):
        super().__init__()
        split = ChannelSplit(value=both, key=0 if is_last else key_width, query=key_width, evidence_query=key_width)
        cell = residual_cell(split.channels, ["keep"])
        self.transition = Transition(JoiningConvolution(both, latent, split.channels), cell, split)  # (4)
        self.prior = nn.Sequential(nn.ELU(), WeightNormConvolution(both, 2 * latent))  # P in (9)
        self.merge = SummingConvolution(width, both, both)  # V and W in (10)
        self.posterior = WeightNormConvolution(both, 2 * latent, kernel_size=3)  # Q in (12)
        self.context_conditioning = AttentiveConditioning(TrainedScale(key_width))  # γ and τ in (9)
        self.evidence_conditioning = AttentiveConditioning(TrainedScale(key_width))  # γ' and τ' in (11)


# %% [markdown]
# `ChannelSplit` cuts the output of the cell into $c$, $k$ and $s$; $r$ is a part of $c$. The last layer needs no key. The top layer has a posterior and an evidence attention, and nothing else.

# %%
class TopLayer(nn.Module):
    def __init__(self):
        super().__init__()
        to_gaussian = WeightNormConvolution(both, 2 * latent, kernel_size=3)
        self.posterior = nn.Sequential(nn.ELU(), WeightNormConvolution(both, both), nn.ELU(), to_gaussian)
        self.evidence_conditioning = AttentiveConditioning(TrainedScale(key_width))


for layer in (TopLayer(), Layer(is_last=False), Layer(is_last=True)):
    print(f"{sum(parameter.numel() for parameter in layer.parameters()):6,} parameters", end="  ")

# %% [markdown]
# The model adds the upward path, the learned constant at the top, and the path from the last layer to the pixels: 8 × 8 pixels become 4 × 4 latents and 8 × 8 pixels again.

# %%
from avae_lib.nn.convolutions import PixelScaling
from avae_lib.nn.output_heads import DiscretizedLogisticHead


class SmallModel(nn.Module):
    def __init__(self):
        super().__init__()
        to_image, to_latents = ["double", "keep"], residual_cell(both // 2, ["keep", "halve"])
        first = WeightNormConvolution(1, both // 2, kernel_size=3)
        stem = nn.Sequential(PixelScaling(bits=4), nn.Identity(), first, to_latents)
        cells = nn.ModuleList(residual_cell(both, ["keep"]) for _ in range(num_layers))
        self.bottom_up = nn.ModuleDict({"stem": stem, "cells": cells})
        self.top = nn.ParameterDict({"constant": torch.zeros(1, both + key_width, 4, 4)})
        self.layers = nn.ModuleList([TopLayer(), *(Layer(number == num_layers) for number in range(2, num_layers + 1))])
        join = JoiningConvolution(both, latent, both)
        self.readout = nn.ModuleDict({"join": join, "cell": residual_cell(both, to_image)})
        last = WeightNormConvolution(both // 2, 9, kernel_size=3)  # 3 logistics for each pixel
        self.head = DiscretizedLogisticHead(nn.Sequential(nn.ELU(), last), channels=1, bits=4, mixtures=3)


# %% [markdown]
# `variational_layer_step` expects the maps of a layer under fixed names, with Gaussians as mean and log standard deviation. `bounded_log_std` keeps the latter between −5 and 5.

# %%
from avae_lib.nn.residual_posteriors import bounded_log_std


def gaussian(numbers):
    mean, raw_log_std = numbers.chunk(2, dim=1)
    return mean, bounded_log_std(raw_log_std)


def parts_of(layer):
    above, below = layer.context_conditioning, layer.evidence_conditioning
    return SimpleNamespace(
        transition=layer.transition,
        prior=lambda condition: gaussian(layer.prior(condition)),
        merge=lambda evidence, condition: ChannelSplit(width, key_width)(layer.merge(evidence, condition)),
        posterior=lambda features: gaussian(layer.posterior(features)),
        context_gate=above.gate,
        context_scale=above.scale(),
        evidence_gate=below.gate,
        evidence_scale=below.scale(),
    )


# %% [markdown]
# The upward path, and the top layer, which is (11) and (12) without anything above:

# %%
# needs: attentive_context, depthwise_attention
from avae_lib.gaussians import gaussian_kl_per_layer, reparameterize


def evidence_of(model, x):
    features = [model.bottom_up["stem"](x)]
    for cell in model.bottom_up["cells"]:
        features.insert(0, cell(features[0]))  # top first
    return [ChannelSplit(width, key_width)(feature) for feature in features]


def top_step(model, evidence, noise):
    layer, split = model.layers[0], ChannelSplit(value=both, key=key_width, evidence_query=key_width)
    context = split(model.top["constant"].expand(len(noise), -1, -1, -1))
    keys, values = [e.key for e in evidence], [e.value for e in evidence]
    attention = layer.evidence_conditioning
    own = attentive_context(values[0], context.evidence_query, keys, values, attention.scale(), attention.gate)
    mean, log_std = gaussian(layer.posterior(torch.cat([own, keys[0]], dim=1)))
    zeros = torch.zeros_like(mean)
    return context, reparameterize(mean, log_std, noise), gaussian_kl_per_layer([mean], [log_std], [zeros], [zeros])


digits = data.load("digits").test[:8]
print("evidence, top first:", [tuple(e.value.shape[1:]) for e in evidence_of(SmallModel(), digits)])

# %% [markdown]
# Next, the downward path. Each step returns the context, the latent and the KL; the context is appended to the list of remembered contexts, and the next step begins.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
from avae_lib.models.variational_layer import variational_layer_step


def terms_of_bound(model, x, noises):
    evidence = evidence_of(model, x)
    context, z, kl = top_step(model, evidence, noises[0])
    remembered, kls = [context], [kl[:, 0]]
    for index, layer in enumerate(model.layers[1:], start=1):
        at_and_below, parts = evidence[index:], parts_of(layer)
        context, _, z, kl = variational_layer_step(context, z, at_and_below, remembered, parts, noises[index])
        remembered.append(context)
        kls.append(kl)
    features = model.readout["cell"](model.readout["join"](context.value, z))
    return model.head.log_likelihood(features, x), torch.stack(kls, dim=1)


# %% [markdown]
# The library's model gets random gates, so that attention is at work. `load_state_dict` raises an error unless all weights match by name and shape; then both models get the same images and the same noise.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
from avae_lib.models.attentive import AttentiveConfig

torch.manual_seed(0)
plain = {"normalise_contexts": False, "normalise_evidence": False}
sizes = {"layers": num_layers, "width": width, "latent_channels": latent, "key_channels": key_width, "blocks": 1}
theirs, mine = AttentiveConfig(**sizes, **plain).build().eval(), SmallModel().eval()
for name, parameter in theirs.named_parameters():
    if name.endswith("gate"):
        nn.init.normal_(parameter)
mine.load_state_dict(theirs.state_dict())

torch.manual_seed(1)
noises = [torch.randn(len(digits), latent, 4, 4) for _ in range(num_layers)]
log_likelihood, kl = terms_of_bound(mine, digits, noises)

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
torch.manual_seed(1)
elbo = theirs(digits)
print("log-likelihood of the first images:", [f"{value:.4f}" for value in log_likelihood[:3].tolist()])
print("                     the library's:", [f"{value:.4f}" for value in elbo.log_likelihood[:3].tolist()])
print("KL of the four layers, first image:", [f"{value:.4f}" for value in kl[0].tolist()])
same = torch.equal(log_likelihood, elbo.log_likelihood) and torch.equal(kl, elbo.kl)
print("equal to the last bit, all images and layers:", same)

# %% tags=["build-check"]
assert same and kl.shape == (8, 4) and kl.min() > 0

# %% [markdown]
# **Check yourself.** (a) Which line above would you change to turn the model into its local twin, without touching a weight? (b) What would go wrong if `remembered.append(context)` came *before* the step?
#
# <details><summary>Answer</summary>
#
# (a) Set the gates to zero: `context_gate=0.0` and `evidence_gate=0.0` in `parts_of`, and the same in `top_step`. (b) At that moment `context` is still that of the layer above, which is in the list already. The layer
# would find it twice, with twice the weight of the others. Nothing would crash.
# </details>

# %% [markdown]
# ## 8. Training it
#
# The library's model is trained like every model of this course: the bound as loss, warm-up of the KL, averaged weights. On Colab the cell below trains the published model, 119 million parameters, on CIFAR-10, within the minutes
# that you set at the top. It looks at 16 images at a time instead of 160, to fit the memory of a small GPU (about 10 GiB by the library's estimate). Elsewhere the same code trains `photos32-attentive-plain` on crops of two photographs, and a few seconds will do.
#
# Training stops when the minutes are over and leaves a checkpoint. Run the cell again to go on, or restart the notebook after a disconnect: with `wanted=True` the run is kept on your Drive and continues where it stopped. On the command line the same
# is `avae train PRESET --training.minutes 20`.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention, nonlocal_attention
preset = find_preset(choose("photos32-attentive-plain", colab="cifar10-attentive-16"))
every = choose(10, colab=100)  # updates between two looks at validation images
watched = {"evaluate_every": every, "checkpoint_every": every, "evaluation_images": choose(32, colab=256)}
experiment = derive(preset, training={"batch_size": choose(8, colab=16), "logging": watched})

runs = keep_runs_on_drive(wanted=False)  # True keeps the run on your Drive
current = train_in_notebook(experiment, runs / f"lecture-06-{preset.name}", minutes)

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention, nonlocal_attention
torch.manual_seed(0)
images = experiment.data.load().test
images = images[images.float().var((2, 3)).mean(1).topk(128).indices[::16]]  # eight with something to see in them
with torch.no_grad():
    reconstructed, sampled = current.model.reconstruct(images), current.model.sample(8)
rows = {"test images": images, "reconstructed": reconstructed.cpu(), "sampled": sampled.cpu()}
title = f"{preset.name} after {current.step:,} updates"
plotting.show(plotting.image_rows(rows, title=title, inches_per_image=0.65))

# %% [markdown]
# **Figure 10.** Test images, their reconstructions from the latents, and images drawn from the prior, after the number of updates in the title. On the machine that built this page the minute ended long before the 1,000 updates of the preset: reconstructions are blurs, samples are noise.
#
# <!-- alt: Three rows of eight small pictures: test crops of photographs, dark blurs, and coloured noise. -->

# %% tags=["build-check"]
assert 20 <= current.step < 800, current.step
grain = [pictures.float().diff(dim=3).abs().mean() for pictures in (sampled, images, reconstructed)]
assert grain[0] > 2 * grain[1] and grain[1] > 2 * grain[2], grain

# %% [markdown]
# The learning curve above says more than the samples: where it still falls steeply, every comparison of models is a comparison of speeds. The runs of section 1 are such a case: at the end of their 1,600 updates 13 of the 24 have not settled (`experiments/depth_local_attentive` shows their curves).

# %% [markdown]
# **Check yourself.** (a) You stop after 20 minutes and go on tomorrow. Which of these must be in the checkpoint for the result to be the same as without a break: weights, averaged weights, moments of the optimiser, the order of the images, the state of the random number generators? (b) Why is the bound
# during training computed on *validation* images, when there are test images?
#
# <details><summary>Answer</summary>
#
# (a) All of them; the library's tests compare interrupted and uninterrupted runs bit for bit. (b) Because people look at curves and base decisions on them: when to stop, which of two variants to keep. What has been used for a decision no longer measures how well the result does on new images. The test set is used once, at the end.
# </details>

# %% [markdown]
# ## 9. Where the KL goes
#
# The KL of a layer is the number of nats that it carries about the image. If the claim about local hierarchies is right, their upper layers should drop to zero during training, and attention should change that. The authors show this in figure 7 of the paper. Here is the
# same measurement at our scale: same data, same number of layers, equal parameters.

# %%
record = data.recorded("kl_per_layer_training")
rows = min(len(run["curve"]["step"]) for arm in record["arms"] for run in arm["runs"])  # all to the same update
curves, shares = {}, {}
for arm in record["arms"]:
    kl = [run["curve"]["kl_per_layer"] for run in arm["runs"]]
    curves[arm["label"]] = (arm["runs"][0]["curve"]["step"][:rows], [of_run[:rows] for of_run in kl])
    last = torch.tensor([of_run[-1] for of_run in kl])  # (seeds, layers)
    top = last.shape[1] // 4  # layers of the upper quarter
    shares[arm["label"]] = last[:, :top].sum(1) / last.sum(1)
    of_seeds = ", ".join(f"{100 * share:.0f} %" for share in shares[arm["label"]])
    print(f"{arm['label']:16s} {last.sum(1).mean():6.1f} nats in all; share of the top {top} layers: {of_seeds}")
plotting.show(plotting.kl_of_layers_during_training(curves))

# %% [markdown]
# **Figure 11.** KL of each layer on validation images during training, eight layers, same axes. Lines are means of three seeds, bands reach from the smallest to the largest. The top two layers carry little, with one exception: in one attentive seed they carry about a third of all nats, and this is the run that has learned least. Which layer carries most differs from seed to seed.
#
# <!-- alt: Two panels with eight lines each over the updates. The darkest lines, of the top layers, stay low, apart from the band of one of them on the right; lines of lower layers rise to tens of nats with wide, overlapping bands. -->

# %% tags=["build-check"]
assert len(curves) == 2 and all(len(kl) >= 3 for _, kl in curves.values())
of_local, of_attentive = shares.values()
assert of_local.max() < 0.15 and of_attentive.median() < 0.05 < 0.3 < of_attentive.max() < 0.4, shares
totals = torch.tensor([sum(of_run[-1]) for of_run in list(curves.values())[1][1]])
assert totals.argmin() == of_attentive.argmax() and totals.min() < 0.6 * totals.median(), totals
ends = {label: torch.tensor([of_run[-1] for of_run in kl]) for label, (_, kl) in curves.items()}
assert all(len(of_seeds.argmax(1).unique()) > 1 for of_seeds in ends.values()), "the loudest layer differs"

# %% [markdown]
# The upper quarter of the local model carries at most 13 % of all nats, as the authors' claim predicts. With attention it carries no more, except in the run that is behind. Here the KL has its full weight from the first update, which makes it easy for layers to go unused.

# %% [markdown]
# **Check yourself.** (a) A layer has KL 0 on every image. Does it follow that removing it leaves the bound unchanged? (b) Layer 2's KL rises in one seed and layer 3's in another, with the same total. What do you conclude about "what layer 2 means"?
#
# <details><summary>Answer</summary>
#
# (a) Not quite. Its posterior equals its prior, so it carries nothing about the image; but $z_l$ is still noise that the layers below read, and its cell still computes. Without the layer the contribution of its cell would be lost. (b) Nothing about layer 2 as such. Which of two neighbours carries a piece of information
# is a matter of chance; only what all seeds share is a property of the model.
# </details>

# %% [markdown]
# ## 10. Who looks at whom
#
# The weights $a_{lj}$ of (7) can be plotted. `attention_maps` returns them at every pixel. They are drawn as *shares*, weights times the number of layers looked at: 1 means "as much as the others". First the means, at three moments of training.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
from avae_lib.evaluation.attention_maps import attention_maps

maps = {}
for moment, model in trained.items():
    torch.manual_seed(0)
    maps[moment] = attention_maps(model, x)
depth = len(maps[moment].evidence)  # layers
print(f"{depth} layers; maps of {tuple(maps[moment].evidence[0].shape[2:])} pixels for {len(x)} test images")


def mean_shares(of_layers, columns, first=0):
    """One row for each layer: weights times the number of layers looked at; NaN where it cannot look."""
    matrix = torch.full((len(of_layers), columns), math.nan)
    for row, weights in enumerate(of_layers):
        looked_at = weights.shape[1]
        matrix[row, first * row : first * row + looked_at] = looked_at * weights.mean(dim=(0, 2, 3))
    return matrix


# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
panels = {moment: mean_shares(of_model.contexts, depth - 1) for moment, of_model in maps.items()}
for moment, shares in panels.items():
    print(f"{moment:>13s}: mean shares of contexts from {shares[1:].nan_to_num(9).min():.2f} ", end="")
    print(f"to {shares.nan_to_num(0).max():.2f}")
plotting.show(plotting.attention_matrices(panels, range(2, depth + 1), range(1, depth), x_label="context looked at"))

# %% [markdown]
# **Figure 12.** Shares of attention to the contexts above, averaged over images and pixels. Mind the scale: on average the layers look at all contexts almost equally. Shares stay near 1 and move apart only a little, most in the lowest layers.
#
# <!-- alt: Three triangular matrices, one for each moment of training. Most cells have the middle colour; the last two rows have the brightest and darkest ones. -->

# %% tags=["build-check"]
first, *_, final = panels.values()
assert (first.nan_to_num(1) - 1).abs().max() < (final.nan_to_num(1) - 1).abs().max() < 0.5, (first, final)
assert (final[-2:].nan_to_num(1) - 1).abs().max() == (final.nan_to_num(1) - 1).abs().max(), final

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
panels = {moment: mean_shares(of_model.evidence, depth + 1, first=1) for moment, of_model in maps.items()}
for moment, shares in panels.items():
    print(f"{moment:>13s}: mean shares of evidence from {shares.nan_to_num(9).min():.2f} ", end="")
    print(f"to {shares.nan_to_num(0).max():.2f}; of the layer's own: {shares.diagonal().mean():.2f}")
plotting.show(
    plotting.attention_matrices(panels, range(1, depth + 1), range(1, depth + 2), x_label="evidence looked at")
)

# %% [markdown]
# **Figure 13.** Shares of attention to the evidence; on the diagonal is the layer's own, as merged. It gets neither much more nor much less than the evidence below.
#
# <!-- alt: Three triangular matrices, filled to the right of the diagonal, mostly in the middle colour, with a few darker cells on the diagonal. -->

# %% tags=["build-check"]
assert all((matrix.nan_to_num(1) - 1).abs().max() < 0.5 for matrix in panels.values())

# %% [markdown]
# Means hide what happens at single pixels. Move the slider to choose the layer that looks; each row is an image at one moment of training, each column a context above.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
names = [f"$c_{{{layer}}}$" for layer in range(1, depth)]
layers, shown, frames = list(range(3, depth + 1)), [1, 4], []
for layer in layers:
    of_layer = {moment: of_model.contexts[layer - 2][shown] for moment, of_model in maps.items()}
    title = f"layer {layer} looks at the contexts above it"
    frames.append(plotting.attention_on_images(x[shown], of_layer, names, title))
plotting.slider(frames, layers, "layer", start=len(layers) - 1)

# %% [markdown]
# **Figure 14.** Shares at single pixels, from 0 (dark) over 1 (middle) to 2 (bright), for two test images. Some pixels prefer one context, and not the same one at all moments; most shares stay near 1.
#
# <!-- alt: Rows of an image and seven small maps in a middle colour, one for each context, with single brighter and darker pixels. -->

# %% tags=["build-check"]
of_pixels = torch.stack([(depth - 1) * of_model.contexts[-1] for of_model in maps.values()])
assert of_pixels.max() > 1.4 and of_pixels.min() < 0.8, (of_pixels.min(), of_pixels.max())
assert of_pixels.quantile(0.1) > 0.7 and of_pixels.quantile(0.9) < 1.4

# %% [markdown]
# A large weight is not yet a large effect. The result of attention is multiplied by the gate, so look at the gates of the same models.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
gates = {"contexts: γ": {}, "evidence: γ'": {}}
for moment, model in trained.items():
    gates["contexts: γ"][moment] = [layer.context_conditioning.gate.item() for layer in model.layers[1:]]
    gates["evidence: γ'"][moment] = [layer.evidence_conditioning.gate.item() for layer in model.layers]
plotting.show(plotting.gates_of_layers(gates, {"contexts: γ": 2, "evidence: γ'": 1}))

# %% [markdown]
# **Figure 15.** Gates of both kinds of attention at the three moments. All started at 0. They have moved in either direction and are still small.
#
# <!-- alt: Two panels of three lines each over the layers, all within about a tenth of zero, some above and some below. -->

# %% tags=["build-check"]
sizes_of_gates = [abs(gate) for kind in gates.values() for values in kind.values() for gate in values]
assert 0.03 < max(sizes_of_gates) < 0.3

# %% [markdown]
# How much does the model use the result? Close all gates, leave everything else unchanged, and compute the bound again, with the same noise.

# %%
# needs: variational_layer_step, attentive_context, depthwise_attention
closed = copy.deepcopy(trained[moment])  # of the last moment
with torch.no_grad():
    for name, parameter in closed.named_parameters():
        if name.endswith("gate"):
            parameter.zero_()

validation, bits = data.load("photos32", validation=500).pixels("valid"), {}
for state, model in (("as trained", trained[moment]), ("all gates closed", closed)):
    torch.manual_seed(0)
    with torch.no_grad():
        bits[state] = -model(validation).bound.mean().item() / (model.num_dims * math.log(2))
    print(f"{state:17s} {bits[state]:.3f} bits/dim on validation images")
facts = {kind: data.recorded_model_facts(f"{kind}-photos32") for kind in ("attentive", "local")}
for kind, fact in facts.items():
    print(f"{kind:9s} {fact['steps']:,} updates, {fact['parameters']:,} parameters: ", end="")
    print(f"{fact['bits_per_dim']['valid']:.3f} bits/dim on validation images")

# %% tags=["build-check"]
assert abs(bits["all gates closed"] - bits["as trained"]) < 0.01, bits
assert facts["local"]["steps"] == facts["attentive"]["steps"]
assert facts["local"]["bits_per_dim"]["valid"] < facts["attentive"]["bits_per_dim"]["valid"]

# %% [markdown]
# All of this fits together. Scores are nearly equal, gates nearly closed, and closing them altogether changes the bound by less than a hundredth of a bit. The local twin of equal size, trained in the same way, is ahead (one seed each; the last two lines use 100 of the 500 validation images, the first two all). This model has attention and does not use it yet. The maps alone would not have shown this: look at maps, gates and bound together.

# %% [markdown]
# **Check yourself.** (a) The weights of layer 2 on contexts form a matrix of ones. Is that a finding? (b) A map shows weight 0.9 on $c_1$ everywhere. Name two measurements that would show whether the layer *uses* $c_1$.
#
# <details><summary>Answer</summary>
#
# (a) No: layer 2 has one context above it, and a softmax over one entry is 1. (b) The size of $\gamma A$ compared with that of $c_l$; and the change of the bound when the gate of this layer is set to zero, or when $c_1$ is replaced by that of another image.
# </details>

# %% [markdown]
# ## 11. What the history costs
#
# A local hierarchy can free $c_{l-1}$ as soon as $c_l$ is computed (though it is kept for the backward pass anyway). An attentive one keeps all contexts, $L$ tensors, and all evidence, $L + 1$ tensors. That is linear in $L$, and no more than backpropagation
# keeps at the inputs of the cells. But it is easy to make it quadratic. The obvious way to write (7) is to *stack* the $l - 1$ keys and values along a new dimension and to work on the block. A stack is a copy. Layer $l$ copies $l - 1$ tensors,
# and because the backward pass needs them, all copies of all layers live at the same time:
#
# $$\sum_{l=2}^{L} (l - 1) = \frac{L(L-1)}{2} \quad\text{contexts, and}\quad \sum_{l=1}^{L} (L + 2 - l) = \frac{L(L+3)}{2} \quad\text{of evidence.} \tag{17}$$
#
# The function of this unit therefore takes *lists*. To measure the difference with the same function, pass it lists that are slices of a fresh stack.

# %%
# needs: depthwise_attention
def attend_over(depth, stacked):
    """All layers of a hierarchy look at the contexts above them."""
    torch.manual_seed(0)
    contexts = [torch.randn(4, 32, 8, 8, requires_grad=True) for _ in range(depth)]
    keys = [torch.randn(4, 8, 8, 8, requires_grad=True) for _ in range(depth)]
    results = []
    for layer in range(1, depth):
        above, above_keys = contexts[:layer], keys[:layer]
        if stacked:
            above, above_keys = list(torch.stack(above)), list(torch.stack(above_keys))
        results.append(depthwise_attention(keys[layer], above_keys, above, 8**-0.5))
    return results


# %%
# needs: depthwise_attention
depths = [2, 4, 8, 16, 32]
mebibytes = {
    name: [bytes_kept(attend_over, depth, stacked) / 2**20 for depth in depths]
    for name, stacked in (("slices of a stack", True), ("a list", False))
}
print("                  ", "  ".join(f"L = {depth:2d}" for depth in depths))
for name, values in mebibytes.items():
    print(f"{name:18s}", "  ".join(f"{value:6.2f}" for value in values), "MiB")
plotting.show(plotting.costs_against_size(depths, mebibytes, "layers L", "kept for backward (MiB)"))

# %% [markdown]
# **Figure 16.** Memory that depth-wise attention keeps for the backward pass, four images of 8 × 8 latents with 32 channels. Stacked, it grows with the square of the depth; as a list, in proportion to it, apart from the weights, which are one channel
# for each pair of layers.
#
# <!-- alt: Two rising lines on logarithmic axes against the number of layers. The upper one, slices of a stack, has a slope near two, the lower one, a list, a slope near one. -->

# %% tags=["build-check"]
stack_slope, list_slope = (math.log2(values[-1] / values[-2]) for values in mebibytes.values())
assert stack_slope > 1.8 and list_slope < 1.5, (stack_slope, list_slope)
assert mebibytes["slices of a stack"][-1] > 5 * mebibytes["a list"][-1]

# %% [markdown]
# For the published model the arithmetic is this, for one GPU with its 40 images:

# %%
context, evidence = (40 * channels * 16 * 16 * 4 for channels in (296, 276))  # images, value and key, pixels, float32
layers = 16
copies = {"stacked": (layers * (layers - 1) // 2, layers * (layers + 3) // 2), "as lists": (layers, layers + 1)}
print(f"one context: {context / 2**20:.1f} MiB, one entry of evidence: {evidence / 2**20:.1f} MiB")
for way, (contexts, entries) in copies.items():
    total = contexts * context + entries * evidence
    print(f"{way}: {contexts} contexts and {entries} entries of evidence, {total / 2**30:.2f} GiB")

# %% tags=["build-check"]
assert list(copies.values()) == [(120, 152), (16, 17)]

# %% [markdown]
# Other ways to save memory: recompute the weighted sums in the backward pass instead of keeping anything (`torch.utils.checkpoint`, which trades time for memory); let a layer look at every second context, or at the last $k$ only, which gives up exactly what attention was for;
# keep narrow values for attention and wide ones for passing down.

# %% [markdown]
# **Check yourself.** (a) While *sampling*, nothing is kept for a backward pass. How much memory do stacks need then? (b) By how many do the copies of evidence in (17) outnumber those of contexts, and why?
#
# <details><summary>Answer</summary>
#
# (a) A stack can be freed as soon as its layer is done, so one at a time: at most $L - 1$ tensors, linear in $L$. (b) By $L(L+3)/2 - L(L-1)/2 = 2L$. From the bottom layer to the top one, the layers look at $2, 3, \dots, L+1$ entries of evidence;
# from the top to the bottom, at $0, 1, \dots, L-1$ contexts. That is two more, for each of the $L$ layers: the layer's own evidence, and $e_{L+1}$, which belongs to no layer.
# </details>

# %% [markdown]
# ## 12. The published comparison
#
# Does it pay? These are the numbers for CIFAR-10, all from the sources named in the last column.
#
# | model | layers | training | GPU hours | bits/dim | source |
# |---|---|---|---|---|---|
# | Attentive VAE, 119 million parameters | 16 | 400 epochs | 272 | 2.82 | authors' blog post, table 2; parameters: their code |
# | | | 500 epochs | 336 | 2.81 | the same |
# | | | 900 epochs | 608 | 2.79 | the same |
# | NVAE, 131 million parameters | 30 | | 440 | 2.91 | the same; hours: its repository, 55 hours on eight GPUs |
# | Very Deep VAE, 39 million parameters | 45 | | 288 | 2.87 | the same; 6 days on two GPUs; its repository has four seeds, 2.84 to 2.90 |

# %%
results = {
    "Attentive VAE": [(272, 2.82, "400 epochs"), (336, 2.81, "500"), (608, 2.79, "900")],
    "NVAE": [(440, 2.91, "30 layers")],
    "Very Deep VAE": [(288, 2.87, "45 layers")],
}
plotting.show(plotting.quality_against_gpu_hours(results))

# %% [markdown]
# **Figure 17.** The table above as a picture. At about 280 GPU hours the attentive model with 16 layers is 0.05 bits/dim below the Very Deep VAE with 45. After that, each further hundredth costs more hours.
#
# <!-- alt: Bits per dimension against GPU hours. Attentive VAE: three connected points falling from 2.82 at 272 hours to 2.79 at 608. NVAE: 2.91 at 440. Very Deep VAE: 2.87 at 288. -->

# %% tags=["build-check"]
attentive_runs = results["Attentive VAE"]
assert round(results["Very Deep VAE"][0][1] - attentive_runs[0][1], 2) == 0.05
assert (2.82 - 2.81) / (336 - 272) > (2.81 - 2.79) / (608 - 336)

# %% [markdown]
# Read such a table with care. GPU hours on different GPUs and with different code are not comparable. The Very Deep VAE has a third of the parameters, and its seeds differ by as much as 0.06. The three models differ in more than attention: cells, likelihoods, optimisers. And
# the attentive model's code counts the probability of level 254 partly twice (its last bin begins at 0.99 on the scale from −1 to 1), which makes bright pixels look cheaper than they are; so does NVAE's. A fair comparison changes one thing only: it is with the local twin, trained in the same way. The
# authors publish its size (79 million parameters), and sections 1 and 9 make this comparison at small scale.

# %% [markdown]
# **Check yourself.** Which single additional run would tell you most about whether attention, and not the number of parameters, makes the difference?
#
# <details><summary>Answer</summary>
#
# The local twin widened to the same number of parameters (119 million instead of 79), same data, same schedule, same code for the likelihood, several seeds of both. The experiment behind section 1 does this at a small scale.
# </details>

# %% [markdown]
# ## What to remember
#
# $$\hat c_l = c_l + \gamma_l \sum_{j<l} \operatorname{softmax}_j\bigl(\tau \langle s_l, k_j \rangle\bigr)\, c_j$$
#
# 1. In a local hierarchy all of $z_{<l}$ has to pass through one context. Attention over depth lets every pixel of every layer read any context above (prior) and any evidence below (posterior).
# 2. Full attention between layers costs $(HW)^2$ for each pair, depth-wise $HW$. Non-local blocks inside the cells add the view over space at a cost that is linear in $L$.
# 3. Scores are divided by $\sqrt d$, gates start at zero: a fresh attentive model computes what a local one does.
# 4. Keep the history as a list. Stacks cost $O(L^2)$ copies.
# 5. Whether attention helps is measured against the local twin at equal parameters, on the same axes, over seeds.

# %% [markdown]
# ## What goes wrong in practice
#
# | what you see | what it is |
# |---|---|
# | out of memory although the model is small | the history is stacked at every layer (figure 16), or attention weights over pixels are stored; count what the backward pass keeps |
# | attention maps flat, all weights equal | scores divided by $\sqrt d$ twice, or keys that differ only by noise around the same bias. Look at the spread of the scores |
# | attention maps all on one layer from the first step | no scale at all with wide keys (section 4), or values used as keys |
# | the posterior is a poor copy of the prior, KL near zero everywhere | queries taken from ĉ of another layer, or evidence in the wrong order: its own must come first, then those below, $e_{l+1}, \dots, e_{L+1}$ |
# | samples look unlike reconstructions | the sampling path differs from the training path: history not filled, or evidence looked at; the pass without evidence must use no encoder |
# | trains, but loss a little worse than the twin's | the layer above is in the list of contexts twice, or is missing (section 7); nothing crashes |
# | NaN after thousands of steps | scores overflow in half precision: compute the softmax in float32, and keep the log standard deviations bounded |
# | "attention helps by 0.1 bits" | more parameters, more compute, one seed. Compare with a widened twin |

# %% [markdown]
# ## Sources
#
# | for | source |
# |---|---|
# | the model, figures 1, 3 and 17; the idea of figure 11 (their figure 7) | I. Apostolopoulou, I. Char, E. Rosenfeld and A. Dubrawski, *Deep Attentive Variational Inference*, ICLR 2022; the authors' blog post of the same title, Machine Learning Department, Carnegie Mellon University, 2022; their code, [Deep_Attentive_VI](https://github.com/ifiaposto/Deep_Attentive_VI) |
# | queries, keys, values and $1/\sqrt d$ | A. Vaswani et al., [Attention Is All You Need](https://arxiv.org/abs/1706.03762), NeurIPS 2017 |
# | non-local blocks, and their gate | X. Wang, R. Girshick, A. Gupta and K. He, [Non-local Neural Networks](https://arxiv.org/abs/1711.07971), CVPR 2018; H. Zhang et al., [Self-Attention Generative Adversarial Networks](https://arxiv.org/abs/1805.08318), ICML 2019 |
# | equation (15) | A. Buades, B. Coll and J.-M. Morel, *A non-local algorithm for image denoising*, CVPR 2005 |
# | gates that start at zero | T. Bachlechner et al., [ReZero is All You Need](https://arxiv.org/abs/2003.04887), UAI 2021 |
# | residual Gaussians, the cells, the numbers of NVAE | A. Vahdat and J. Kautz, [NVAE: A Deep Hierarchical Variational Autoencoder](https://arxiv.org/abs/2007.03898), NeurIPS 2020, and its repository |
# | the numbers of the Very Deep VAE | R. Child, [Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images](https://arxiv.org/abs/2011.10650), ICLR 2021, and its repository |
# | attention without stored weights | M. Rabe and C. Staats, [Self-attention Does Not Need O(n²) Memory](https://arxiv.org/abs/2112.05682), 2021; T. Dao et al., [FlashAttention](https://arxiv.org/abs/2205.14135), NeurIPS 2022 |
# | the data | A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009 (CIFAR-10); the two photographs come with scikit-learn |

# %% [markdown]
# ## Where next
#
# The **assignment** of this unit asks for the five functions behind this lecture; the largest, `variational_layer_step`, joins the others. At its end, the library's attentive model is trained with *your* functions in it, beside its local twin. **Unit 07** asks what
# these bits per dimension mean: how tight the bound is, what a hierarchy knows about images it has never seen, and what a model is worth per GPU hour.
