# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 06: Build deep attentive inference
#
# In a local hierarchy each layer receives features only from the layer directly above it, so information from the top
# must pass through every layer in between. Attention over depth lets a layer attend to *all* layers above it, and to
# all the evidence below, pixel by pixel. You write that attention, its counterpart over the pixels of one feature map,
# the gate through which attention enters a layer, the cost of attention, and finally the whole variational layer. Then
# you train an attentive hierarchy that runs your functions, next to a local one.
#
# | exercise | | difficulty | importance | time | points |
# |---|---|---|---|---|---|
# | 1 | `depthwise_attention` | 3 of 5 | 5 of 5 | 30 min | 7 |
# | 2 | `nonlocal_attention` | 3 of 5 | 3 of 5 | 20 min | 5 |
# | 3 | `attentive_context` | 2 of 5 | 4 of 5 | 10 min | 4 |
# | 4 | `attention_cost` | 2 of 5 | 4 of 5 | 15 min | 4 |
# | 5 | `variational_layer_step` | 5 of 5 | 5 of 5 | 50 min | 12 |
# | | pictures and question 1 | | | 35 min | 4 |
#
# **You need** lecture 06, and unit 00 for how an exercise works. **Conventions:** layers are counted from the top.
# Feature maps are `(batch, channels, height, width)`; lists hold one entry for each layer attended to. A scale or a
# gate is a scalar tensor or a Python float. Standard deviations come as `log_std` $= \log \sigma$; KLs are in *nats*.
# Attention is always the plain form: only the weights are normalised. **Results have the dtype of the inputs**
# (float64 in, float64 out), and no function changes its inputs or the lists that hold them.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Exercise 1: `depthwise_attention`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | at every pixel, average over layers, weighted by how well their keys match a query | 3 of 5 | 5 of 5 | 30 minutes |
#
# Layer $l$ attends to several other layers. At every pixel, each of them has a *key* $k_j$ and a *value* $v_j$. The
# layer compares its *query* $s$ with the keys, and averages the values by how well they match. At each pixel of each
# image, independently of all other pixels:
#
# $$\sum_j a_j v_j, \qquad a_j = \frac{e^{\tau \langle s, k_j \rangle}}{\sum_i e^{\tau \langle s, k_i \rangle}},$$
#
# where $\langle s, k_j \rangle$ sums over the key channels and $j$ runs over the layers attended to. The scale $\tau$
# is an argument: use it as it is, and do not add a $1/\sqrt{d}$. Scores may be as large as $10^9$, values as large as
# $10^{30}$.
#
# ```python
# depthwise_attention(query, keys, values, scale)
# # (batch, key_channels, h, w); list of the same; list of (batch, channels, h, w); scalar
# #   →  (batch, channels, h, w)
# ```
#
# {{cases of depthwise_attention}}
#
# <details><summary>Hint 1: a question</summary>
#
# How many numbers does the softmax run over, and how many softmaxes are there? (For an image of 8×8 pixels and 3
# layers, there are 64 softmaxes over 3 numbers.)
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Compute one score map `(batch, h, w)` for each layer, stack them along a new dimension, and take the softmax over it.
# `torch.softmax` subtracts the maximum for you. Each weight map needs a channel dimension before it multiplies a value.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `scores = [(scale * query * key).sum(dim=1) for key in keys]`
# </details>


# %% nbgrader={"grade": false, "grade_id": "depthwise_attention", "locked": false, "schema_version": 3, "solution": true}
@implements("depthwise_attention")
def depthwise_attention(query, keys, values, scale):
    """The values of several layers, averaged at each pixel by how well their keys match the query.

    query: the query of this layer, (batch, key_channels, h, w).
    keys: list with one tensor for each layer attended to, at least one, each shaped like query.
    values: list of as many tensors, (batch, channels, h, w) each.
    scale: factor on the scores, a scalar tensor or a float. Scores are finite but may be as large
        as 1e9, values as large as 1e30.
    Returns (batch, channels, h, w), in the dtype of the inputs. Neither tensors nor lists are
    changed. Gradients reach every tensor, including the scale.
    """
    ### BEGIN SOLUTION
    scores = [(scale * query * key).sum(dim=1) for key in keys]
    weights = torch.softmax(torch.stack(scores), dim=0)
    return sum(weight.unsqueeze(1) * value for weight, value in zip(weights, values, strict=True))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_depthwise_attention", "locked": true, "points": 7, "schema_version": 3, "solution": false}
