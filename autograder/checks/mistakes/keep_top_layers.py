"""Wrong ways to write ``keep_top_layers``."""

import copy

import torch

from autograder.checks.case import Mistake, mistakes_into

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

EDGES = "keep 0, keep all, one layer"
SAME = "the same objects in a new list"
COPIES = "copies items: return the same objects"
TENSORS_ONLY = "assumes that items are tensors: they may be records, None or any other objects"
BY_VALUE = "compares items or uses them as truth values (index, in, ==, or): count the layers instead"
SAME_LIST = "returns one of the lists that were passed in, at keep 0 or keep L: return a new list"


@mistake("keeps the bottom layers: lists are top first, so keep the first items", caught_by="values")
def bottom_kept(posterior_draws, prior_draws, keep):
    below = len(posterior_draws) - keep
    return [*prior_draws[:below], *posterior_draws[below:]]


@mistake(
    "takes the top layers from the prior and the rest from the posterior: it should be the other way round",
    caught_by="values",
)
def exchanged(posterior_draws, prior_draws, keep):
    return [*prior_draws[:keep], *posterior_draws[keep:]]


@mistake("counts `keep` from the bottom and takes that many top layers from the prior", caught_by="values")
def bottom_of_the_posterior_moved_up(posterior_draws, prior_draws, keep):
    return [*posterior_draws[len(posterior_draws) - keep :], *prior_draws[keep:]]


