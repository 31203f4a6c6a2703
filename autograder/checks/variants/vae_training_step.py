"""Right ways to write ``vae_training_step``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def zeroed_first(model, optimizer, x):
    optimizer.zero_grad(set_to_none=True)
    loss = -model(x).bound.mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@variant
def zeroed_to_numbers(model, optimizer, x):
    elbo = model(x)
    loss = elbo.kl.sum() / len(x) - elbo.log_likelihood.mean()
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
    loss.backward()
    optimizer.step()
    return float(loss)


@variant
def gradients_by_hand(model, optimizer, x):
    elbo = model(x)
    loss = torch.mean(torch.sum(elbo.kl, 1) - elbo.log_likelihood)
    parameters = list(model.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
    return loss.detach().cpu().numpy().item()


@variant
def with_a_closure(model, optimizer, x):
    def closure():
        optimizer.zero_grad()
        elbo = model(x)
        loss = (elbo.kl.sum(dim=1) - elbo.log_likelihood).mean()
        loss.backward()
        return loss

    return optimizer.step(closure).item()


@variant
def term_by_term(model, optimizer, x):
    optimizer.zero_grad()
    elbo = model(x)
    distortion, rate = -elbo.log_likelihood.mean(), elbo.kl.sum(dim=1).mean()
    distortion.backward(retain_graph=True)
    rate.backward()
    print("learning rates", [group["lr"] for group in optimizer.state_dict()["param_groups"]])
    optimizer.step()
    return distortion.item() + rate.item()


@variant
def talkative(model, optimizer, x):
    def loss_of(batch):
        elbo = model(batch)
        print("kl per layer:", elbo.kl.mean(dim=0).tolist())
        return -(elbo.log_likelihood - elbo.kl.sum(dim=-1)).mean(dim=0)

    model.zero_grad()
    loss = loss_of(x)
    print("a warning nobody needs", file=sys.stderr)
    loss.backward(retain_graph=True)
    optimizer.step()
    optimizer.zero_grad()
    return loss.tolist()


@variant
def backward_from_every_example(model, optimizer, x):
    optimizer.zero_grad()
    bound = model(x).bound
    bound.backward(torch.full_like(bound, -1 / len(bound)))
    optimizer.step()
    return -float(bound.mean())