check("depthwise_attention")

# %% [markdown]
# ## Exercise 2: `nonlocal_attention`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | within one feature map, let every pixel attend to every pixel | 3 of 5 | 3 of 5 | 20 minutes |
#
# Now attention runs over the pixels of a single feature map: each pixel attends to all of them. Rows are pixels, so an
# 8×8 map has 64 rows. For the pixel in row $n$:
#
# $$\sum_m a_{nm} v_m, \qquad a_{nm} = \frac{e^{\tau \langle q_n, k_m \rangle}}{\sum_{m'} e^{\tau \langle q_n, k_{m'}
# \rangle}}.$$
#
# The weights of each row $n$ sum to one over the pixels $m$ that it attends to. As before, use the scale as it is;
# scores may be as large as $10^9$, values as large as $10^{30}$.
#
# ```python
# nonlocal_attention(query, key, value, scale)
# # (batch, pixels, key_channels) twice, (batch, pixels, channels), scalar  →  (batch, pixels, channels)
# ```
#
# {{cases of nonlocal_attention}}
#
# <details><summary>Hint 1: a question</summary>
#
# The scores of one image form a matrix of pixels × pixels. Which of its dimensions belongs to the pixel with the query,
# and which to the pixels with the keys?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A matrix product with the transposed keys gives the scores. Take a softmax over the last dimension, then a second
# matrix product. `torch.nn.functional.scaled_dot_product_attention` does the same, with its own default scale. Its
# argument `scale` must be a float, which cuts off the gradient of your scale: multiply the query by your scale and pass
# `scale=1.0`.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `scores = scale * query @ key.transpose(1, 2)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "nonlocal_attention", "locked": false, "schema_version": 3, "solution": true}
@implements("nonlocal_attention")
def nonlocal_attention(query, key, value, scale):
    """Attention between the pixels of one feature map, one pixel in each row.

    query, key: (batch, pixels, key_channels).
    value: (batch, pixels, channels).
    scale: factor on the scores, a scalar tensor or a float. Scores are finite but may be as large
        as 1e9, values as large as 1e30.
    Returns (batch, pixels, channels), in the dtype of the inputs, which are not changed.
    Gradients reach all of them, including the scale.
    """
    ### BEGIN SOLUTION
    scores = scale * query @ key.transpose(1, 2)
    return torch.softmax(scores, dim=-1) @ value
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_nonlocal_attention", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("nonlocal_attention")

# %% [markdown]
# ## Exercise 3: `attentive_context`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a layer's own features, plus gated attention to the others | 2 of 5 | 4 of 5 | 10 minutes |
#
# The result of attention is multiplied by a gate and added to the layer's own features:
#
# $$\hat c = c + \gamma \sum_j a_j v_j.$$
#
# The gate $\gamma$ is a trained number that starts at 0. With $\gamma = 0$ the result is *exactly* $c$, bit for bit,
# however large the values are, so an attentive model starts as a local one. Still, the gate must receive its gradient
# there: `if gate == 0: return own` would keep it at 0 forever.
#
# ```python
# attentive_context(own, query, keys, values, scale, gate)
# # (batch, channels, h, w); (batch, key_channels, h, w); lists as in exercise 1; two scalars
# #   →  (batch, channels, h, w)
# ```
#
# {{cases of attentive_context}}
#
# <details><summary>Hint 1: a question</summary>
#
# What is $\partial \hat c / \partial \gamma$ at $\gamma = 0$?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# One call of your `depthwise_attention` (import it *inside this cell*, from `avae_lib.nn.depthwise_attention`), one
# product, one sum. A rearrangement such as $(c - \gamma c) + \dots$ is no longer exact.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `found = depthwise_attention(query, keys, values, scale)`
# </details>


