"""One request and what is known around it; the way from a request to the function that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from kite_bars_store.errors import StoreError, TryAgain
from kite_dead_letters.page.access import Access, Session
from kite_dead_letters.page.guard import BODY_BYTES_MAX
from kite_dead_letters.page.redriving import Database, Desk
from kite_dead_letters.page.rendering import Pages
from kite_dead_letters.page.views import Reader

FIELDS_MAX: Final = 20
SEE_OTHER: Final = 303
NOT_LOGGED_IN: Final = 401
_TITLES: Final = {404: "Not there", 503: "Away"}
_OTHERS: Final = {404: "there is no such page", 405: "there is nothing to see at this address"}


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the answers are made from. ``desk`` does the redrives.

    ``open_to_read``: reading needs no token, because only this machine gets here.
    """

    database: Database
    access: Access
    reader: Reader
    desk: Desk
    pages: Pages
    open_to_read: bool
    cookie: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    clock: Callable[[], float] = field(default=monotonic)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its session if it has one, and the fields of its form."""

    site: Site
    request: Request
    session: Session | None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def query(self) -> Mapping[str, str]:
        """The query of the address; of a name given twice, the last value."""
        return dict(self.request.query_params)

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page, with what every template needs."""
        session = self.session
        return self.site.pages.render(
            template,
            {
                "session": session,
                "message": session.take_message() if session is not None else "",
                "now": self.site.now(),
                **values,
            },
            status,
        )

    def member(self) -> Session:
        """The session. Raises HTTPException."""
        if self.session is None:
            raise HTTPException(
                NOT_LOGGED_IN, "this needs the token that the command printed at its start"
            )
        return self.session

    def done(self, path: str, message: str) -> Response:
        """Back to a page of ours, which shows the message."""
        self.member().message = message
        return RedirectResponse(path, SEE_OTHER)


Answer = Callable[[Call], Response]
Endpoint = Callable[[Request], Any]


def call_of(site: Site, request: Request, form: Mapping[str, str] | None = None) -> Call:
    """The request with the session that its cookie names."""
    key = request.cookies.get(site.cookie, "")
    session = site.access.find(key, site.clock()) if key else None
    return Call(site, request, session, form or {})


def reading(site: Site, answer: Answer, *, members: bool | None = None) -> Endpoint:
    """For pages that only show. ``members``: whether it needs the token; None: as all reading."""
    closed = not site.open_to_read if members is None else members

    def endpoint(request: Request) -> Response:
        call = call_of(site, request)
        if closed:
            call.member()
        return answer(call)

    return endpoint


def posted(site: Site, answer: Answer, *, members: bool = True) -> Endpoint:
    """For forms. ``members``: only with a session, and only forms that were made for it."""

    async def endpoint(request: Request) -> Response:
        call = call_of(site, request, await form_of(request))
        if members and not call.member().wrote(call.form.get("csrf", "")):
            problem = "this form is not of your session; go back, reload and try again"
            raise HTTPException(403, problem)
        return await run_in_threadpool(answer, call)

    return endpoint


def refused(site: Site, request: Request, error: HTTPException) -> Response:
    """What a person at a browser sees of a refusal: its sentence, or the way in."""
    call = call_of(site, request)
    if error.status_code == NOT_LOGGED_IN:
        return call.page("login.html", error.status_code, problem=error.detail)
    # Starlette's own refusals have the name of their status in place of a sentence.
    ours = error.detail != HTTPStatus(error.status_code).phrase
    problem = error.detail if ours else _OTHERS.get(error.status_code, error.detail)
    title = _TITLES.get(error.status_code, "Not done")
    response = call.page("problem.html", error.status_code, title=title, problem=problem)
    response.headers.update(error.headers or {})
    return response


def away(site: Site, request: Request, error: StoreError) -> Response:
    """The database is away, or a person must correct something: the page itself stands."""
    call = call_of(site, request)
    response = call.page("problem.html", 503, title="The database", problem=str(error))
    if isinstance(error, TryAgain):
        response.headers["Retry-After"] = "5"
    return response


# Starlette's request.form() bounds fields, not the whole body, and takes faulty UTF-8.
async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, read no further than any form of ours is long. Raises HTTPException."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_BYTES_MAX:
                raise HTTPException(413, f"a form may have {BODY_BYTES_MAX} bytes at most")
    except ClientDisconnect:
        raise HTTPException(400, "the form did not arrive whole") from None
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise HTTPException(400, "this is no form of this page") from None
    return dict(pairs)
