"""What a template's fields can show."""

from __future__ import annotations

import pytest

from gateway.channels.wechat import template_problem


@pytest.mark.parametrize(
    "field, value, fine",
    [
        ("thing1", "停" * 20, True),
        ("thing1", "停" * 21, False),
        ("thing12", "", False),
        ("keyword1", "x" * 20, True),
        ("keyword1", "x" * 21, False),
        ("character_string3", "SAP-4711", True),
        ("character_string3", "停电", False),
        ("character_string3", "x" * 33, False),
        ("number4", "3.50", True),
        ("number4", "three", False),
        ("phrase5", "已恢复", True),
        ("phrase5", "已恢复供电了", False),
        ("phrase5", "restored", False),
        ("name6", "王小明", True),
        ("name6", "Maria Papadopoulou", True),
        ("name6", "Maria Papadopoulou-Georgiou", False),
        ("phone_number7", "+30 210 1234567", True),
        ("phone_number7", "+30 210 1234567 ext 89", False),
        ("amount8", "€12.50", True),
        ("amount8", "12345678901", False),
        ("time9", "2026年11月22日 18:00~20:00", True),
        ("first", "Dear customer", False),
        ("remark", "Bye", False),
        ("unheard_of1", "x" * 21, False),
    ],
)
def test_template_fields(field: str, value: str, fine: bool) -> None:
    problem = template_problem({"thing99": "ok", field: value})
    assert (problem is None) == fine
    assert problem is None or field in problem
