# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 08: The capstone, a model of your own
#
# You train a generative model of colour photographs within a budget, hand in its weights, and claim a number. The grader
# rebuilds your model from your files, measures it on the public test images and on images that you have never seen, and
# compares. A person reads your report.
#
# | part | graded by | time | points |
# |---|---|---|---|
# | the claimed number is true of the model | the grader | 1 hour | 10 |
# | the budget is kept, the table complete | the grader | | 6 |
# | the model is better than the baseline, and by how much | the grader | 5 hours | 14 |
# | question 1: your report, one page | a person | 2 hours | 12 |
# | question 2: one comparison, and what failed | a person | 2 hours | 8 |
#
# **You need** units 03 to 07. You do not write any function here: you may use every model and preset of the library,
# with your own functions from the earlier units inside. **Conventions:** everything is in bits per dimension, and lower
# is better.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## The task and the budget
#
# The data set is `photos32`: crops of 32×32 pixels from the two photographs that come with scikit-learn. The limits are
# the same for everybody.

# %%
from avae_lib import capstone

budget, baseline = capstone.BUDGET, capstone.baseline("bound")
print(f"parameters:           at most {budget.max_parameters:,}")
print(f"updates:              at most {budget.max_updates:,}")
print(f"hours of training:    at most {budget.max_hours:g}")
print(f"weights.safetensors:  at most {budget.max_weights_bytes:,} bytes")
print(f"importance samples:   at most {budget.max_samples} for each image")
print(f"bound to beat:        {baseline} bits per dimension on the public test crops")
print(f"further points for:   {', '.join(f'{band:g}' for band in budget.bands_bpd)} bits per dimension better than that")

# %% [markdown]
# The baseline is a VAE with one layer of 256 latents between small convolutional networks, 32,860 parameters in all. It
# was trained for three minutes on one processor core, without any tuning. Of three seeds (bounds of 4.68, 4.86 and
# 5.28) it is the one in the middle. A Very Deep VAE of 272,314 parameters, also untuned, reached 3.87 in six minutes of
# processor time.
#
# | images | what you may do with them |
# |---|---|
# | the 5,800 training crops | train, and hold 500 of them out for validation |
# | the 350 public test crops | measure once, at the end; your claim is about these |
# | held-out crops | nothing: the grader draws them, mirrored and shifted, from the region of the public test crops |
#
# Choose between models on validation crops, as often as you like. If you choose on test crops, your claim is too good,
# and the held-out crops may show it.
#
# **No other images.** The photographs are public, so you could train on the region that the held-out crops come from.
# That is cheating; we say so here so that nobody does it by mistake. So is handing in a model that came with the
# library.

# %% [markdown]
# ## What you hand in
#
# | file | what it holds | who writes it |
# |---|---|---|
# | `08_capstone.ipynb` | this notebook, with questions 1 and 2 answered | you |
# | `config.json` | which model: its family, and the fields of its configuration | `capstone.hand_in` |
# | `weights.safetensors` | its weights, in float32 or float16 | `capstone.hand_in` |
# | `report.md` | your page, with the mandatory table | `capstone.hand_in`, from your text |
#
# Put all four into one folder and hand that in. The grader runs no code of yours. It knows the models of the library,
# so the model must be one that a configuration of the library builds. A VQ-VAE, a Wasserstein autoencoder and a
# conditional VAE are excluded: they define no density of these images.

# %% [markdown]
# ## The mandatory table
#
# Lecture 07 ends with a table whose numbers cannot be compared because information is missing. Your table must be
# complete. This is what it looks like for the baseline:

# %%
claims = capstone.Claims(
    data_set="photos32",
    version="embedded, 5,000 training crops",
    quantity="bound",  # or "importance-weighted"
    bits_per_dim=round(baseline.mean, 3),
    error=round(baseline.standard_error, 3),
    samples=1,
    parameters=32_860,
    updates=3_000,
    hours=0.05,
)
print(claims.table())