# %% nbgrader={"grade": false, "grade_id": "attentive_context", "locked": false, "schema_version": 3, "solution": true}
@implements("attentive_context")
def attentive_context(own, query, keys, values, scale, gate):
    """A layer's own features plus gated attention to other layers.

    own: c, (batch, channels, h, w).
    query, keys, values, scale: as for depthwise_attention; values are shaped like own.
    gate: factor on the result of attention, a scalar tensor or a float.
    Returns (batch, channels, h, w), in the dtype of the inputs; exactly own where the gate is 0.
    Neither tensors nor lists are changed. Gradients reach every tensor, also a gate of 0.
    """
    ### BEGIN SOLUTION
    from avae_lib.nn.depthwise_attention import depthwise_attention

    return own + gate * depthwise_attention(query, keys, values, scale)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attentive_context", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("attentive_context")

# %% [markdown]
# ## Exercise 4: `attention_cost`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | count what the factorisation saves, in multiply-adds | 2 of 5 | 4 of 5 | 15 minutes |
#
# A hierarchy has $L$ layers on a grid of $H \times W$ pixels. Layer $l$ attends to the $l - 1$ layers above it. Count
# the *multiply-adds* for one image, over all layers together, in two designs:
#
# * **depth-wise**: each pixel attends to the same pixel of the layers above;
# * **full**: each pixel attends to every pixel of the layers above.
#
# For each pair of a query position and a key position there is one inner product of `key_channels` numbers (the
# score) and one weighted value of `channels` numbers (the sum). Softmax, scaling and the gate are not counted. The
# numbers get large: return exact integers.
#
# ```python
# attention_cost(layers, height, width, channels, key_channels)  # whole numbers, each at least 1
# #                                              →  (depth-wise, full), Python ints
# ```
#
# {{cases of attention_cost}}
#
# <details><summary>Hint 1: a question</summary>
#
# How many pairs (layer, layer above it) are there among $L$ layers? Try $L = 1, 2, 3$.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The cost is pairs of layers × pairs of positions × cost of one pair. Depth-wise there are $HW$ pairs of positions; in
# full attention each of $HW$ positions is paired with $HW$ positions. Python's integers are exact; `/` gives a float,
# which is not.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `pairs_of_layers = layers * (layers - 1) // 2`
# </details>


# %% nbgrader={"grade": false, "grade_id": "attention_cost", "locked": false, "schema_version": 3, "solution": true}
@implements("attention_cost")
def attention_cost(layers, height, width, channels, key_channels):
    """Multiply-adds of attention in a whole hierarchy, for one image: depth-wise and full.

    layers: number of layers, at least 1; each attends to all layers above it.
    height, width: of the grid of latents.
    channels: of the values. key_channels: of queries and keys.
    The inner products of queries and keys and the weighted sums of values are counted; softmax,
    scaling and gates are not.
    Returns the tuple (depth-wise, full) of Python ints, exact however large.
    """
    ### BEGIN SOLUTION
    pairs_of_layers = layers * (layers - 1) // 2
    pixels = height * width
    per_pair = key_channels + channels
    return pairs_of_layers * pixels * per_pair, pairs_of_layers * pixels**2 * per_pair
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attention_cost", "locked": true, "points": 4, "schema_version": 3, "solution": false}
check("attention_cost")

