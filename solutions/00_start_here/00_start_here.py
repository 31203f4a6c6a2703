# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Unit 00: Start here
#
# This unit takes ten minutes and walks you once through everything that the other units require. You will
#
# * see whether your machine is ready,
# * write one small function and have it checked on the spot,
# * see it at work on real handwritten digits,
# * learn how to hand in a notebook and how to read what comes back.
#
# You need Python, the logarithm and the exponential. Run the cells in order with
# <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Is this machine ready?
#
# The next cell prints one line: the versions, the device that will do the computing, and how fast it is.

# %%
from avae_lib.notebook_setup import machine

print(machine())

# %% [markdown]
# A CPU is enough for the whole course on small images. The times stated in the units are for two cores that manage 30
# to 50 billion multiplications a second. A GPU (on Colab: *Runtime → Change runtime type*) is ten to a hundred times
# faster, and worth having from unit 05 on.

# %% [markdown]
# ## How an exercise works
#
# Each exercise asks for one function, a *component* of the library. It has three cells:
#
# | cell | what it holds | what you do |
# |---|---|---|
# | text | what the function is for, what is checked and for how many points; three folded hints, from a question to the first line | read |
# | answer | the signature, a docstring, and a line that raises `NotImplementedError` | replace that line with your code and run the cell |
# | check | `check("name")`, which runs a few public cases, shows which of them pass, and names a likely mistake | run it as often as you like |
#
# **The docstring is the contract.** Your function may rely on what it says about the inputs, and must return what it
# promises. That includes the precision: a result has the dtype of the inputs, float64 for float64 and float32 for
# float32. The docstring says so where it describes the result, and one case of the check tests it. Inside the
# function you may compute in any precision.
#
# **Your function replaces the library's.** `@implements("name")` does this when you run the cell. From then on, the
# models that you train call your function. Once all public cases pass, it is saved in `my_components.py`, and later
# units load it.
#
# **“Run all” stops at the first exercise that you have not solved**, because its check fails. Run the cells below it by
# hand. You can still hand in the notebook. On your own machine, this line in a terminal runs all cells, including those
# after one that fails:
#
# ```sh
# jupyter nbconvert --to notebook --inplace --execute --allow-errors 00_start_here.ipynb
# ```
#
# | what the grader does | what that means for you |
# |---|---|
# | It reads the text of your answer cells; it ignores outputs and cells that you add. | Put helper functions and further imports into the answer cell. Try things out in cells of your own. |
# | It runs your function on other inputs than the public ones, drawn for you alone. | Do not change names, order or defaults of the parameters. |
# | It judges every component separately. | An unsolved exercise costs its own points and no others. |
# | It looks at results, not at how you got them. | Loops are fine unless an exercise says otherwise. |
# | It runs on a machine with the course's `avae_lib`, Python's standard library, PyTorch, torchvision, NumPy, SciPy, scikit-learn, Matplotlib and einops. | Do not import anything else into an answer cell, not even what Colab has, such as pandas or `google.colab`. |

# %% [markdown]
# ## Exercise 1: `log_mean_exp`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | average probabilities that are too small for a float, given their logarithms | 1 of 5 | 4 of 5 | 5 minutes |
#
# The probability of an image is a product of many small factors, so we work with its logarithm. Soon we shall need the
# *average* of such probabilities, given only their logarithms $x_1, \dots, x_n$:
#
# $$\operatorname{log\,mean\,exp}(x) = \log \frac{1}{n} \sum_{i=1}^{n} e^{x_i}.$$
#
# Typed in as it stands, the formula fails. In single precision $e^{-104}$ is 0, whose logarithm is $-\infty$, and
# $e^{89}$ is $\infty$. Logarithms of −1000 or +1000 are common. Find a way to compute the same number without ever
# leaving the range of a float.
#
# ```python
# log_mean_exp(x, dim)  # x: tensor of any shape, dim: int  →  tensor shaped like x without dimension dim
# ```
#
# {{cases of log_mean_exp}}
#
# <details><summary>Hint 1: a question</summary>
#
# For any number $m$, $e^{x_i} = e^{m} \, e^{x_i - m}$. Which $m$ makes none of the exponents $x_i - m$ too large, and
# at least one of them large enough?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Take the largest of the $x_i$ as $m$. The factor $e^{m}$ is the same in every term, so you can take it out of the sum.
# What does it become when you take the logarithm?
# </details>
# <details><summary>Hint 3: the first line</summary>
#
# `largest = x.amax(dim, keepdim=True)`. With `keepdim=True` you can subtract it from `x`. Which shape must it have when
# you need it a second time?
# </details>

