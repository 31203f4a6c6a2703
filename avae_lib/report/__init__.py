"""``report.html``: one page on one training run, complete in itself; and several runs beside each other."""

from avae_lib.report.comparison import compare_runs
from avae_lib.report.page import ReportUnavailable, write_report

__all__ = ["ReportUnavailable", "compare_runs", "write_report"]
