from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompts import Option, Prompt, PromptKind, digits_needed, key_map, read_answer, read_key, validate

ACKNOWLEDGE, YES_NO, TEXT = Prompt(kind="acknowledge"), Prompt(kind="yes_no"), Prompt(kind="text")
NPS, CSAT = Prompt(kind="scale", min=0, max=10), Prompt(kind="scale", min=1, max=5)
OFFER = Prompt(
    kind="choice",
    options=(
        Option("refund", "Refund of 10 euro"),
        Option("voucher", "Voucher"),
        Option("call", "A call back"),
        Option("tui", "退款"),
        Option("epistrofi", "Επιστροφή"),
    ),
)
PROMPTS = (ACKNOWLEDGE, YES_NO, TEXT, NPS, CSAT, OFFER)


@pytest.mark.parametrize(
    "text, mark",
    [
        ("9", 9), (" 9 ", 9), ("9.", 9), ("9!", 9), ("(7)", 7), ("#7", 7), ("“8”", 8), ("10", 10), ("0", 0), ("09", 9),
        ("９", 9), ("①", 1), ("3️⃣", 3), ("٣", 3), ("一", 1), ("十", 10), ("零", 0), ("〇", 0), ("两", 2), ("兩", 2), ("９分", 9), ("打九分", 9),
        ("我给8分，谢谢", 8), ("9/10", 9), ("9 / 10", 9), ("10/10", 10), ("9 out of 10", 9), ("9 από τα 10", 9), ("nine out of ten", 9),
        ("zero", 0), ("Ten!", 10), ("δέκα", 10), ("Οχτώ", 8), ("οκτώ", 8), ("ΤΡΕΙΣ", 3), ("εννιά παρακαλώ", 9),
        ("I'd give 9", 9), ("my answer is 6", 6), ("9 points", 9), ("8, very friendly", 8), ("8. Very friendly, thank you", 8), ("8 - great", 8),
        ("9\nThe technician came on time.", 9), ("8，很好", 8),
        ("11", None), ("-3", None), ("8.5", None), ("8,5", None), ("7-8", None), ("½", None), ("8½", None), ("9/5", None), ("1 2", None), ("1, 2", None),
        ("8, or 9", None), ("8 - 9", None), ("10:30", None), ("3 times I called", None), ("2 hours", None), ("no one", None), ("great", None), ("", None),
        ("十一", None), ("9 " * 500, None), ("of" * 2000, None), ("100000000000000", None),
    ],
)  # fmt: skip
def test_a_mark_from_nought_to_ten(text: str, mark: int | None) -> None:
    assert read_answer(NPS, text) == mark


def test_a_scale_has_bounds_and_may_go_beyond_ten() -> None:
    assert [read_answer(CSAT, text) for text in ("0", "1", "5", "6", "4/5", "4/10")] == [None, 1, 5, None, 4, None]
    wide = Prompt(kind="scale", min=0, max=99)
    assert [read_answer(wide, text) for text in ("二十三", "十五", "四十", "99", "100")] == [23, 15, 40, 99, None]


@pytest.mark.parametrize(
    "text, value",
    [
        ("yes", True), ("Yes!", True), ("Y", True), ("yeah, sure", True), ("ok", True), ("1", True), ("1.", True), ("👍", True), ("👍🏽", True),
        ("yes it works", True), ("Yes. It was not easy, but it's done", True), ("ΝΑΙ", True), ("Ναί, ευχαριστώ", True), ("μάλιστα", True), ("nai", True),
        ("是", True), ("是的，谢谢", True), ("對", True), ("好的", True), ("恢复了", True),
        ("no", False), ("Nope", False), ("2", False), ("no, still not working", False), ("No it isn't", False), ("not yet", False), ("👎", False),
        ("Όχι", False), ("ΟΧΙ ακόμα", False), ("oxi", False), ("不", False), ("不是", False), ("还没有", False), ("沒有", False),
        ("3", None), ("maybe", None), ("yes or no", None), ("yes, no", None), ("yes but the power is out", None), ("no problem", None), ("no idea", None),
        ("不是很好", None), ("what?", None), ("", None), ("🙂", None),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, value: bool | None) -> None:
    assert read_answer(YES_NO, text) is value


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "１",
        "OK",
        "ok thanks",
        "yes",
        "Confirm",
        "confirmed",
        "got it",
        "Thank you!",
        "收到",
        "收到，谢谢",
        "知道了",
        "Το έλαβα",
        "ελήφθη",
        "ναι",
        "👍",
    ],
)
def test_acknowledgements(text: str) -> None:
    assert read_answer(ACKNOWLEDGE, text) is True


