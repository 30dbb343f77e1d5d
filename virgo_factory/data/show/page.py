"""Until distill/page.py imports them from report: the names of a page as it calls them."""

from virgo_factory.data.read.look import scaled
from virgo_factory.report.page import Article as Card
from virgo_factory.report.page import Picture, Section, Text
from virgo_factory.report.page import write_page as _write_page
from virgo_factory.report.table import Table, facts
from virgo_factory.report.text import visible


__all__ = ["Card", "Picture", "Section", "Table", "Text", "scaled", "visible", "write_page"]


def write_page(path, title, cards, summary=(), plots=(), legend=(), tables=()):
    """Write a page whose head holds a summary, tables, plots and a legend."""
    return _write_page(
        path, title, cards, [Section("", [facts(summary)] * bool(summary) + [*tables, *plots, *legend])]
    )
