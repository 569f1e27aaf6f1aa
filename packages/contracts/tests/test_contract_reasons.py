"""The reason codes: complete, described, and the same in the contract of dead letters."""

from __future__ import annotations

import re

import pytest
from contract_records import avro_field

from kite_contracts.reasons import ReasonCode, reason_of
from kite_contracts.schemas import avro_schema, latest
from kite_contracts.tick_batch import FIELD_COUNT, Verdict


def test_the_codes_are_the_symbols_of_the_contract() -> None:
    symbols = avro_field(avro_schema("dead_letter", latest("dead_letter")), "reason")["type"][
        "symbols"
    ]
    assert [code.value for code in ReasonCode] == symbols


@pytest.mark.parametrize("code", ReasonCode)
def test_every_code_says_what_it_means_whose_it_is_and_what_to_do(code: ReasonCode) -> None:
    for sentence in (code.meaning, code.action):
        assert re.fullmatch(
            r"[A-Z][^.|]*(?:\.[a-z][^.|]*)*\.", sentence
        ), "one sentence, no table bar"
    assert isinstance(code.retryable, bool)
    assert code.owner


@pytest.mark.parametrize("code", [code for code in ReasonCode if code.retryable])
def test_what_can_succeed_later_is_redriven(code: ReasonCode) -> None:
    assert "redrive" in code.action


def test_every_fault_of_the_decoder_has_its_code() -> None:
    faults = {verdict: reason_of(verdict) for verdict in Verdict if verdict != Verdict.OK}
    assert faults == {
        Verdict.TRUNCATED: ReasonCode.DECODE_TRUNCATED,
        Verdict.UNKNOWN_PACKET: ReasonCode.DECODE_UNKNOWN_PACKET,
        Verdict.TRAILING_BYTES: ReasonCode.DECODE_TRAILING_BYTES,
    }
    assert {reason_of(column + 1) for column in range(FIELD_COUNT)} == {ReasonCode.SEMANTIC_RANGE}


@pytest.mark.parametrize("verdict", [0, -4, FIELD_COUNT + 1])
def test_what_is_no_fault_has_no_code(verdict: int) -> None:
    with pytest.raises(ValueError, match="is no fault"):
        reason_of(verdict)