# %% [markdown]
# ## Exercise 5: `variational_layer_step`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | a whole attentive layer: attend to contexts, compute the prior, attend to evidence, draw | 5 of 5 | 5 of 5 | 50 minutes |
#
# Now write the layer of lecture 06. Contexts and evidence are *records* with the fields `.value` and `.key`. Your
# function gets the record and the latent of the layer above, `remembered` (records of *all* contexts above, top first;
# the layer above is among them already), the `evidence` (this layer's own record first, then those below it, or `None`),
# and the layer's networks and numbers as `parts`:
#
# | part | is |
# |---|---|
# | `parts.transition(context.value, z)` | the new context: a record with `.value` $c$, `.key` $k$, `.query` $s$, `.evidence_query` $r$ |
# | `parts.prior(condition)` | `(mean, log_std)` |
# | `parts.merge(evidence[0].value, condition)` | the merged evidence: a record with `.value` $\tilde e$, `.key` $\tilde k$ |
# | `parts.posterior(torch.cat([ê, k̃], dim=1))` | `(mean_shift, log_std_shift)`, relative to the prior |
# | `parts.context_gate`, `parts.context_scale` | $\gamma$, $\tau$ of attention to the contexts |
# | `parts.evidence_gate`, `parts.evidence_scale` | $\gamma'$, $\tau'$ of attention to the evidence |
#
# 1. The new context comes from the transition.
# 2. $\hat c = c + \gamma\, A(s;\, \text{remembered})$ with scale $\tau$: the `condition`.
# 3. The prior comes from $\hat c$.
# 4. With evidence: merge; then $\hat e = \tilde e + \gamma'\, A(r;\, [\text{merged}, \text{evidence below}])$ with scale
#    $\tau'$. The layer's own entry in that list is the *merged* record, value and key. The posterior is the prior plus
#    the shifts.
# 5. $z = \mu + e^{\log\sigma}\,\varepsilon$ with $\varepsilon$ = `noise`, from the posterior, or from the prior if there
#    is no evidence.
#
# Return four things: the new context *as the transition returned it*, the condition $\hat c$, $z$, and the KL of each
# image (0 without evidence, in the dtype of $\hat c$).
#
# ```python
# variational_layer_step(context, z, evidence, remembered, parts, noise)
# # record; (batch, latent, h, w); list of records or None; list of records; parts; (batch, latent, h, w)
# #   →  (context, condition (batch, width, h, w), z (batch, latent, h, w), kl (batch,) nats)
# ```
#
# {{cases of variational_layer_step}}
#
# <details><summary>Hint 1: a question</summary>
#
# The layer attends twice, to the contexts and to the evidence. For each: which query, which keys and values, which
# scale and which gate? Make a table of 2 × 4 before you type.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Use your `attentive_context` for both; the posterior is your `residual_gaussian` of unit 05, the draw your
# `reparameterize`, the KL your `gaussian_kl_per_layer`. Import them *inside this cell*, from
# `avae_lib.nn.depthwise_attention` and `avae_lib.gaussians`. Build new lists instead of changing those that you are
# given.
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `context = parts.transition(context.value, z)`, and then the keys and values of `remembered` as two lists.
# </details>


# %% nbgrader={"grade": false, "grade_id": "variational_layer_step", "locked": false, "schema_version": 3, "solution": true}
@implements("variational_layer_step")
def variational_layer_step(context, z, evidence, remembered, parts, noise):
    """One layer of an attentive hierarchy, from the layer above to its own latent.

    context: record of the layer above, with .value and .key; z: its latent, (batch, latent, h, w).
    evidence: list of records, this layer's own first, then those below, at least one; None to
        draw from the prior.
    remembered: list of records, all contexts above, top first, at least one; nothing is appended.
    parts: object with the callables transition, prior, merge and posterior, and the scalars
        context_gate, context_scale, evidence_gate and evidence_scale. The callables may be called
        any number of times; merge and posterior are not called without evidence.
    noise: standard normal numbers, shaped like the new latent.
    Returns the tuple (context, condition, z, kl): the record that the transition returned;
    the features from which the prior is computed; the new latent; KL(posterior || prior) of each
    example, (batch,), nats, summed over channels and pixels, zeros without evidence. No input is
    changed.
    """
    ### BEGIN SOLUTION
    from avae_lib.gaussians import gaussian_kl_per_layer, reparameterize, residual_gaussian
    from avae_lib.nn.depthwise_attention import attentive_context

    def looked_up(own, query, records, scale, gate):
        keys = [record.key for record in records]
        return attentive_context(own, query, keys, [record.value for record in records], scale, gate)

    context = parts.transition(context.value, z)
    condition = looked_up(context.value, context.query, remembered, parts.context_scale, parts.context_gate)
    prior_mean, prior_log_std = parts.prior(condition)
    if evidence is None:
        z = reparameterize(prior_mean, prior_log_std, noise)
        return context, condition, z, condition.new_zeros(len(condition))
    merged = parts.merge(evidence[0].value, condition)
    own = looked_up(
        merged.value,
        context.evidence_query,
        [merged, *evidence[1:]],
        parts.evidence_scale,
        parts.evidence_gate,
    )
    shifts = parts.posterior(torch.cat([own, merged.key], dim=1))
    mean, log_std = residual_gaussian(prior_mean, prior_log_std, *shifts)
    kl = gaussian_kl_per_layer([mean], [log_std], [prior_mean], [prior_log_std])[:, 0]
    return context, condition, reparameterize(mean, log_std, noise), kl
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_variational_layer_step", "locked": true, "points": 12, "schema_version": 3, "solution": false}
check("variational_layer_step")

