"""What was merged in a span as one page of HTML. Pure: data in, page out, no clock.

page = render(Report(...))        # the same report gives the same bytes
"""

from kite_bars_store.report.model import PRICE_EDGES, VOLUME_EDGES, Report
from kite_bars_store.report.page import render

__all__ = ["PRICE_EDGES", "VOLUME_EDGES", "Report", "render"]
