"""Time a checkerboard sweep of an Ising lattice, a copy of the same memory, and its tanh alone.

    python benchmarks/ising_sweep.py

If the time per spin stays the same as lattices grow, the cost is arithmetic and memory traffic, not Python.
"""

import torch
from records import Table, options_of, record
from torch.utils.benchmark import Timer

from avae_lib.meanfield import LatticeIsing

COUPLING = 0.3
SIDES = (32, 256, 1024, 2048)


def milliseconds(statement: str, **names) -> float:
    """Median time of a statement."""
    threads = torch.get_num_threads()
    return 1e3 * Timer(statement, globals=names, num_threads=threads).blocked_autorange(min_run_time=1).median


def row(side: int) -> tuple[float, float, float, float]:
    """Milliseconds of a mean-field sweep, a Gibbs sweep, a copy and a tanh of a square lattice."""
    field, uniforms = torch.randn(side, side), torch.rand(side, side)
    names = {
        "lattice": LatticeIsing.uniform(COUPLING, field),
        "means": torch.zeros_like(field),
        "spins": (uniforms - 0.5).sign(),
        "uniforms": uniforms,
        "field": field,
        "out": torch.empty_like(field),
        "torch": torch,
    }
    statements = (
        "lattice.mean_field_sweep(means)",
        "lattice.sample_sweep(spins, uniforms)",
        "out.copy_(field)",
        "torch.tanh(field, out=out)",
    )
    return tuple(milliseconds(statement, **names) for statement in statements)


def main() -> None:
    torch.manual_seed(0)
    table = Table(
        side=">6",
        mean_field_ms=">14.3f",
        mean_field_ns_per_spin=">23.1f",
        gibbs_ms=">10.3f",
        copy_ms=">10.4f",
        tanh_ms=">10.4f",
    )
    for side in SIDES:
        mean_field, gibbs, copy, tanh = row(side)
        table.add(
            side=side,
            mean_field_ms=mean_field,
            mean_field_ns_per_spin=1e6 * mean_field / side**2,
            gibbs_ms=gibbs,
            copy_ms=copy,
            tanh_ms=tanh,
        )
    record("ising_sweep", table.rows)


if __name__ == "__main__":
    options_of(__doc__).parse_args()  # it takes no arguments, but has a --help
    main()
