"""Headers that every answer has: what a browser may do with a page of ours."""

from __future__ import annotations

from collections.abc import Collection

from .origins import origin

POLICY = "Content-Security-Policy"

ALWAYS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), fullscreen=(),"
        " geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(),"
        " payment=(), publickey-credentials-get=(), usb=()"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cache-Control": "no-store",
}
"""Set where an answer does not say otherwise itself."""


def policy(submits_to: Collection[str] = ()) -> str:
    """
    The Content-Security-Policy of a page: nothing inline, nothing from elsewhere.

    A form ends here, or by a redirect at the origin of one of *submits_to*.
    """
    ends = ["'self'", *sorted({origin(url) for url in submits_to} - {""})]
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"form-action {' '.join(ends)}",
            "frame-ancestors 'self'",
            "base-uri 'none'",
        )
    )