# %% [markdown]
# | row | what it says | who can check it |
# |---|---|---|
# | data set, version | what the model was trained on | nobody: you declare it |
# | quantity, samples | −ELBO (`bound`, 1 sample), or the importance-weighted estimate with this number of draws per image | the grader |
# | bits per dimension, error | the mean over the 350 public test crops, and its standard error | the grader |
# | parameters | trained numbers in the model | the grader |
# | updates, hours, energy | what the training of this model cost; `not measured` is an acceptable answer for energy | nobody: you declare it |
#
# Declare the cost of the run you hand in. The cost of runs that you threw away belongs in the text of the report.

# %% [markdown]
# ## How it is graded
#
# {{cases of numbers}}
#
# {{cases of budget}}
#
# {{cases of baseline}}
#
# Improvements are judged by the measured bound, whatever your claim says and whichever quantity it is about, so they do
# not depend on a number of samples. A claim that is better than the model loses its points, and your feedback says by
# how much it was off. A claim with a huge error would always be true, so the error may be at most 0.1. No improvement
# counts if the budget is exceeded.
#
# The written part is graded by these rubrics:
#
# | report (question 1) | points |
# |---|---|
# | the question you asked, and the decision it led to | 2 |
# | evidence: numbers with errors, equal budgets, choices made on validation crops | 4 |
# | the text agrees with the table, and calls a bound a bound | 3 |
# | what the number does not show | 3 |
#
# | comparison and failure (question 2) | points |
# |---|---|
# | one thing changed and all else equal; numbers, and the error of the difference | 4 |
# | a failure: what you expected, what happened, and the most likely reason | 4 |

# %% [markdown]
# ## A recipe to start from
#
# The following cells train a small hierarchy for a minute, measure it and write the files to hand in. It is worse than
# the baseline. Run it from end to end first, then make it better.

# %% fast="steps = 20"
steps = 300
minutes = 20  # training stops after this time; run its cell again to continue
run = "08_first"  # another name begins another model

# %%
from avae_lib import data, notebook_setup
from avae_lib.data import DataConfig
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.training_config import TrainingConfig

