"""``report.html``: one page on one training run, complete in itself; and several runs beside each other."""

from avae_lib.report.comparison import compare_runs
from avae_lib.report.page import write_report

__all__ = ["compare_runs", "write_report"]