@pytest.mark.parametrize(
    "text",
    [
        "2", "no", "no thanks", "不是", "ok but when", "who is this", "", "Thank you for contacting us",
        "Thanks for your message, I am on leave until Monday and read no mail",
        "Thank you. Your request 123 has been received and will be looked at.",
    ],
)  # fmt: skip
def test_what_acknowledges_nothing(text: str) -> None:
    assert read_answer(ACKNOWLEDGE, text) is None


@pytest.mark.parametrize(
    "text, option",
    [
        ("1", "refund"), ("2.", "voucher"), ("③", "call"), ("五", "epistrofi"), ("two", "voucher"), ("δύο", "voucher"), ("option 2", "voucher"), ("我选2", "voucher"),
        ("第二个", "voucher"), ("the second one", "voucher"), ("Third", "call"), ("δεύτερο", "voucher"),
        ("refund of 10 euro", "refund"), ("VOUCHER!", "voucher"), ("a call back", "call"), ("call", "call"), ("退款", "tui"), ("επιστροφη", "epistrofi"),
        ("Refund", "refund"), ("refund of", "refund"),
        ("0", None), ("6", None), ("1,2", None), ("both", None), ("10", None), ("", None), ("🙂", None), ("a", None),
    ],
)  # fmt: skip
def test_a_choice(text: str, option: str | None) -> None:
    assert read_answer(OFFER, text) == option


def test_the_number_people_were_told_beats_a_label_that_is_a_number() -> None:
    people = Prompt(kind="choice", options=(Option("two", "2"), Option("three", "3")))
    assert [read_answer(people, text) for text in ("1", "2", "3")] == ["two", "three", "three"]


def test_a_beginning_that_fits_two_labels_is_no_answer() -> None:
    calls = Prompt(kind="choice", options=(Option("a", "Call today"), Option("b", "Call tomorrow")))
    assert read_answer(calls, "call") is None


def test_any_words_answer_a_text() -> None:
    assert read_answer(TEXT, "  It was fine. ") == "It was fine."
    assert read_answer(TEXT, " \n ") is None


@pytest.mark.parametrize(
    "prompt, pressed, value",
    [
        (ACKNOWLEDGE, "1", True), (ACKNOWLEDGE, "2", None), (ACKNOWLEDGE, "11", None), (YES_NO, "1", True), (YES_NO, "2", False), (YES_NO, "0", None),
        (NPS, "9", 9), (NPS, "09", 9), (NPS, "10", 10), (NPS, "0", 0), (NPS, "9#", 9), (NPS, "11", None), (NPS, "100", None), (NPS, "", None), (NPS, "#", None),
        (NPS, "*", None), (NPS, "٣", None), (CSAT, "5", 5), (CSAT, "05", None), (OFFER, "2", "voucher"), (OFFER, "9", None), (OFFER, "0", None), (TEXT, "1", None),
    ],
)  # fmt: skip
def test_keys(prompt: Prompt, pressed: str, value: str | int | bool | None) -> None:
    assert read_key(prompt, pressed) == value
    assert type(read_key(prompt, pressed)) is type(value)


def test_how_many_keys() -> None:
    assert [digits_needed(prompt) for prompt in PROMPTS] == [1, 1, 0, 2, 1, 1]


def test_keys_are_named_in_the_persons_language() -> None:
    assert key_map(ACKNOWLEDGE, "el") == [("1", "Το έλαβα")]
    assert key_map(YES_NO, "zh-Hant") == [("1", "是"), ("2", "否")]
    assert key_map(YES_NO, "el-CY") == [("1", "Ναι"), ("2", "Όχι")]
    assert key_map(YES_NO, "fr") == key_map(YES_NO) == [("1", "Yes"), ("2", "No")]
    assert key_map(CSAT) == [(str(mark), str(mark)) for mark in range(1, 6)]
    assert key_map(OFFER)[1] == ("2", "Voucher")
    assert key_map(TEXT) == []


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.kind)
@pytest.mark.parametrize("locale", ["en", "zh-Hans", "zh-Hant", "el"])
def test_every_key_and_every_label_is_understood(prompt: Prompt, locale: str) -> None:
    for key, label in key_map(prompt, locale):
        value = read_key(prompt, key)
        assert value is not None
        assert read_answer(prompt, key) == value
        assert read_answer(prompt, label) == value or prompt.kind == "acknowledge"


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.kind)
def test_good_prompts_are_accepted(prompt: Prompt) -> None:
    assert validate(prompt) == []


