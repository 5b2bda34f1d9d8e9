from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.locales import fold, table, wordlike
from gateway.preferences.keywords import Keyword, understand

STOP, ALL, START, HELP = Keyword("stop"), Keyword("stop_all"), Keyword("start"), Keyword("help")
DOUBTFUL = Keyword("doubtful")


@pytest.mark.parametrize(
    "text",
    [
        # The carrier's and the law's own words.
        "STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE", "OPT OUT", "OPT-OUT", "REMOVE",
        "ARRET", "ARRETE", "ARRÊT", "ALTO", "BAJA", "退订", "取消订阅", "拒收", "ΔΙΑΚΟΠΗ", "ΣΤΟΠ", "STOP ΔΙΑΚΟΠΗ",
        # As people write them.
        "stop", " Stop. ", "“STOP!”", "ＳＴＯＰ", "S.T.O.P.", "s t o p", "STOP 🙏", "st\u200bop", "*stop*", "Stop\n", "stop?",
        "διακοπή", "Διακοπή.", "στοπ!!", "退订。", "退訂", "「退订」", "请退订", "退订谢谢", "我要退订",
        "stop it now please", "Please stop", "please stop texting me", "I want you to stop", "unsubscribe me from this",
        "Please stop sending me these messages", "don't text me anymore", "Do not contact me again!", "Remove me from your list",
        "no more texts please", "leave me alone", "不要再给我发消息", "别再发了", "请勿打扰",
        "Παρακαλώ μη μου στέλνετε άλλα μηνύματα", "Σταματήστε να μου στέλνετε μηνύματα", "Μην με ενοχλείτε",
    ],
)  # fmt: skip
@pytest.mark.parametrize("open_prompt", [False, True])
def test_opt_outs(text: str, open_prompt: bool) -> None:
    assert understand(text, open_prompt=open_prompt) == STOP


@pytest.mark.parametrize(
    "text",
    [
        "STOP ALL",
        "stopall",
        "Stop all messages please",
        "stop everything",
        "UNSUBSCRIBE ALL",
        "全部退订",
        "退訂所有",
        "Διακοπή όλων",
    ],
)
def test_opt_outs_of_everything(text: str) -> None:
    assert understand(text) == ALL


@pytest.mark.parametrize(
    "text", ["START", "unstop", "Opt in", "OPTIN", "subscribe", "订阅", "訂閱", "Έναρξη", "ΕΝΑΡΞΗ"]
)
def test_opt_ins(text: str) -> None:
    assert understand(text) == understand(text, open_prompt=True) == START


@pytest.mark.parametrize("text", ["YES", "yes!", "恢复", "resume"])
def test_some_words_opt_in_only_while_no_question_is_open(text: str) -> None:
    assert understand(text) == START
    assert understand(text, open_prompt=True) is None


@pytest.mark.parametrize(
    "text", ["yes please", "电恢复了", "when does it start", "please start", "yes it works", "να", "ναι", "是"]
)
def test_to_opt_in_must_be_said_alone(text: str) -> None:
    assert understand(text) is None


@pytest.mark.parametrize("text", ["HELP", "info", "please help", "帮助", "幫助", "Βοήθεια", "AIDE"])
def test_help(text: str) -> None:
    assert understand(text) == HELP


@pytest.mark.parametrize("text", ["preferences", "Settings", "设置", "偏好", "Προτιμήσεις", "language", "γλώσσα"])
def test_preferences(text: str) -> None:
    assert understand(text) == Keyword("preferences")


@pytest.mark.parametrize(
    "text, locale",
    [
        ("English", "en"), ("in English please", "en"), ("LANG english", "en"), ("英文", "en"), ("Αγγλικά", "en"),
        ("中文", "zh-Hans"), ("简体中文", "zh-Hans"), ("语言 中文", "zh-Hans"), ("繁體中文", "zh-Hant"), ("繁体", "zh-Hant"),
        ("Traditional Chinese", "zh-Hant"), ("Ελληνικά", "el"), ("language greek", "el"), ("στα ελληνικά", "el"),
    ],
)  # fmt: skip
def test_languages(text: str, locale: str) -> None:
    assert understand(text) == Keyword("language", locale)


def test_the_bare_name_of_a_language_may_be_an_answer() -> None:
    assert understand("English", open_prompt=True) is None
    assert understand("language English", open_prompt=True) == Keyword("language", "en")


@pytest.mark.parametrize("text", ["T", "r", "TD", "Ｔ", "td。"])
def test_one_letter_opts_out_only_where_it_is_customary(text: str) -> None:
    assert understand(text, country="CN") == STOP
    assert understand(text, country="GR") is None
    assert understand(text) is None


def test_a_letter_at_the_start_of_a_sentence_is_nothing_anywhere() -> None:
    assert understand("R you there", country="CN") is None


@pytest.mark.parametrize(
    "text",
    [
        "don't stop", "Why did you stop sending me messages?", "stop sending emails but keep the sms",
        "My neighbour told me that I should write STOP", "我为什么收到退订的短信，我没有申请", "μου είπαν να γράψω ΣΤΟΠ αλλά δεν θέλω ακόμα",
    ],
)  # fmt: skip
def test_what_mentions_a_stop_word_goes_to_a_person(text: str) -> None:
    assert understand(text) == understand(text, open_prompt=True) == DOUBTFUL


@pytest.mark.parametrize(
    "text", ["When will it end?", "I had to cancel the order", "取消订单", "διακοπή ρεύματος στην Κυψέλη"]
)
def test_common_words_are_doubtful_only_outside_of_answers(text: str) -> None:
    assert understand(text) == DOUBTFUL
    assert understand(text, open_prompt=True) is None


@pytest.mark.parametrize(
    "text",
    ["", "  ", "!!", "🙂", "9", "9/10", "ok", "thank you", "停电了", "nonstop", "the weekend", "no", "\u200b", "谢谢"],
)
def test_ordinary_messages_are_none_of_these(text: str) -> None:
    assert understand(text) is None


@given(st.text(max_size=200), st.booleans())
def test_any_text_is_read_without_failing(text: str, open_prompt: bool) -> None:
    assert understand(text, open_prompt=open_prompt) == understand(f"  {text}\n", open_prompt=open_prompt)


@given(
    st.sampled_from(table("keywords")["stop"]["words"]),
    st.sampled_from(["", "!", ".", " ?", "…", "”", " 🙏"]),
    st.booleans(),
    st.booleans(),
)
def test_every_stop_word_stops_however_it_is_dressed(word: str, sign: str, upper: bool, open_prompt: bool) -> None:
    dressed = f" {word.upper() if upper else word}{sign}"
    assert understand(dressed, open_prompt=open_prompt) == STOP


@given(st.text(max_size=100))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert wordlike(wordlike(text)) == wordlike(text)


def test_a_very_long_text_is_read_in_no_time() -> None:
    assert understand("stop " * 100_000) == DOUBTFUL


ANSWERS = [
    *(word for name in ("yes", "no", "acknowledge") for word in table("answers")["words"][name]),
    *(word for name in ("numbers", "ordinals") for words in table("answers")[name].values() for word in words),
]


@pytest.mark.parametrize("word", ANSWERS)
def test_no_answer_is_taken_for_a_keyword(word: str) -> None:
    assert understand(word, open_prompt=True) is None
