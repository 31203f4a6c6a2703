"""``report.html``: one page on one training run, complete in itself."""

from avae_lib.report.page import write_report

__all__ = ["write_report"]
