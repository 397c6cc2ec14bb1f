"""PDF: the page on paper. Nothing is fetched for it, from anywhere."""

from __future__ import annotations

from typing import Any


def print_page(html: str) -> bytes:
    """
    *html* as a PDF.

    Pictures and fonts have to be in it, as `data:` addresses; any other is left out.
    """
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    fetcher = URLFetcher(allowed_protocols=["data"], allow_redirects=False)
    page: Any = HTML(string=html, url_fetcher=fetcher, base_url=None)
    made: bytes = page.write_pdf()
    return made
