"""Each answer that can come is judged by its status first, in one sentence that hides secrets."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.errors import (
    AuthRefused,
    BadAnswer,
    BrokerError,
    InputRefused,
    KiteUnavailable,
    RateLimited,
)
from kite_broker_zerodha.rest.answers import Answer, error_of, unpacked

JSON = "application/json; charset=utf-8"
HTML = "text/html"


def hidden(text: str) -> str:
    return text.replace("CANARY", "***")


def kite(status: int, error_type: str | None, message: object = "why.") -> Answer:
    content: dict[str, object] = {"status": "error", "message": message}
    if error_type is not None:
        content["error_type"] = error_type
    return Answer(status, JSON, json.dumps(content).encode())


REFUSED = [
    (kite(403, "TokenException"), AuthRefused, False),
    (kite(400, "TokenException"), AuthRefused, False),
    (kite(200, "TokenException"), AuthRefused, False),
    (kite(401, None), AuthRefused, False),
    (kite(403, None), AuthRefused, False),
    (kite(403, "PermissionException"), InputRefused, False),
    (kite(400, "InputException"), InputRefused, False),
    (kite(404, "GeneralException"), InputRefused, False),
    (kite(405, None), InputRefused, False),
    (kite(429, "NetworkException"), RateLimited, True),
    (Answer(429, HTML, b"<html>"), RateLimited, True),
    (Answer(429, "", b""), RateLimited, True),
    (kite(500, "GeneralException"), KiteUnavailable, True),
    (kite(500, None), KiteUnavailable, True),
    (kite(503, "NetworkException"), KiteUnavailable, True),
    (kite(502, "DataException", 7), KiteUnavailable, True),
    (kite(200, "NetworkException"), KiteUnavailable, True),
    (kite(200, None), BadAnswer, True),
    (Answer(502, HTML, b"<html>CANARY"), BadAnswer, True),
    (Answer(504, "", b""), BadAnswer, True),
    (Answer(200, HTML, b"<html>"), BadAnswer, False),
    (Answer(403, HTML, b"<html>"), BadAnswer, False),
    (Answer(302, HTML, b""), BadAnswer, False),
    (Answer(500, "text/csv", b"a,b"), BadAnswer, True),
    (Answer(200, JSON, b""), BadAnswer, True),
    (Answer(200, JSON, b'{"status": "succ'), BadAnswer, False),
    (Answer(200, JSON, b"[" * 200_000), BadAnswer, False),
    (Answer(200, JSON, b"[]"), BadAnswer, False),
    (Answer(200, JSON, b'{"status": "success"}'), BadAnswer, False),
    (Answer(200, "text/csv", b" \r\n"), BadAnswer, True),
]


@pytest.mark.parametrize(("answer", "kind", "again"), REFUSED)
def test_what_is_wrong_says_what_to_do(
    answer: Answer, kind: type[BrokerError], again: bool
) -> None:
    error = error_of(answer, hidden)
    assert type(error) is kind
    assert getattr(error, "again", False) == again
    assert "\n" not in str(error)
    assert "CANARY" not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, JSON, b'{"status": "success", "data": {}}'),
        Answer(200, "application/json", b'{"data": null}'),
        Answer(200, "text/csv", b"a,b\n"),
        Answer(200, "TEXT/CSV; charset=utf-8", b"a,b\n"),
    ],
)
def test_good_answers_pass(answer: Answer) -> None:
    assert error_of(answer, hidden) is None


def test_kites_words_are_quoted_on_one_line_without_secrets_and_not_for_ever() -> None:
    error = error_of(kite(400, "InputException", "bad\r\n\x1b[2J CANARY " + "x" * 900), hidden)
    assert str(error).startswith("Kite refuses the call (HTTP 400: bad [2J *** xxx")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("header", "seconds"), [("", 0.0), ("7", 7.0), ("99999", 60.0), ("-1", 0.0), ("Wed, 21", 0.0)]
)
def test_kite_can_ask_for_a_wait(header: str, seconds: float) -> None:
    error = error_of(Answer(429, JSON, b"{}", header), hidden)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds


@given(st.integers(100, 599), st.sampled_from([JSON, HTML, "text/csv", "", "x"]), st.binary())
def test_no_answer_crashes(status: int, kind: str, body: bytes) -> None:
    error = error_of(Answer(status, kind, body), hidden)
    assert error is None or isinstance(error, BrokerError)
    if status != 200:
        assert error is not None


@given(st.binary(max_size=2000).filter(lambda data: not data.startswith(b"\x1f\x8b")))
def test_packed_or_not_the_body_is_the_same(data: bytes) -> None:
    for encoding in ("gzip", ""):  # a file that is packed itself needs no header
        assert unpacked(gzip.compress(data), encoding, 2000) == data
    assert unpacked(data, "", 2000) == data


def test_a_packed_body_that_ends_early_or_is_damaged_is_refused() -> None:
    packed = gzip.compress(b"instrument_token\n" * 1000)
    for cut in (3, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BadAnswer, match="ends in the middle"):
            unpacked(packed[:cut], "gzip", 1 << 20)
    with pytest.raises(BadAnswer, match="damaged"):
        unpacked(packed[:20] + b"\xff" * 30 + packed[50:], "gzip", 1 << 20)
    with pytest.raises(BadAnswer, match="not asked for"):
        unpacked(b"x", "br", 1 << 20)


def test_a_small_body_cannot_become_a_large_one() -> None:
    bomb = gzip.compress(bytes(8 << 20))
    assert len(bomb) < 10_000
    with pytest.raises(BadAnswer, match="larger than 1 MiB"):
        unpacked(bomb, "gzip", 1 << 20)