@mistake("keeps one layer too many (<= keep): with layers counted from 0, use < keep", caught_by="values")
def one_too_many(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [q if layer <= keep else p for layer, (q, p) in enumerate(pairs)]


@mistake("keeps one layer too few: the first `keep` items are the posterior's", caught_by="values")
def one_too_few(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [q if layer < keep else p for layer, (q, p) in enumerate(pairs, start=1)]


@mistake("appends the whole list of the prior: append only its items below the kept layers", caught_by="values")
def whole_prior_appended(posterior_draws, prior_draws, keep):
    return [*posterior_draws[:keep], *prior_draws]


@mistake("returns the kept layers only: those below come from the prior", caught_by="values")
def kept_alone(posterior_draws, prior_draws, keep):
    return posterior_draws[:keep]


@mistake("fills up with the prior's top items: take layer l from place l of the prior's list", caught_by="values")
def prior_from_its_top(posterior_draws, prior_draws, keep):
    return [*posterior_draws[:keep], *prior_draws[: len(posterior_draws) - keep]]


@mistake("returns the bottom layer first: keep the order of the inputs, top first", caught_by="values")
def bottom_first(posterior_draws, prior_draws, keep):
    return [*posterior_draws[:keep], *prior_draws[keep:]][::-1]


@mistake("keeps a single layer: all layers from the top down to layer `keep` are the posterior's", caught_by="values")
def one_layer_alone(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [q if layer == keep - 1 else p for layer, (q, p) in enumerate(pairs)]


@mistake("keep is not used: half of the layers are kept", caught_by="values")
def half_kept(posterior_draws, prior_draws, keep):
    half = len(posterior_draws) // 2
    return [*posterior_draws[:half], *prior_draws[half:]]


@mistake("keep is not used: all items are the posterior's", caught_by="values")
def all_kept(posterior_draws, prior_draws, keep):
    return list(posterior_draws)


@mistake("stacks or concatenates the latents: return a list of them, since their shapes differ", caught_by="values")
def stacked(posterior_draws, prior_draws, keep):
    return torch.stack([*posterior_draws[:keep], *prior_draws[keep:]])


@mistake("mixes the numbers of both draws: each item is one of the two, unchanged", caught_by="values")
def mixed(posterior_draws, prior_draws, keep):
    share = keep / len(posterior_draws)
    return [share * q + (1 - share) * p for q, p in zip(posterior_draws, prior_draws, strict=True)]


@mistake("splits each latent after `keep` channels or examples: split the list", caught_by="values")
def latents_split(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [torch.cat([q[:keep], p[keep:]]) for q, p in pairs]


@mistake("returns pairs: return one item per layer", caught_by="values")
def pairs_returned(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [(q, None) if layer < keep else (None, p) for layer, (q, p) in enumerate(pairs)]


@mistake("returns an iterator: return a list", caught_by="values")
def an_iterator(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return (q if layer < keep else p for layer, (q, p) in enumerate(pairs))


@mistake(BY_VALUE, caught_by="values")
def place_by_index(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [q if posterior_draws.index(q) < keep else p for q, p in pairs]


@mistake(BY_VALUE, caught_by="values")
def truth_of_items(posterior_draws, prior_draws, keep):
    kept = posterior_draws[:keep] + [None] * (len(posterior_draws) - keep)
    return [q or p for q, p in zip(kept, prior_draws, strict=True)]


@mistake("counts the prior's items from the end: with keep L the slice [-0:] is the whole list", caught_by=EDGES)
def prior_from_its_end(posterior_draws, prior_draws, keep):
    return [*posterior_draws[:keep], *prior_draws[-(len(prior_draws) - keep) :]]


@mistake("counts the posterior's items from the end: with keep L the slice [:-0] is empty", caught_by=EDGES)
def posterior_from_its_end(posterior_draws, prior_draws, keep):
    return [*posterior_draws[: -(len(prior_draws) - keep)], *prior_draws[keep:]]


@mistake("treats keep 0 as missing (`keep or …`): at 0 every item is the prior's", caught_by=EDGES)
def zero_as_none(posterior_draws, prior_draws, keep):
    keep = keep or len(posterior_draws)
    return [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake("always keeps the top layer: with keep 0 every item is the prior's", caught_by=EDGES)
def at_least_one(posterior_draws, prior_draws, keep):
    keep = max(keep, 1)
    return [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake("always takes the last layer from the prior: with keep L every item is the posterior's", caught_by=EDGES)
def never_all(posterior_draws, prior_draws, keep):
    keep = min(keep, len(posterior_draws) - 1)
    return [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake("raises an error for keep L: any number from 0 to L is valid", caught_by=EDGES)
def all_refused(posterior_draws, prior_draws, keep):
    if not 0 <= keep < len(posterior_draws):
        raise ValueError("keep must be below the number of layers")
    return [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake("returns the item itself if there is one layer: return a list of one item", caught_by=EDGES)
def item_of_one_layer(posterior_draws, prior_draws, keep):
    kept = [*posterior_draws[:keep], *prior_draws[keep:]]
    return kept[0] if len(kept) == 1 else kept


@mistake("returns a tuple: return a list", caught_by=SAME)
def a_tuple(posterior_draws, prior_draws, keep):
    return (*posterior_draws[:keep], *prior_draws[keep:])


@mistake(SAME_LIST, caught_by=SAME)
def same_list(posterior_draws, prior_draws, keep):
    if keep == len(posterior_draws):
        return posterior_draws
    return [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake(SAME_LIST, caught_by=SAME)
def same_list_at_zero(posterior_draws, prior_draws, keep):
    return prior_draws if keep == 0 else [*posterior_draws[:keep], *prior_draws[keep:]]


@mistake("writes the prior's items into the list of the posterior: build a new list", caught_by=SAME)
def posterior_overwritten(posterior_draws, prior_draws, keep):
    posterior_draws[keep:] = prior_draws[keep:]
    return posterior_draws


@mistake("writes the posterior's items into the list of the prior: build a new list", caught_by=SAME)
def prior_overwritten(posterior_draws, prior_draws, keep):
    for layer in range(keep):
        prior_draws[layer] = posterior_draws[layer]
    return prior_draws


@mistake("takes items out of the lists (pop, del): build a new list and leave both as they were", caught_by=SAME)
def popped(posterior_draws, prior_draws, keep):
    kept = [posterior_draws.pop(0) for _ in range(keep)]
    del prior_draws[:keep]
    return kept + prior_draws


@mistake("extends the list of the posterior in place (+=): build a new list", caught_by=SAME)
def posterior_extended(posterior_draws, prior_draws, keep):
    below = prior_draws[keep:]
    del posterior_draws[keep:]
    posterior_draws += below
    return list(posterior_draws)


@mistake(COPIES, caught_by=SAME)
def deep_copies(posterior_draws, prior_draws, keep):
    return copy.deepcopy([*posterior_draws[:keep], *prior_draws[keep:]])


@mistake(TENSORS_ONLY, caught_by=SAME)
def cloned(posterior_draws, prior_draws, keep):
    return [z.clone() for z in [*posterior_draws[:keep], *prior_draws[keep:]]]


@mistake(TENSORS_ONLY, caught_by=SAME)
def detached(posterior_draws, prior_draws, keep):
    return [z.detach() for z in [*posterior_draws[:keep], *prior_draws[keep:]]]


@mistake("copies the items that are tensors: return the same objects", caught_by=SAME)
def tensors_cloned(posterior_draws, prior_draws, keep):
    items = [*posterior_draws[:keep], *prior_draws[keep:]]
    return [item.clone() if isinstance(item, torch.Tensor) else item for item in items]


@mistake("replaces None of the posterior by the prior's item: None is an item like any other", caught_by=SAME)
def none_replaced(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [q if layer < keep and q is not None else p for layer, (q, p) in enumerate(pairs)]


@mistake("leaves out items that are None: None is an item like any other", caught_by=SAME)
def none_left_out(posterior_draws, prior_draws, keep):
    return [item for item in [*posterior_draws[:keep], *prior_draws[keep:]] if item is not None]
