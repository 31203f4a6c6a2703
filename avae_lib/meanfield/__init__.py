"""Mean-field variational inference, and what it is measured against.

* Ising models: :class:`IsingModel` with any couplings, :class:`LatticeIsing` with neighbours only,
  :func:`denoising_lattice`, :func:`one_of_each_digit`.
* Their log Z: exact by :func:`enumerate_states`; bounded from below by :func:`fit_mean_field`, from above by
  :func:`tree_reweighted_belief_propagation` and :func:`spanning_tree_bound`; estimated by :func:`belief_propagation`
  and :func:`annealed_importance_sampling`.
* Their samples: :func:`gibbs_chain`, :func:`lattice_chain`.
* Topics in text: :func:`fit_lda`, :func:`fit_lda_stochastic`, :class:`LdaPrior`.
* Mixtures of Gaussians: :func:`fit_mixture`, :class:`GaussianPrior`.
* Any log density that can be computed: :func:`fit_black_box`.
"""

from avae_lib.meanfield.annealed_importance_sampling import AnnealedEstimate, annealed_importance_sampling
from avae_lib.meanfield.belief_propagation import (
    Beliefs,
    belief_propagation,
    edge_appearances,
    tree_reweighted_belief_propagation,
)
from avae_lib.meanfield.bitmaps import bitmaps, one_of_each_digit
from avae_lib.meanfield.black_box import (
    BlackBoxFit,
    fit_black_box,
    reparameterization_gradient,
    score_function_gradient,
    score_gradient,
)
from avae_lib.meanfield.ising import ExactIsing, IsingModel, enumerate_states
from avae_lib.meanfield.ising_mean_field import (
    MeanField,
    fit_mean_field,
    ising_elbo,
    ising_mean_field_sweep,
    mean_field_fit,
)
from avae_lib.meanfield.ising_sampling import gibbs_chain, gibbs_sweep
from avae_lib.meanfield.lattice import LatticeIsing, denoising_lattice, lattice_chain
from avae_lib.meanfield.lda import lda_e_step, lda_elbo
from avae_lib.meanfield.lda_fit import (
    LdaFit,
    LdaPrior,
    fit_lda,
    fit_lda_stochastic,
    infer_documents,
    random_topics,
    stochastic_step,
)
from avae_lib.meanfield.mixture import mixture_cavi_step
from avae_lib.meanfield.mixture_fit import MixtureFit, fit_mixture, random_responsibilities
from avae_lib.meanfield.mixture_posteriors import GaussianPrior, NormalGamma, NormalWishart
from avae_lib.meanfield.spanning_trees import SpanningTrees, sample_spanning_trees, spanning_tree_bound

__all__ = [
    "AnnealedEstimate",
    "Beliefs",
    "BlackBoxFit",
    "ExactIsing",
    "GaussianPrior",
    "IsingModel",
    "LatticeIsing",
    "LdaFit",
    "LdaPrior",
    "MeanField",
    "MixtureFit",
    "NormalGamma",
    "NormalWishart",
    "SpanningTrees",
    "annealed_importance_sampling",
    "belief_propagation",
    "bitmaps",
    "denoising_lattice",
    "edge_appearances",
    "enumerate_states",
    "fit_black_box",
    "fit_lda",
    "fit_lda_stochastic",
    "fit_mean_field",
    "fit_mixture",
    "gibbs_chain",
    "gibbs_sweep",
    "infer_documents",
    "ising_elbo",
    "ising_mean_field_sweep",
    "lattice_chain",
    "lda_e_step",
    "lda_elbo",
    "mean_field_fit",
    "mixture_cavi_step",
    "one_of_each_digit",
    "random_responsibilities",
    "random_topics",
    "reparameterization_gradient",
    "sample_spanning_trees",
    "score_function_gradient",
    "score_gradient",
    "spanning_tree_bound",
    "stochastic_step",
    "tree_reweighted_belief_propagation",
]
