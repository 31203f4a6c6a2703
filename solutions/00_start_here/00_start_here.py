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
# Ten minutes, once through everything the other units ask of you. You will
#
# * see whether your machine is ready,
# * write one small function and have it checked on the spot,
# * see it at work on real handwritten digits,
# * learn how to hand in a notebook and how to read what comes back.
#
# You need Python, the logarithm and the exponential. Run the cells from top to bottom with
# <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% [markdown]
# {{how to keep your work}}

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false}
# {{set-up}}

# %% [markdown]
# ## Is this machine ready?
#
# One line: versions, where the computing will happen, and how fast it is.

# %%
from avae_lib.notebook_setup import machine

print(machine())

# %% [markdown]
# A processor alone is enough for the whole course on small images; the times stated in the units are for two cores
# that manage 30 to 50 billion multiplications a second. A GPU (on Colab: *Runtime → Change runtime type*) is ten to
# a hundred times faster, and worth having from unit 05 on.

# %% [markdown]
# ## How an exercise works
#
# Each exercise asks for one function, a *component* of the library, and consists of three cells.
#
# 1. **The text** says what the function is for and what it must do, with a table of what is checked and for how
#    many points. Hints are folded away, the gentle one first.
# 2. **The answer cell** holds the signature, a docstring and a line that raises `NotImplementedError`. The
#    docstring is the contract: your function may rely on what it promises and must do what it says. Replace the
#    last line by your code. The decorator `@implements("…")` puts your function into the library: from the moment
#    you run the cell, the models you train call *yours*.
# 3. **The check cell** runs a few public cases in less than a second, says which pass, and where one fails, what
#    the likely mistake is. Run it as often as you like. Once everything passes, your function is saved in
#    `my_components.py`, and later units bring it along. **On Colab**, download that file from the *Files* pane on
#    the left when you finish a unit and upload it there when you begin the next, because Colab forgets files
#    between sessions.
#
# **What the grader reads** is the text of your answer cells and nothing else of the notebook. So
#
# * keep in the answer cell whatever the answer needs: helper functions, imports beyond the set-up cell's;
# * add cells wherever you like, to try things out: they do no harm;
# * leave names, order and defaults of the parameters as they are.
#
# The grader then runs other cases than the public ones, on inputs drawn for you alone, and judges every component
# by itself: an unsolved exercise costs its own points and no others. A right answer counts however it is written;
# loops are fine unless an exercise says otherwise.

# %% [markdown]
# ## Exercise 1: `log_mean_exp`
#
# | goal | difficulty | importance | time |
# |---|---|---|---|
# | average probabilities of which only the logarithms fit into a float | 1 of 5 | 4 of 5 | 5 minutes |
#
# The probability of an image is a product of many small factors, so we keep its logarithm. Soon we shall need
# *averages* of such probabilities, given only the logarithms $x_1, \dots, x_n$:
#
# $$\operatorname{log\,mean\,exp}(x) = \log \frac{1}{n} \sum_{i=1}^{n} e^{x_i}.$$
#
# Typed in as it stands, the formula fails: in single precision $e^{-104}$ is 0, so that its logarithm is $-\infty$,
# and $e^{89}$ is $\infty$. Logarithms of −1000 or +1000 are quite ordinary. Find a way of computing the same number
# that never leaves the range of a float.
#
# ```python
# log_mean_exp(x, dim)  # x: tensor of any shape, dim: int  →  tensor shaped like x without dimension dim
# ```
#
# {{cases of log_mean_exp}}
#
# <details><summary>Hint 1</summary>
#
# $e^{x_i} = e^{m} \, e^{x_i - m}$ for any $m$. Which $m$ makes all the exponents $x_i - m$ harmless, and what
# happens to the factor $e^{m}$ outside the sum when you take the logarithm?
# </details>
# <details><summary>Hint 2</summary>
#
# Take the largest entry along `dim` as $m$: `x.amax(dim, keepdim=True)`. Or look up what `torch.logsumexp` does,
# and account for the $\frac1n$.
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
# Here is the simplest model of images there is. To draw an image, pick one of 1,500 handwritten digits at random
# and add Gaussian noise with a standard deviation of two grey levels to each of its 64 pixels. The density of a new
# image $x$ is then an average over all the digits $x_1, \dots, x_n$ that could have been picked,
#
# $$p(x) = \frac{1}{n} \sum_{i=1}^{n} \mathcal{N}(x;\, x_i,\, 2^2 I),$$
#
# and its logarithm is what you have just written.

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
# The density tells the usual from the unusual. Below are the new digits that the model finds most and least likely.

# %% tags=["picture-likely-and-unlikely"]
order = log_mean_exp(log_densities, dim=1).argsort(descending=True)
images = torch.nn.ConstantPad2d(1, 0)(digits.test[order])  # a dark edge keeps neighbouring pictures apart
plotting.show(plotting.image_rows({"most likely": images[:12], "least likely": images[-12:]}, bits=4))

# %% tags=["build-check"]
assert as_it_stands.isinf().all() and yours.isfinite().all()
likely, unlikely = digits.test[order[:12]].float(), digits.test[order[-12:]].float()
assert torch.cdist(likely.flatten(1), train).amin(1).max() < torch.cdist(unlikely.flatten(1), train).amin(1).min()

# %% [markdown]
# **What you should see:**
#
# ![Two rows of twelve digits, the most likely above, the least likely below](pictures/likely-and-unlikely.png)
#
# Ones resemble one another pixel by pixel, so each has many near neighbours; an unusual hand has none.

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
# 1. Run the notebook once from top to bottom (*Run → Restart kernel and run all cells*; on Colab *Runtime → Restart
#    and run all*).
# 2. Save it under the name it has, `00_start_here.ipynb` (on Colab: *File → Download → Download .ipynb*), and hand
#    in this one file where your instructor collects submissions.
#
# Back comes one page per unit. For each component it lists the cases with their points and, where points were lost,
# one sentence on the likely reason, in the same words as the check cell; then the comment on your written answer.
# *About your file* says what the grader noticed or had to repair, a renamed cell for example; your answers are
# graded all the same. Does a right answer seem to have lost points? Say so: every case can be judged again.
#
# **Where next:** unit 01 asks how far apart two distributions are.
