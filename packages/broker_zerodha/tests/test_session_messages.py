"""What the session says and hears, and what nobody may read."""

from __future__ import annotations

import functools
import json
import logging
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.errors import EndpointError
from kite_broker_zerodha.session.credentials import Credentials
from kite_broker_zerodha.session.messages import (
    checked_endpoint,
    connect_url,
    messages_of,
    parse_text,
)
from kite_broker_zerodha.subscriptions import diff_shard
from kite_contracts.tick_batch import TickMode
from kite_runtime.secrets import RedactingFilter, redact


def test_messages_are_kites_with_numeric_tokens_and_leave_before_they_enter() -> None:
    change = diff_shard(
        0, {5: TickMode.LTP, 6: TickMode.LTP}, {6: TickMode.FULL, 408065: TickMode.QUOTE}
    )
    assert messages_of(change) == [
        '{"a":"unsubscribe","v":[5]}',
        '{"a":"subscribe","v":[408065]}',
        '{"a":"mode","v":["quote",[408065]]}',
        '{"a":"mode","v":["full",[6]]}',
    ]


def test_long_subscriptions_are_sent_in_chunks_that_lose_nothing() -> None:
    wished = {token: TickMode.FULL for token in range(1, 1202)}
    messages = [json.loads(text) for text in messages_of(diff_shard(0, {}, wished), 500)]
    assert [(m["a"], len(m["v"])) for m in messages[:3]] == [
        ("subscribe", 500),
        ("subscribe", 500),
        ("subscribe", 201),
    ]
    assert [len(m["v"][1]) for m in messages[3:]] == [500, 500, 201]
    assert sorted(functools.reduce(operator.iadd, (m["v"] for m in messages[:3]), [])) == list(
        wished
    )
    assert messages_of(diff_shard(0, wished, wished)) == []


@pytest.mark.parametrize(
    ("text", "kind", "plain"),
    [
        ('{"type":"order","data":{"order_id":"1"}}', "order", None),
        ('{"type":"error","data":"no"}', "error", "no"),
        ('{"type":"error","data":"' + "x" * 9_000 + '"}', "error", "x" * 300),
        ('{"type":"error","data":{"user_id":"AB1234"}}', "error", None),
        ('{"type":"message","data":"hello"}', "message", "hello"),
        ('{"type":"message","data":"a\\u001b]52;c;\\u0007\\nb"}', "message", "a ]52;c;  b"),
        ('{"type":"novel","data":"1"}', "message", "1"),
        ('{"user_id":"AB1234","checksum":"00"}', "message", None),
        ("[1]", "message", None),
        ('{"type":"message","data":' + "[" * 480 + "]" * 480 + "}", "message", None),
        ("not json", "message", "not json"),
        ("[" * 100_000, "message", None),
        ('{"type":"order","data":{"user_id":"AB1234","access_token":"cut sh', "message", None),
        ('  {"type":"order"', "message", None),
    ],
)
def test_text_messages(text: str, kind: str, plain: str | None) -> None:
    assert parse_text(text) == (kind, plain)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert parse_text(text).kind in ("order", "error", "message")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http://ws.kite.trade",
        "wss://",
        "wss://host:port",
        "wss://h?api_key=CANARY",
        "wss://user:CANARY@h",
    ],
)
def test_a_wrong_endpoint_is_one_sentence_without_secrets(endpoint: str) -> None:
    with pytest.raises(EndpointError) as caught:
        checked_endpoint(endpoint)
    assert "wss://" in str(caught.value) or "must carry no query" in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_the_url_carries_both_secrets_and_redaction_takes_them_out() -> None:
    url = connect_url("wss://ws.kite.trade", Credentials("key1234", "to ken+/=&x"))
    assert url == "wss://ws.kite.trade?api_key=key1234&access_token=to+ken%2B%2F%3D%26x"
    assert redact(url) == "wss://ws.kite.trade?api_key=***&access_token=***"


@pytest.mark.parametrize(
    "text",
    [
        "GET /?api_key=CANARY1&access_token=CANARY2 HTTP/1.1",
        "https%3A//x?access_token%3DCANARY1",
        '{"api_key": "CANARY1", "access_token": "CANARY2"}',
        "{'access_token': 'CANARY1'}",
        "literally CANARY1 and CANARY2",
    ],
)
def test_redaction(text: str) -> None:
    assert "CANARY" not in redact(text, ("CANARY1", "CANARY2"))


def test_log_records_lose_their_secrets_in_arguments_and_tracebacks() -> None:
    try:
        raise ValueError("bad URI wss://h?access_token=CANARY")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.INFO, "f", 1, "> GET %s", ("/?api_key=CANARY",), (type(error), error, None)
        )
    assert RedactingFilter().filter(record)
    shown = logging.Formatter().format(record)
    assert "GET /?api_key=***" in shown
    assert "ValueError" in shown
    assert "CANARY" not in shown
    record.levelno = logging.DEBUG
    assert not RedactingFilter().filter(record)
