"""What the forms do: log in and out, decide, redrive. None of them is reached without the token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from kite_bars_store.failures import Decision, FailureStore, Selection, Status
from kite_dead_letters.page.access import SESSION_S
from kite_dead_letters.page.calls import SEE_OTHER, Call
from kite_dead_letters.page.filters import id_of, status_of
from kite_dead_letters.page.reading import group_of
from kite_dead_letters.page.redriving import Preview
from kite_dead_letters.redrive import Action, Report

WHO_CHARS_MAX: Final = 100
NOTE_CHARS_MAX: Final = 2000
_DONE: Final = {
    Decision.RESOLVE: "resolved",
    Decision.IGNORE: "ignored",
    Decision.REOPEN: "reopened",
    Decision.ASSIGN: "assigned",
    Decision.NOTE: "noted",
}
_ACTIONS: Final = {
    Action.REDRIVE: "sent back",
    Action.REPAIR: "sent to the repair topic",
    Action.QUARANTINE: "put into quarantine",
    Action.REFUSE: "refused",
    Action.SKIP: "left as they are",
}


def login(call: Call) -> Response:
    """The link that the command printed, or the field to type the token into."""
    token = call.query.get("token")
    if token is None:
        return call.page("login.html", problem="")
    return log_in(call, token)


def posted_token(call: Call) -> Response:
    """The token typed into the form."""
    return log_in(call, call.form.get("token", ""))


def log_in(call: Call, token: str) -> Response:
    """Open a session, and go where the address holds the token no longer."""
    session = call.site.access.log_in(token, call.site.clock())
    if session is None:
        problem = "that is not the token of this process; each start has a new one unless it is set"
        return call.page("login.html", 403, problem=problem)
    # A page that leads on, and no redirect: a browser that came from another site would leave the
    # new cookie out of a redirected request.
    response = Call(call.site, call.request, session).page("welcome.html")
    response.headers["Referrer-Policy"] = "no-referrer"
    response.set_cookie(
        call.site.cookie,
        session.key,
        max_age=int(SESSION_S),
        secure=call.request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def log_out(call: Call) -> Response:
    """End the session."""
    call.site.access.log_out(call.member().key)
    response = RedirectResponse("/", SEE_OTHER)
    response.delete_cookie(call.site.cookie, httponly=True, samesite="strict")
    return response


def decide(call: Call) -> Response:
    """A decision about one failure, or about those of a group that the form names."""
    form = call.form
    decision = _decision(form.get("decision", ""))
    who, note = _who_and_note(call)
    assignee = form.get("assignee", "").strip() if decision is Decision.ASSIGN else None
    if assignee is not None and len(assignee) > WHO_CHARS_MAX:
        raise HTTPException(400, f"a name may have {WHO_CHARS_MAX} characters")
    if decision is Decision.NOTE and not note:
        raise HTTPException(400, "write the note that is to be kept")
    chosen, back = _chosen(form)
    if decision is Decision.REOPEN and chosen.status is Status.OPEN:
        chosen = replace(chosen, status=None)
    with call.site.database.failures() as store:
        _exists(store, chosen)
        done = store.decide(chosen, decision, who, note, assignee=assignee)
    changed = f"{done.changed:,} {_DONE[decision]}"
    if decision is Decision.ASSIGN:
        changed += f" to {assignee}" if assignee else " to no one"
    same = f"; {done.unchanged:,} unchanged" if done.unchanged else ""
    return call.done(back, f"{changed}{same}.")


def dry_run(call: Call) -> Response:
    """What a redrive would do, or a quarantine."""
    chosen, back = _chosen(call.query)
    return _dry_run_page(call, chosen, back, "", give_up=bool(call.query.get("give_up")))


def redrive(call: Call) -> Response:
    """Do what the dry run showed, if it would still be the same."""
    form = call.form
    who, note = _who_and_note(call)
    chosen, back = _chosen(form)
    give_up = bool(form.get("give_up"))
    expected, typed = form.get("expected", ""), form.get("typed", "").replace(",", "").strip()
    preview = call.site.desk.preview(chosen, give_up)
    if str(preview.sent) != expected:
        problem = "it would no longer be the same; this is what it would be now"
        return _dry_run_page(call, chosen, back, problem, 409, give_up=give_up)
    if preview.total > 1 and typed != expected:
        problem = f"type the number of records that go out, {preview.sent}, to confirm"
        return _dry_run_page(call, chosen, back, problem, 400, give_up=give_up)
    # What lies behind the last one that was shown is not part of it.
    report = call.site.desk.execute(replace(chosen, up_to=preview.up_to), who, note, give_up)
    return call.done(back, _told(report))


def _dry_run_page(
    call: Call,
    chosen: Selection,
    back: str,
    problem: str,
    status: int = 200,
    *,
    give_up: bool,
) -> Response:
    with call.site.database.failures() as store:
        _exists(store, chosen)
    preview: Preview = call.site.desk.preview(chosen, give_up)
    return call.page(
        "redrive.html",
        status,
        preview=preview,
        chosen=chosen,
        back=back,
        problem=problem,
        give_up=give_up,
        can_send=call.site.desk.kafka is not None,
    )


def _chosen(fields: Mapping[str, str]) -> tuple[Selection, str]:
    """What a form or an address is about, and the page that shows it. Raises HTTPException."""
    failure_id = id_of(fields.get("failure"))
    if failure_id is not None:
        return Selection(ids=(failure_id,)), f"/failures/{failure_id}"
    fingerprint = fields.get("group", "")
    if not fingerprint:
        raise HTTPException(400, "neither a failure nor a group is named")
    chosen = Selection(
        fingerprint=fingerprint,
        status=status_of(fields.get("which", "")),
        up_to=id_of(fields.get("up_to")),
    )
    return chosen, f"/groups/{fingerprint}"


def _exists(store: FailureStore, chosen: Selection) -> None:
    """Raises HTTPException for a failure or a group that is not."""
    if chosen.fingerprint is not None:
        group_of(store, chosen.fingerprint)
    elif store.count(chosen) == 0:
        raise HTTPException(404, "there is no such failure")


def _decision(text: str) -> Decision:
    try:
        return Decision(text)
    except ValueError:
        raise HTTPException(400, f"there is no decision {text[:40]!r}") from None


def _who_and_note(call: Call) -> tuple[str, str]:
    """Who decides, which the session remembers, and the note. Raises HTTPException."""
    who, note = call.form.get("who", "").strip(), call.form.get("note", "").strip()
    if not 0 < len(who) <= WHO_CHARS_MAX:
        raise HTTPException(400, f"name who decides, in up to {WHO_CHARS_MAX} characters")
    if len(note) > NOTE_CHARS_MAX:
        raise HTTPException(400, f"a note may have {NOTE_CHARS_MAX} characters")
    call.member().who = who
    return who, note


def _told(report: Report) -> str:
    said = [f"{report.actions[action]:,} {word}" for action, word in _ACTIONS.items()]
    words = ", ".join(each for each in said if not each.startswith("0 ")) or "nothing to do"
    if report.resent:
        words += f"; {report.resent:,} of an earlier run that were in doubt were sent again"
    if report.in_doubt:
        words += f"; {report.in_doubt:,} are in doubt and go first next time"
    return f"{words}."