experiment = derive(
    find_preset("photos32-vdvae"),
    data=DataConfig("photos32", validation=500),
    model={"width": 16, "latent_channels": 4, "mixtures": 3},
    training=derive(
        TrainingConfig(steps=steps, batch_size=8),
        learning_rate={"peak": 1e-2},
        optimizer={"clip_norm": 1e6, "ema_decay": 0.98},
        logging={"evaluate_every": steps // 5, "evaluation_images": 100},
    ),
)
print(f"{sum(p.numel() for p in experiment.build_model().parameters()):,} parameters")

# %% tags=["picture-training"]
from avae_lib.training.notebook_training import train_in_notebook

runs = notebook_setup.keep_runs_on_drive(False)  # True keeps them on your Google Drive
model = train_in_notebook(experiment, runs / run, minutes).model

# %% tags=["build-check"]
valid = data.load("photos32", validation=500).valid[:100]
assert capstone.measure(model, valid, samples=1).bound.mean < 6.5

# %% [markdown]
# **What you should see** (after so few updates, samples are noise in the colours of the photographs):
#
# ![A falling learning curve, and below it eight samples that are coloured noise](pictures/training.png)
#
# ### Measure
#
# `capstone.measure` is the code that the grader uses. On validation crops you may call it as often as you like. The
# standard error is over crops; the difference between two of your models on the same crops is known much better than
# either of the two numbers.

# %%
valid = data.load("photos32", validation=500).valid[:100]
of_validation = capstone.measure(model, valid)
print(f"bound:               {of_validation.bound} bits per dimension on validation crops")
print(f"importance-weighted: {of_validation.importance_weighted}")

# %% [markdown]
# ### Hand in
#
# Run these cells when the model is final. The table is filled in from the run and from one measurement on the public
# test crops; you write the report. `hand_in` writes the three files beside this notebook, and raises an error for
# anything that the grader would reject.

# %%
report = """
# A small hierarchy, trained for one minute

Replace this text with your report: the text of question 1.
"""

# %% fast="samples = 1"
samples = 16  # draws for each image: the importance-weighted estimate falls with every one

# %%
measurement = capstone.measure(model, samples=samples)
claims = capstone.claims_of_run(
    runs / run, measurement, quantity="importance-weighted", version="embedded, 5,000 training crops"
)
for file in capstone.hand_in(".", runs / run, claims, text=report):
    print(f"{file.name}: {file.stat().st_size:,} bytes")

# %% [markdown]
# ## Check before you hand in
#
# The three cells below do what the grader does, except that on your machine they use only the public test crops. They
# read the files, not the variables of this notebook. The grader decides on held-out crops whether the model is better
# than the baseline, so near a limit its verdict may differ. A model that can be measured in ten minutes on one core is
# small enough.

# %% nbgrader={"grade": true, "grade_id": "check_numbers", "locked": true, "points": 10, "schema_version": 3, "solution": false}
capstone.check("numbers")

# %% nbgrader={"grade": true, "grade_id": "check_budget", "locked": true, "points": 6, "schema_version": 3, "solution": false}
capstone.check("budget")

# %% nbgrader={"grade": true, "grade_id": "check_baseline", "locked": true, "points": 14, "schema_version": 3, "solution": false}
capstone.check("baseline")

# %% [markdown]
# ## Question 1: your report
#
# Write one page: 300 to 500 words and the table. It goes into `report` above, and from there into `report.md`, which
# the person who grades sees at the end of your notebook. In the cell below, write its title and “see report.md”. A
# report that covers these points in turn is complete:
#
# ```
# # Title: what you found, in one sentence
#
# **Question.** What did you want to know, and what would you have done with either answer?
# **Model and training.** Family, the fields that matter, data, updates, batch size. What the search cost beside the final run.
# **Evidence.** Validation numbers with errors. What was held equal. Why you chose the model you hand in.
# **Result.** The number in the table, compared with the baseline, in a sentence that agrees with it.
# **What it does not show.** One data set, two photographs, one seed, …: what a reader must not conclude.
# ```
#
# (12 points, by the rubric above)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 12, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# **Fourteen layers instead of one: about one bit per dimension.**
#
# *Question.* Does a hierarchy pay on photos32, when a model may train for minutes only? If not, I would have spent the
# budget on longer training of one layer.
#
# *Model and training.* A Very Deep VAE, width 48, 14 layers with 4 channels of latents each: one at 1×1, three at 4×4, four
# at 8×8 and at 16×16, two at 32×32; 5 logistics for each pixel; 272,314 parameters. 2,000 updates of 8 crops, Adamax, peak
# rate 0.008, cosine decay, averaged weights. It took 5.8 minutes of processor time, spread over 26 minutes on a busy
# machine. I trained it once. Nothing was searched for, so there is no further cost.
#
# *Evidence.* On 100 validation crops the bound of this model is 3.56; that of one layer with 32,860 parameters is 4.66,
# 4.32 and 4.50 in three seeds, after 2.9 minutes each. The budgets are not equal: mine had twice the time and eight times
# the parameters. But the last fifth of its updates won the single layer 0.03 to 0.12, so twice the time would hardly close
# the gap. I decided by these numbers, before I looked at a test crop.
#
# *Result.* On the 350 public test crops the bound is 3.872 ± 0.063, which is 0.99 below the baseline's 4.863 ± 0.045.
#
# *What it does not show.* That depth is the reason: width, mixtures and batch size differ as well. How much is chance: I have
# one seed, and those of the baseline lie 0.6 apart. Anything about other photographs: the test crops are from the two that
# I trained on, and they overlap, so 350 of them are fewer than 350 independent images, and the error is too small.
#
# The table: photos32 · embedded, 5,000 training crops · bound · 3.872 · 0.063 · 1 sample · 272,314 parameters · 2,000
# updates · 0.435 hours · energy not measured.
#
# *Rubric.* The question and the decision that it led to: 2 points; 1 for a question to which no decision is tied. Evidence:
# 4 points, one each for numbers with errors, for equal budgets (or a word on how they differ), for choices by validation
# crops, and for the cost of the search. The text agrees with the table: 3 points; 2 where a bound is called a likelihood or
# the number of samples is left out. What the number does not show: 3 points, one for each limit that is stated with its
# reason (two photographs, overlapping crops, one seed, declared costs, …).
# ### END SOLUTION

# %% [markdown]
# ## Question 2: one comparison, and what failed
#
# * (a) Change one thing between two models and hold everything else equal. Give the two configurations, the budgets, the
#   numbers with their errors, and say whether the difference could be chance. A paired difference on the same crops, or
#   three seeds each, is enough.
# * (b) Describe one thing that you tried and that failed. What did you expect, what happened, and what is the most likely
#   reason? A model that collapsed or diverged, or an idea that changed nothing, is a good answer.
#
# (4 points each)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_2", "locked": false, "points": 8, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (a) Does it matter how a Very Deep VAE brings its coarse streams to finer resolutions? The same 12 layers, width 16, twice:
# `upsampling="nearest"` and `upsampling="learned"`. Nothing else differs; the transposed convolutions add 7,168 to 41,674
# parameters. Both ran for 1,920 updates of 8 crops with Adamax at 0.01, three seeds each, 3.7 minutes of processor time a
# run. Minus the bound on the 350 test crops, mean and standard deviation over seeds: 4.592 ± 0.124 with repeated pixels and
# 5.100 ± 0.347 with learned upsampling. Of runs with the same seed the learned one is worse by 0.509 ± 0.247, and by 0.30
# or more in all three. Three seeds are few, but all agree and the difference is twice its spread: I take repeated pixels.
# I looked at test crops for this comparison and not for choosing the model that I hand in.
#
# (b) I expected more layers at 16×16 and 32×32 to help, as the paper on Very Deep VAEs reports for 48 blocks. With 12 blocks
# the bound was 4.605 ± 0.220 bits per dimension against 4.596 ± 0.076 for most blocks at 4×4 and 8×8: no difference, at 46 %
# more time for an update. In eight of nine runs the blocks at 16×16 carried no nats at all. The likely reason is that 1,920
# updates are too few for them to find anything to say; it would show in the KL of these layers in a run ten times as long.
#
# *Rubric.* (a) One point if exactly one thing differs, one for equal budgets, one for both numbers with the error of their
# difference, one for a verdict that the error bears out ("no difference that I can tell" is a full answer). (b) One point
# for the expectation, one for what came, in numbers, and two for a reason that could be tested (one for a reason that could
# not).
# ### END SOLUTION

# %% [markdown]
# ## Handing in
#
# 1. Run the three checks above until they print nothing but ✓, as far as your model allows.
# 2. Answer questions 1 and 2, and save the notebook under its name, `08_capstone.ipynb`.
# 3. Hand in the folder with the four files. On Colab, download `config.json`, `weights.safetensors` and `report.md` from
#    the *Files* pane.
#
# <details><summary>Where to look for improvements</summary>
#
# * The three minutes of the baseline are a small part of the budget. Which model gains most from longer training?
# * Of two models of equal cost, is it better to have more layers, more channels, or more updates? Unit 05 measured it
#   for small hierarchies.
# * The training crops overlap and come from two photographs. Does it help to mirror them (`flip_horizontal=True`), and
#   when do the validation bits begin to rise? (They lie below the training bits: that band has less contrast.)
# * The importance-weighted number is lower than the bound. How much is left of that for your model, and for how many
#   samples?
# </details>