TWO = (Option("a", "Apples"), Option("b", "Bread"))


@pytest.mark.parametrize(
    "prompt, pointers",
    [
        (Prompt(kind="scale"), ["/min", "/max"]),
        (Prompt(kind="scale", min=5, max=5), ["/max"]),
        (Prompt(kind="scale", min=-1, max=100), ["/min", "/max"]),
        (Prompt(kind="scale", min=0, max=10, options=TWO), ["/options"]),
        (Prompt(kind="yes_no", min=1, max=2), ["/min", "/max"]),
        (Prompt(kind="acknowledge", options=TWO), ["/options"]),
        (Prompt(kind="text", closes_in=59), ["/closes_in"]),
        (Prompt(kind="text", closes_in=31_536_001), ["/closes_in"]),
        (Prompt(kind="text", question="  "), ["/question"]),
        (Prompt(kind="text", question={}), ["/question"]),
        (Prompt(kind="text", question={"en": "Why?", "a/b": ""}), ["/question/a~1b"]),
        (Prompt(kind="choice"), ["/options"]),
        (Prompt(kind="choice", options=TWO[:1]), ["/options"]),
        (Prompt(kind="choice", options=tuple(Option(str(n), f"No. {n}") for n in range(10))), ["/options"]),
        (Prompt(kind="choice", options=(TWO[0], TWO[0])), ["/options/1/id", "/options/1/label"]),
        (Prompt(kind="choice", options=(TWO[0], Option("b", "APPLES"))), ["/options/1/label"]),
        (Prompt(kind="choice", options=(TWO[0], Option("b", " "))), ["/options/1/label"]),
        (Prompt(kind="choice", options=(TWO[0], Option("b", "two\nlines"))), ["/options/1/label"]),
        (Prompt(kind="choice", options=(TWO[0], Option("end", "Cancel"))), ["/options/1/id", "/options/1/label"]),
        (Prompt(kind="choice", options=TWO, min=1), ["/min"]),
    ],
)  # fmt: skip
def test_every_fault_of_a_prompt_is_named(prompt: Prompt, pointers: list[str]) -> None:
    found = validate(prompt)
    assert [pointer for pointer, _ in found] == pointers
    assert all(detail for _, detail in found)


KINDS: st.SearchStrategy[PromptKind] = st.sampled_from(["acknowledge", "yes_no", "text", "scale", "choice"])


@given(st.sampled_from(PROMPTS), st.text(max_size=80) | st.text("0123456789/ .,-#*", max_size=12))
def test_whatever_is_answered_fits_or_is_none(prompt: Prompt, text: str) -> None:
    for value in (read_answer(prompt, text), read_key(prompt, text)):
        match prompt.kind:
            case "acknowledge":
                assert value is True or value is None
            case "yes_no":
                assert value is True or value is False or value is None
            case "scale":
                assert value is None or (type(value) is int and value in range(prompt.min or 0, (prompt.max or 0) + 1))
            case "choice":
                assert value is None or value in {option.id for option in prompt.options}
            case "text":
                assert value is None or (isinstance(value, str) and value)


@given(
    KINDS,
    st.none() | st.integers(-5, 120),
    st.none() | st.integers(-5, 120),
    st.lists(st.builds(Option, st.text(max_size=3), st.text(max_size=5)), max_size=11).map(tuple),
    st.integers(),
)
def test_a_prompt_without_faults_can_be_put(
    kind: PromptKind, low: int | None, high: int | None, options: tuple[Option, ...], closes_in: int
) -> None:
    prompt = Prompt(kind=kind, min=low, max=high, options=options, closes_in=closes_in)
    if validate(prompt) == []:
        keys = [key for key, _ in key_map(prompt)]
        assert len(set(keys)) == len(keys)
        assert all(read_key(prompt, key) is not None for key in keys)
        assert all(len(key) <= digits_needed(prompt) for key in keys)
