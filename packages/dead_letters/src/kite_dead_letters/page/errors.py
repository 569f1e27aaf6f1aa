"""What the page refuses, with its HTTP status.

PageRefusal                      a sentence for the person at the browser
├── BadRequest             400       a filter or a form that makes no sense
├── NotLoggedIn            401       the token has not been shown
├── ForeignForm            403       a form that this session was not given
├── NotThere               404       no such failure or group
├── Changed                409       it is no longer as it was shown
├── FormTooLarge           413
└── NotPossibleHere        503       what it needs is not set up or away
"""

from __future__ import annotations

from typing import ClassVar


class PageRefusal(Exception):
    """Base; its text is one sentence."""

    status: ClassVar[int] = 400


class BadRequest(PageRefusal):
    """Something was given that makes no sense."""


class NotLoggedIn(PageRefusal):
    """Only who has shown the token may do this."""

    status = 401


class ForeignForm(PageRefusal):
    """The form is not one of this session."""

    status = 403


class NotThere(PageRefusal):
    """What was asked for does not exist."""

    status = 404


class Changed(PageRefusal):
    """What the decision was about has changed in between."""

    status = 409


class FormTooLarge(PageRefusal):
    """More than any form of this page has."""

    status = 413


class NotPossibleHere(PageRefusal):
    """A service is away or not set up."""

    status = 503
