"""Wrong ways to write ``vae_training_step``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from avae_lib.checking.toy_training import ToyAdam

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

STEP = "one step of SGD"
STALE = "gradients left over from before"
ADAM = "several steps of Adam"
EMPTY = "steps when there are no gradients: clear them, call backward, and then step"
LEFT_OVER = "does not clear the gradients before backward: those from before are added"
TWICE = "calls the model twice, so that the terms of the loss come from different draws: call it once"
SMALL = "one example, one layer"
FLOAT = "a Python float"


@mistake("never steps: the optimizer must change the parameters", caught_by=STEP)
def step_forgotten(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@mistake(EMPTY, caught_by=STEP)
def step_before_backward(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss.item()


@mistake(EMPTY, caught_by=STEP)
def zeroed_after_backward(model, optimizer, x):
    loss = -model(x).bound.mean()
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@mistake(EMPTY, caught_by=STEP)
def zeroed_to_numbers(model, optimizer, x):
    loss = -model(x).bound.mean()
    loss.backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    return loss.item()


@mistake("maximises the loss: the parameters move in the wrong direction", caught_by=STEP)
def loss_maximised(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    (-loss).backward()
    optimizer.step()
    return loss.item()


@mistake("sums the loss over the batch: the step is too large by the batch size", caught_by=STEP)
def loss_summed(model, optimizer, x):
    loss = -model(x).bound.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(x)


@mistake("sums the loss over the batch: the step is too large by the batch size", caught_by=STEP)
def sum_returned_too(model, optimizer, x):
    loss = -model(x).bound.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("leaves out the KL in the update", caught_by=STEP)
def kl_forgotten(model, optimizer, x):
    loss = -model(x).log_likelihood.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("forgets the log-likelihood in the loss", caught_by=STEP)
def log_likelihood_forgotten(model, optimizer, x):
    loss = model(x).kl.sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("averages the KL over layers: sum it over layers", caught_by=STEP)
def kl_averaged(model, optimizer, x):
    elbo = model(x)
    loss = elbo.kl.mean() - elbo.log_likelihood.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("subtracts the KL from the loss: add it", caught_by=STEP)
def kl_subtracted(model, optimizer, x):
    elbo = model(x)
    loss = (-elbo.kl.sum(dim=1) - elbo.log_likelihood).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("takes the KL of the first layer only", caught_by=STEP)
def first_layer_only(model, optimizer, x):
    elbo = model(x)
    loss = (elbo.kl[:, 0] - elbo.log_likelihood).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("steps twice on the same gradients: make one update", caught_by=STEP)
def two_steps(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@mistake("makes two whole updates on the batch: make one", caught_by=STEP)
def two_updates(model, optimizer, x):
    for _ in range(2):
        loss = -model(x).bound.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@mistake("calls backward twice, so the gradients are doubled", caught_by=STEP)
def two_backwards(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward(retain_graph=True)
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("clips the gradients: use them as they are", caught_by=STEP)
def gradients_clipped(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@mistake("makes its own optimizer: use the one that is passed in", caught_by=STEP)
def own_optimizer(model, optimizer, x):
    parameters = list(model.parameters())
    optimizer = ToyAdam(parameters, [1e-3] * len(parameters))  # torch's own first loads its compiler, for seconds
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("makes its own optimizer: use the one that is passed in", caught_by=STEP)
def own_descent(model, optimizer, x):
    loss = -model(x).bound.mean()
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= optimizer.param_groups[0]["lr"] * parameter.grad
    return loss.item()


@mistake("puts the model into evaluation mode before the step: leave the mode as it is", caught_by=STEP)
def evaluation_mode(model, optimizer, x):
    model.eval()
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("cuts the gradient off before backward (detach, item, no_grad)", caught_by=STEP)
def loss_detached(model, optimizer, x):
    with torch.no_grad():
        loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("leaves out the KL in the update", caught_by=STEP)
def kl_detached(model, optimizer, x):
    elbo = model(x)
    loss = (elbo.kl.detach().sum(dim=1) - elbo.log_likelihood).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("updates the model on one example only", caught_by=STEP)
def first_example_only(model, optimizer, x):
    loss = -model(x[:1]).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("makes one update per example: make one update on the whole batch", caught_by=STEP)
def one_update_per_example(model, optimizer, x):
    total = 0.0
    for example in x.split(1):
        loss = -model(example).bound.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(x)


@mistake("calls the model for each example: call it once, on the whole batch", caught_by=STEP)
def one_call_per_example(model, optimizer, x):
    optimizer.zero_grad()
    total = 0.0
    for example in x.split(1):
        loss = -model(example).bound.sum() / len(x)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@mistake(TWICE, caught_by=STEP)
def one_call_per_term(model, optimizer, x):
    loss = (model(x).kl.sum(dim=1) - model(x).log_likelihood).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake(LEFT_OVER, caught_by=STALE)
def never_zeroed(model, optimizer, x):
    loss = -model(x).bound.mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake(LEFT_OVER, caught_by=STALE)
def zeroed_at_the_end(model, optimizer, x):
    loss = -model(x).bound.mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@mistake("leaves the model in evaluation mode: later calls train in the wrong mode", caught_by=ADAM)
def left_in_evaluation(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.eval()
    return loss.item()


@mistake("puts the model into training mode: leave the mode as the caller set it", caught_by=ADAM)
def training_mode_set(model, optimizer, x):
    model.train()
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("changes the settings of the optimizer: leave them as they are", caught_by=ADAM)
def weight_decay_set(model, optimizer, x):
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.01
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("leaves the parameters frozen: leave requires_grad as it was", caught_by=ADAM)
def left_frozen(model, optimizer, x):
    model.requires_grad_(True)
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.requires_grad_(False)
    return loss.item()


@mistake("forgets the optimizer's state between calls", caught_by=ADAM)
def state_cleared(model, optimizer, x):
    optimizer.state.clear()
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("squeezes kl before summing, which fails for one layer", caught_by=SMALL)
def kl_squeezed(model, optimizer, x):
    elbo = model(x)
    loss = (elbo.kl.squeeze().sum(dim=-1) - elbo.log_likelihood.squeeze()).sum() / len(x)
    loss = loss if elbo.kl.shape[1] > 1 else (elbo.kl.squeeze() * 2 - elbo.log_likelihood.squeeze()).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("returns the loss after the update: return the one before it", caught_by="loss")
def loss_after_update(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return -model(x).bound.mean().item()


@mistake("returns the bound: the loss is minus that", caught_by="loss")
def bound_returned(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return -loss.item()


@mistake("rounds the loss: return it as it is", caught_by="loss")
def loss_rounded(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return round(loss.item(), 2)


@mistake("returns a loss averaged over calls: return the loss of this batch", caught_by="loss")
def loss_smoothed(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.smoothed = 0.9 * getattr(model, "smoothed", loss.item()) + 0.1 * loss.item()
    return model.smoothed


@mistake("returns the loss of the whole batch: return nats per example", caught_by="loss")
def sum_returned(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() * len(x)


@mistake("returns the mean divided by the batch size once more", caught_by="loss")
def divided_twice(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(x)


@mistake("returns nothing", caught_by="loss")
def nothing_returned(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@mistake("returns a tensor: return a Python float, as loss.item() gives", caught_by=FLOAT)
def tensor_returned(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@mistake("sums the KL over the batch too, but averages the log-likelihood", caught_by=STEP)
def kl_summed_over_batch(model, optimizer, x):
    elbo = model(x)
    loss = elbo.kl.sum() - elbo.log_likelihood.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("counts the log-likelihood once for each layer: sum the KL over layers before subtracting", caught_by=STEP)
def layers_not_summed(model, optimizer, x):
    elbo = model(x)
    loss = (elbo.kl - elbo.log_likelihood.unsqueeze(1)).sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake(TWICE, caught_by=STEP)
def update_on_a_second_call(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    (-model(x).bound.mean()).backward()
    optimizer.step()
    return loss.item()


@mistake("returns the loss of a second call of the model, which draws anew: call it once", caught_by="loss")
def loss_of_a_second_call(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    with torch.no_grad():
        returned = -model(x).bound.mean().item()
    optimizer.step()
    return returned


@mistake("calls the model more than once: its first result has all that is needed", caught_by="loss")
def called_for_a_remark(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model(x)  # only to print something
    return loss.item()


@mistake("returns a NumPy number: return a Python float, as loss.item() gives", caught_by=FLOAT)
def numpy_number(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach().numpy()


@mistake("rescales the batch: pass x to the model as it is", caught_by=STEP)
def batch_rescaled(model, optimizer, x):
    loss = -model(x / 255.0).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("divides the loss by the number of pixels: return nats per example", caught_by="loss")
def loss_per_pixel(model, optimizer, x):
    loss = -model(x).bound.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / x[0].numel()
