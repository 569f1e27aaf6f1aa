"""One request and what is known around it; the way from a request to the function that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from kite_bars_store.errors import StoreError, TryAgain
from kite_dead_letters.page.access import Access, Session
from kite_dead_letters.page.errors import (
    BadRequest,
    ForeignForm,
    FormTooLarge,
    NotLoggedIn,
    NotPossibleHere,
    PageRefusal,
)
from kite_dead_letters.page.guard import BODY_BYTES_MAX
from kite_dead_letters.page.redriving import Database, Desk
from kite_dead_letters.page.rendering import Pages
from kite_dead_letters.page.views import Reader

FIELDS_MAX: Final = 20
FORM_S: Final = 10.0
"""How long a form may take to arrive."""
SEE_OTHER: Final = 303


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
        """The session. Raises NotLoggedIn."""
        if self.session is None:
            raise NotLoggedIn("this needs the token that the command printed at its start")
        return self.session

    def done(self, path: str, message: str) -> Response:
        """Back to a page of ours, which shows the message."""
        self.member().message = message
        return RedirectResponse(path, SEE_OTHER)


Answer = Callable[[Call], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def reading(site: Site, answer: Answer, *, members: bool = False) -> Endpoint:
    """For pages that only show. ``members``: even where reading is open, this needs the token."""

    async def endpoint(request: Request) -> Response:
        call = Call(site, request, session_of(site, request))
        if call.session is None and (members or not site.open_to_read):
            return _refused(call, NotLoggedIn("this needs the token"))
        return await run_in_threadpool(_answer, answer, call)

    return endpoint


def changing(site: Site, answer: Answer) -> Endpoint:
    """For forms: only with a session, and only forms that were made for it."""

    async def endpoint(request: Request) -> Response:
        call = Call(site, request, session_of(site, request))
        try:
            form = await form_of(request)
            if not call.member().wrote(form.get("csrf", "")):
                raise ForeignForm("this form is not of your session; go back, reload and try again")
        except PageRefusal as refusal:
            return _refused(call, refusal)
        return await run_in_threadpool(_answer, answer, Call(site, request, call.session, form))

    return endpoint


def entering(site: Site, answer: Answer) -> Endpoint:
    """For the way in: without a session, with the fields of a form where there is one."""

    async def endpoint(request: Request) -> Response:
        call = Call(site, request, session_of(site, request))
        try:
            form = await form_of(request)
        except PageRefusal as refusal:
            return _refused(call, refusal)
        return _answer(answer, Call(site, request, call.session, form))

    return endpoint


def session_of(site: Site, request: Request) -> Session | None:
    """The session that the cookie names."""
    key = request.cookies.get(site.cookie, "")
    return site.access.find(key, site.clock()) if key else None


# Starlette's request.form() bounds fields, not the whole body or its time, and takes faulty UTF-8.
async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, read no further than any form of ours is long. Raises PageRefusal."""
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_S):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES_MAX:
                    raise FormTooLarge(f"a form may have {BODY_BYTES_MAX} bytes at most")
    except (TimeoutError, ClientDisconnect):
        raise BadRequest("the form did not arrive whole") from None
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise BadRequest("this is no form of this page") from None
    return dict(pairs)


def _answer(answer: Answer, call: Call) -> Response:
    try:
        return answer(call)
    except PageRefusal as refusal:
        return _refused(call, refusal)
    except StoreError as error:
        return _away(call, error)


def _refused(call: Call, refusal: PageRefusal) -> Response:
    if isinstance(refusal, NotLoggedIn):
        return call.page("login.html", refusal.status, problem=str(refusal))
    title = "Away" if isinstance(refusal, NotPossibleHere) else "Not done"
    return call.page("problem.html", refusal.status, title=title, problem=str(refusal))


def _away(call: Call, error: StoreError) -> Response:
    """The database is away, or a person must correct something: the page itself stands."""
    response = call.page("problem.html", 503, title="The database", problem=str(error))
    if isinstance(error, TryAgain):
        response.headers["Retry-After"] = "5"
    return response
