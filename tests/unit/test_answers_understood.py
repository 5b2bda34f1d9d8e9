"""What people write when they answer, and what they say beside it."""

from __future__ import annotations

import pytest

from gateway.prompts import Answer, Option, Prompt, Value, read_answer, remark

NPS, CSAT = Prompt(kind="scale", min=0, max=10), Prompt(kind="scale", min=1, max=5)
YES_NO, ACKNOWLEDGE, TEXT = Prompt(kind="yes_no"), Prompt(kind="acknowledge"), Prompt(kind="text")
OFFER = Prompt(kind="choice", options=(Option("a", "Refund"), Option("b", "Voucher"), Option("c", "退款")))


@pytest.mark.parametrize(
    "text, mark",
    [
        ("9 - the staff were great", 9), ("9 – the staff were great", 9), ("9: great", 9), ("9 because they were kind", 9), ("9 great service", 9),
        ("9 / 10 great", 9), ("9/10 because it was quick", 9), ("9分因为服务好", 9), ("9分，因为服务好", 9), ("9 επειδή ήρθατε αμέσως", 9),
        ("９／１０", 9), ("9 out of 10!", 9), ("9 στα 10", 9), ("١٠", 10), ("۹", 9), ("१", 1), ("🔟", 10), ("9️⃣", 9), ("1️⃣0️⃣", 10),
        ("No. 7", 7), ("no 7", 7), ("nr 7", 7), ("αρ. 7", 7), ("(1)", 1), ("[7]", 7), ("1)", 1), ("my score: 8", 8), ("Rating: 9", 9), ("Answer: 9", 9), ("评分：9", 9),
        ("9 👍", 9), ("👍 9", 9), ("9😀", 9), ("我打八分", 8), ("ENNEA", 9), ("deka", 10), ("⭐⭐⭐⭐", 4), ("★★★★☆", 4),
        ("1 and 2", None), ("1&2", None), ("1+2", None), ("between 7 and 8", None), ("7 or 8", None), ("7/8", None), ("9, 10", None), ("7~8", None), ("7到8", None),
        ("my score: 8 or 9", None), ("⭐ great", None), ("☆☆☆", None), ("because 9", None), ("no", None),
    ],
)  # fmt: skip
def test_a_mark(text: str, mark: int | None) -> None:
    assert read_answer(NPS, text) == mark


@pytest.mark.parametrize(
    "text, value",
    [
        ("Yes - thanks", True), ("no - still broken", False), ("没有，还是坏的", False), ("没有解决", False), ("yes👍", True), ("２", False), ("#2", False), ("1️⃣", True),
        ("No. 1", None), ("no 1", None), ("yes, 2", None),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, value: bool | None) -> None:
    assert read_answer(YES_NO, text) is value


@pytest.mark.parametrize(
    "text, option",
    [
        ("2 Voucher", "b"), ("2. Voucher", "b"), ("2 = Voucher", "b"), ("2) voucher", "b"), ("voucher please", "b"), ("the voucher", "b"), ("I'd like the voucher", "b"),
        ("选退款", "c"), ("我要退款", "c"), ("Refund, thank you", "a"), ("Refund. It took you long enough", "a"), ("No. 2", "b"), ("number two", "b"),
        ("1 Voucher", None), ("1. Voucher", None), ("refund or voucher", None), ("Refund, or maybe the voucher", None), ("no refund", None), ("no, refund", None),
    ],
)  # fmt: skip
def test_a_choice(text: str, option: str | None) -> None:
    assert read_answer(OFFER, text) == option


@pytest.mark.parametrize(
    "prompt, value, text, said",
    [
        (NPS, 9, "9 - the staff were great", "the staff were great"), (NPS, 9, "9\nThe staff were great", "The staff were great"),
        (NPS, 9, "9", ""), (NPS, 9, "9/10", ""), (NPS, 9, "I'd give 9", ""), (NPS, 9, "9 because they were kind", "9 because they were kind"),
        (NPS, 9, "the staff were great", "the staff were great"), (NPS, 9, "1. quick\n2. kind", "1. quick\n2. kind"), (NPS, 3, "3，太慢了", "太慢了"),
        (YES_NO, False, "no, still not working", "still not working"), (YES_NO, False, "No it isn't, the tap drips", "the tap drips"), (YES_NO, True, "Yes", ""),
        (OFFER, "a", "Refund", ""), (OFFER, "a", "1 - and be quick", "and be quick"), (TEXT, "All is well", "All is well", ""), (ACKNOWLEDGE, True, "ok", ""),
        (NPS, 7, '7 - all fine, "quoted"', 'all fine, "quoted"'), (NPS, 9, "9 - didn't wait (really)", "didn't wait (really)"), (NPS, 8, "«8, all fine»", "all fine"),
        (NPS, 9, "９，ＯＫ（真的）", "ＯＫ（真的）"), (NPS, 9, "9 ... well", "well"), (NPS, 9, "9!!!", ""), (NPS, 9, "9 :)", ""), (NPS, 9, "9, 👍", "👍"),
        (NPS, 10, "ten out of ten", ""), (NPS, 10, "I would give ten out of ten!", ""), (NPS, 10, "Ten out of ten - at last", "at last"), (NPS, 10, "10 από τα 10", ""),
    ],
)  # fmt: skip
def test_what_is_said_beside_an_answer(prompt: Prompt, value: Value, text: str, said: str) -> None:
    assert remark(prompt, Answer(value=value, text=text, channel="sms", at=1)) == said
