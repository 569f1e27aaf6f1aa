"""The application: which address leads where."""

from __future__ import annotations

from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kite_bars_store.errors import StoreError
from kite_dead_letters.page import calls, changing, reading
from kite_dead_letters.page.calls import Answer, Site
from kite_dead_letters.page.guard import Guard, Names


def make_app(site: Site, names: Names) -> Guard:
    """The page as an ASGI application. It opens nothing before the first request."""

    def shows(path: str, answer: Answer) -> Route:
        return Route(path, calls.reading(site, answer), methods=["GET"])

    def does(path: str, answer: Answer) -> Route:
        return Route(path, calls.posted(site, answer), methods=["POST"])

    async def defect(request: Request, _error: Exception) -> Response:
        return PlainTextResponse("this is a defect of dlq_triage; its log shows where\n", 500)

    return Guard(
        Starlette(
            routes=[
                shows("/", reading.groups),
                shows("/groups/{fingerprint}", reading.group),
                shows("/failures", reading.failures),
                shows("/failures/{failure_id}", reading.failure),
                shows("/failures/{failure_id}/value", reading.value),
                shows("/failures/{failure_id}/line", reading.line),
                shows("/reasons", reading.reasons),
                Route("/redrive", calls.reading(site, changing.dry_run, members=True)),
                does("/redrive/run", changing.redrive),
                does("/decide", changing.decide),
                does("/logout", changing.log_out),
                *_open_routes(site),
            ],
            exception_handlers={
                HTTPException: partial(calls.refused, site),
                StoreError: partial(calls.away, site),
                500: defect,
            },
        ),
        names,
    )


def _open_routes(site: Site) -> list[Route]:
    """What anybody may ask for who gets here: the way in, the looks, and the health."""

    async def asset(request: Request) -> Response:
        found = site.pages.assets.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("there is no such file\n", 404)
        keep = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(found.content, media_type=found.media_type, headers=keep)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def readyz(_request: Request) -> Response:
        try:
            with site.database.failures() as store:
                store.check()
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ready\n")

    return [
        Route("/login", calls.reading(site, changing.login, members=False), methods=["GET"]),
        Route(
            "/login",
            calls.posted(site, changing.posted_token, members=False),
            methods=["POST"],
        ),
        Route("/assets/{name}", asset),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