# %% nbgrader={"grade": false, "grade_id": "log_mean_exp", "locked": false, "schema_version": 3, "solution": true}
@implements("log_mean_exp")
def log_mean_exp(x, dim):
    """The logarithm of the mean of exponentials along one dimension, safe for entries of any size.

    x: logarithms, a tensor of any shape with finite entries, however large; it is not changed.
    dim: the dimension to average over, counted from the front (0, 1, …) or from the back (-1, -2, …).
    Returns a tensor shaped like x without dimension dim, in the precision of x (float32 or float64).
    """
    ### BEGIN SOLUTION
    largest = x.amax(dim=dim, keepdim=True)
    return (x - largest).exp().mean(dim=dim).log() + largest.squeeze(dim)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_log_mean_exp", "locked": true, "points": 5, "schema_version": 3, "solution": false}
check("log_mean_exp")

# %% [markdown]
# ## Your function at work
#
# Here is a very simple model of images. To draw an image, pick one of 1,500 handwritten digits at random and
# add Gaussian noise with a standard deviation of two grey levels to each of its 64 pixels. The density of a new image
# $x$ is then an average over all digits $x_1, \dots, x_n$ that could have been picked,
#
# $$p(x) = \frac{1}{n} \sum_{i=1}^{n} \mathcal{N}(x;\, x_i,\, 2^2 I),$$
#
# and its logarithm is the function that you have just written.

# %%
import math

from avae_lib import data, plotting

digits = data.load("digits")  # real digits, 8×8 pixels, grey levels 0 … 15
train, test = digits.train.flatten(1).float(), digits.test.flatten(1).float()
std = 2.0
squared_distances = torch.cdist(test, train).square()  # (297 new digits, 1,500 known ones)
log_densities = -squared_distances / (2 * std**2) - 64 * math.log(std * math.sqrt(2 * math.pi))

as_it_stands = log_densities.exp().mean(dim=1).log()
yours = log_mean_exp(log_densities, dim=1)
print(f"the formula as it stands: {as_it_stands.mean():.1f} nats per digit; infinite for {as_it_stands.isinf().sum()} of 297")
print(f"your log_mean_exp:        {yours.mean():.1f} nats per digit; infinite for {yours.isinf().sum()}")

# %% [markdown]
# The density separates typical digits from unusual ones. Here are the new digits that the model finds most and least
# likely.

# %% tags=["picture-likely-and-unlikely"]
order = log_mean_exp(log_densities, dim=1).argsort(descending=True)
images = torch.nn.ConstantPad2d(1, 0)(digits.test[order])  # a dark edge keeps neighbouring pictures apart
plotting.show(plotting.image_rows({"most likely": images[:12], "least likely": images[-12:]}, bits=4))

# %% tags=["build-check"]
assert as_it_stands.isinf().all() and yours.isfinite().all() and log_densities.max() < -104
assert (digits.test_labels[order[:12]] == 1).sum() == 8
nearest = squared_distances[order].amin(dim=1).sqrt()
assert nearest[:12].max() < 10.5 and nearest[-12:].min() > 22.5

# %% [markdown]
# **What you should see:**
#
# ![Two rows of twelve digits, the most likely above, the least likely below](pictures/likely-and-unlikely.png)
#
# Eight of the most likely digits are ones, which resemble one another pixel by pixel. The distance to the nearest of
# the 1,500 digits is at most 10 in the upper row and at least 23 in the lower one.

# %% [markdown]
# ## Question 1
#
# Most units end with a short written question, which a person grades. Double-click on the cell below to answer it.
#
# *In exact arithmetic your function and the formula as it stands are equal. Why did the formula give $-\infty$ for
# every one of these digits, and why can that not happen to yours? Two or three sentences.* (3 points)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question_1", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# All log-densities of a digit are below about −104, so each exponential is smaller than the smallest positive
# number of single precision and is rounded to 0; the mean is 0 and its logarithm −∞. After the largest entry is
# subtracted, one exponent is exactly 0 and its exponential exactly 1, so the mean lies between 1/n and 1 and its
# logarithm is finite; what was subtracted is added back outside the logarithm, where nothing can underflow.
#
# *Rubric.* 1 point: each exponential underflows, is rounded to 0 (not merely "is small"). 1 point: after the shift
# at least one term equals 1, so the sum cannot vanish (an answer "logsumexp subtracts the maximum" without saying
# what that achieves: ½). 1 point: why the value is unchanged: the factor $e^{m}$ leaves the sum and becomes $+m$
# outside.
# ### END SOLUTION

# %% [markdown]
# ## Handing in, and what comes back
#
# 1. As a last check, restart the kernel and run the set-up cell, your answer cells and their checks, or run the line
#    with `--allow-errors` above. You may leave exercises unsolved.
# 2. Save the notebook as `00_start_here.ipynb`, without renaming it (on Colab: *File → Download → Download .ipynb*),
#    and hand in this one file where your instructor collects submissions. Outputs don't matter: the grader runs your
#    functions itself.
#
# You get back one page per unit:
#
# | part of the page | what it says |
# |---|---|
# | each component | its cases with their points and, where you lost points, one sentence on the likely reason |
# | your written answer | points and a comment |
# | *About your file* | what the grader noticed or had to repair, a renamed cell for example; your answers are still graded |
#
# If you think a right answer lost points, say so: every case can be judged again.
#
# **Where next:** unit 01 asks how far apart two distributions are.