# %% [markdown]
# ## An attentive VAE made of your functions
#
# The rest is a reward. You train two hierarchies of four layers whose configurations differ in one word: in one, each
# layer is connected to its neighbour; in the other, it attends to all layers above and to all the evidence below. Both
# run on your functions and learn patches of two colour photographs (on Colab: those of CIFAR-10, where a few minutes on
# a GPU help a lot). On one processor core the two take about two minutes.

# %% fast="steps = 20"
steps = 300
minutes = 10  # for each of the two; run the training cell again to continue
run = "06_first"  # another name begins another pair of models

# %%
from dataclasses import replace

from avae_lib import components, notebook_setup, plotting
from avae_lib.data import DataConfig
from avae_lib.notebook_setup import choose
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive


def twin(conditioning):
    preset = find_preset(f"photos32-{conditioning}-plain")
    images = DataConfig(choose("photos32", colab="cifar10"), flip_horizontal=True, validation=500)
    logging = {"evaluate_every": steps // 10, "evaluation_images": 100}
    training = derive(preset.training, steps=steps, batch_size=8, optimizer={"ema_decay": 0.98}, logging=logging)
    model = replace(preset.model, merger_key_channels=4)  # non-local blocks where streams meet
    return replace(preset, data=images, model=model, training=training)


print(components.report(twin("attentive").build_model()))

# %% [markdown]
# The table shows whose code each part of the model runs: *yours* once its cell has run, or once you have kept it in
# `my_components.py`. This model uses functions of units 00, 03, 04, 05 and 06 together.
#
# `watched` monitors your functions while they run. If one raises an error or returns NaN, one line says which, and
# where to look. It also compares functions of earlier units with the library's.

# %% tags=["picture-training"]
import functools

from avae_lib.component_health import watched
from avae_lib.training.notebook_training import train_in_notebook

runs = notebook_setup.keep_runs_on_drive(False)  # True keeps them on your Google Drive


@functools.cache  # run this cell again to go on, or with changed functions and another name of the run
def trained(conditioning):
    with watched("06_attentive_vae"):
        return train_in_notebook(twin(conditioning), runs / f"{run}-{conditioning}", minutes)


attentive = trained("attentive")

# %% tags=["build-check"]
assert attentive.step == steps
assert not [entry.name for entry in components.listing("06_attentive_vae") if not entry.is_replaced]

# %% [markdown]
# **What you should see:**
#
# ![A falling learning curve, and below it eight samples, speckled in the colours of the photographs](pictures/training.png)
#
# Now the local model, with the same budget. In our runs it ends ahead, with 5.7 bits per dimension against 5.9. As in
# figure 2 of the lecture, attention does not pay off in runs this short.

# %%
local = trained("local")

# %% [markdown]
# ### KL of each layer during training
#
# The run folders contain the KL of each layer on validation images. Here are both models on the same axes:

# %% tags=["picture-kl"]
from avae_lib.training.metrics import MetricsFile


def kl_curves(name):
    trained(name)
    rows = [row for row in MetricsFile(runs / f"{run}-{name}" / "metrics.jsonl").rows() if row["split"] == "valid"]
    return [row["step"] for row in rows], [[row["kl_per_layer"] for row in rows]]  # one seed


plotting.show(plotting.kl_of_layers_during_training({name: kl_curves(name) for name in ("local", "attentive")}))


# %% tags=["build-check"]
def last_bits(name):
    rows = MetricsFile(runs / f"{run}-{name}" / "metrics.jsonl").rows()
    return [row["bits_per_dim"] for row in rows if row["split"] == "valid"][-1]


assert last_bits("local") < last_bits("attentive") - 0.1, "the local twin ends ahead"
assert 5.4 < last_bits("local") < 6 and 5.6 < last_bits("attentive") < 6.2
assert all(torch.tensor(kl_curves(name)[1]).shape == (1, 10, 4) for name in ("local", "attentive"))

# %% [markdown]
# **What you should see** (one seed and a few hundred updates: the lecture has three seeds and longer runs):
#
# ![Two panels, local and attentive, with the KL of four layers against updates](pictures/kl.png)

# %% [markdown]
# ### Did the gates open?
#
# Every gate started at 0. How far it has moved shows how much its layer uses the attention. A gate may become negative:
# then the result of attention is subtracted.

# %% tags=["picture-gates"]
attentive = trained("attentive")
layers = attentive.model.layers
gates = {
    "contexts above": [layer.context_conditioning.gate.item() for layer in layers[1:]],
    "evidence below": [layer.evidence_conditioning.gate.item() for layer in layers],
}
after = {kind: {f"update {attentive.step}": values} for kind, values in gates.items()}
plotting.show(plotting.gates_of_layers(after, first_layer={"contexts above": 2, "evidence below": 1}))

# %% tags=["build-check"]
print(gates)
assert max(abs(gate) for values in gates.values() for gate in values) > 0.01

# %% [markdown]
# **What you should see:**
#
# ![Two panels with the gates of the layers: contexts above and evidence below](pictures/gates.png)

# %% [markdown]
# ## Question 1
#
# The gate of an untrained attentive layer is 0, and its scale $\tau$ is $1/\sqrt{d}$.
#
# * (a) At the very first update, which of these receive a gradient that is not zero *through this layer's attention*: the
#   gate, the scale, the network that computes the queries, the network that computes the keys, the values attended to? Why
#   does the layer still learn to attend?
# * (b) A friend starts the gate at 1 and the scale at 0 instead. Which of the five receive a gradient at the first update now,
#   and which property does the untrained model lose that it had with a gate of 0?
# * (c) Another friend appends each layer's *merged* evidence to the list that the layers below attend to for
#   their posteriors. Is the model's bound still a bound, and do samples from the prior change?
# * (d) A third lets the *prior* of each layer attend to the evidence below it as well. Answer both questions again.
#
# One or two sentences each. (4 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) The gate alone: ĉ = c + γ A, so the gradient with respect to anything inside A carries the factor γ = 0, while that
# of γ is the inner product of A with the gradient of ĉ. After this update γ is not 0 any more, and from the second one on
# all of them learn. (b) The gate, the scale and the values receive gradients; queries and keys do not, since scores are
# τ⟨s, k⟩ and their derivatives carry the factor τ = 0. Once τ has moved, they do. What is lost: with a gate of 0 the
# fresh model computes exactly what a local one computes. Now every layer starts with the plain average of all layers
# above added to its context at full strength. (c) Still a bound: a posterior may be any function of the image and of the
# latents above, and the merged evidence is one. Samples don't change for given weights, since no evidence is used in
# drawing from the prior. (d) No bound: the prior of z_l would depend on the image, so it is not p(z_l | z_<l), and the
# KLs can fall to 0 without any information having been dropped. From the prior one cannot sample at all, as there is no
# image whose evidence could be looked at.
#
# *Rubric.* One point for each part. (a) half for "the gate alone" with the factor γ, half for what happens from the
# second update on. (b) half for gate, scale and values but neither queries nor keys, with the factor τ; half for a start
# that is no longer the local model. (c) half for each question, with a reason. (d) half for each question, with a reason.
# ### END SOLUTION

# %% [markdown]
# ## Going further
#
# * On Colab: the real CIFAR-10 model, `cifar10-attentive-16`, for as many minutes as you have. Lecture 06 has the cell.
# * Let only the posterior attend, or only the prior (set the other gate to 0 with `components.using`). Which of the two
#   helps?
# * How much memory do the remembered contexts of `cifar10-attentive-16` take, at its batch of 160? Compute before you
#   measure.
# * Hand in `06_attentive_vae.ipynb` as unit 00 explains.
