from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.channels.base import Refused, Unknown
from gateway.channels.faults import load_table
from gateway.channels.twilio_api import code_in, cost_of, fault_for, outcome
from gateway.channels.twilio_http import retry_after
from gateway.message import Cost, Fault

NOW = 1_795_337_462_000  # 2026-11-22T08:51:02Z


@pytest.mark.parametrize("code", [int(row["code"]) for row in load_table("twilio_errors")])
def test_every_code_of_the_table_has_a_fault(code: int) -> None:
    with capture_logs() as logs:
        assert isinstance(fault_for(code), Fault)
        assert isinstance(outcome(400, code), Refused | Unknown)
    assert not [entry for entry in logs if entry["event"] == "new_provider_code"]


@pytest.mark.parametrize(
    "code, fault",
    [
        (21211, Fault.BAD_ADDRESS),
        (21214, Fault.UNREACHABLE),
        (21614, Fault.BAD_ADDRESS),
        (30006, Fault.BAD_ADDRESS),
        (21610, Fault.OPTED_OUT),
        (30004, Fault.BLOCKED),
        (30007, Fault.FILTERED),
        (21617, Fault.CONTENT_REFUSED),
        (12100, Fault.CONTENT_REFUSED),
        (20429, Fault.THROTTLED),
        (21611, Fault.THROTTLED),
        (30001, Fault.THROTTLED),
        (30023, Fault.QUOTA),
        (30017, Fault.UNAVAILABLE),
        (30003, Fault.UNREACHABLE),
        (20003, Fault.ACCOUNT_SHUT),
        (30002, Fault.ACCOUNT_SHUT),
        (21408, Fault.MISCONFIGURED),
        (30034, Fault.MISCONFIGURED),
        (30008, Fault.UNEXPLAINED),
    ],
)
def test_core_codes(code: int, fault: Fault) -> None:
    assert fault_for(code) is fault


@pytest.mark.parametrize(
    "code, fault",
    [
        (20998, Fault.MISCONFIGURED),
        (21698, Fault.CONTENT_REFUSED),
        (21798, Fault.CONTENT_REFUSED),
        (21998, Fault.MISCONFIGURED),
        (30098, Fault.UNEXPLAINED),
        (30998, Fault.MISCONFIGURED),
        (99998, Fault.UNEXPLAINED),
    ],
)
def test_unknown_codes_are_judged_by_their_range_and_reported(code: int, fault: Fault) -> None:
    with capture_logs() as logs:
        assert fault_for(code) is fault
    assert logs == [{"event": "new_provider_code", "log_level": "warning", "provider": "twilio", "code": code}]


@pytest.mark.parametrize(
    "status, code, fault",
    [
        (400, None, Fault.UNEXPLAINED),
        (400, 400, Fault.UNEXPLAINED),
        (401, None, Fault.ACCOUNT_SHUT),
        (403, None, Fault.ACCOUNT_SHUT),
        (403, 20998, Fault.ACCOUNT_SHUT),
        (403, 21408, Fault.MISCONFIGURED),
        (404, None, Fault.MISCONFIGURED),
        (409, None, Fault.UNAVAILABLE),
        (418, None, Fault.UNEXPLAINED),
        (422, None, Fault.CONTENT_REFUSED),
        (429, None, Fault.THROTTLED),
        (429, 21998, Fault.THROTTLED),
        (429, 21611, Fault.THROTTLED),
        (429, 30023, Fault.QUOTA),
        (307, None, Fault.MISCONFIGURED),
        (400, "21211", Fault.BAD_ADDRESS),
        (400, "over there", Fault.UNEXPLAINED),
        (400, ["21211"], Fault.UNEXPLAINED),
    ],
)
def test_refusals(status: int, code: object, fault: Fault) -> None:
    result = outcome(status, code, 5)
    assert isinstance(result, Refused)
    assert (result.fault, result.retry_after) == (fault, 5)


@pytest.mark.parametrize(
    "status, code", [(500, None), (502, 502), (503, 20503), (500, 21211), (400, 20500), (408, None), (599, None)]
)
def test_what_may_have_been_carried_out(status: int, code: int | None) -> None:
    assert isinstance(outcome(status, code), Unknown)


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        ("999999999999", 86400),
        ("-1", None),
        ("٣", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 08:51:32 GMT", 30),
        ("Sun, 22 Nov 2026 08:51:32 -0000", 30),
        ("Sun, 22 Nov 2026 08:50:32 GMT", 0),
        ("Sun, 22 Nov 2099 08:50:32 GMT", 86400),
        ("Sun, 99 Nov 2026 08:50:32 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value, code",
    [(30003, 30003), ("30003", 30003), ("", None), ("0", None), (None, None), ("1e3", None), ("²", None), (-5, None)],
)
def test_code_in(value: object, code: int | None) -> None:
    assert code_in(value) == code


@pytest.mark.parametrize(
    "price, unit, cost",
    [
        ("-0.0075", "USD", Cost("0.0075", "USD", "provider")),
        ("0.01", "eur", Cost("0.01", "EUR", "provider")),
        (-0.5, "USD", Cost("0.5", "USD", "provider")),
        (None, "USD", None),
        ("", "USD", None),
        ("null", "USD", None),
        ("-0.0075", None, None),
    ],
)
def test_cost_of(price: object, unit: object, cost: Cost | None) -> None:
    assert cost_of(price, unit) == cost
