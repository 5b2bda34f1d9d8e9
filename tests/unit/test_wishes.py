"""Wishes in words: what is stopped, ordered and kept quiet, in four languages; and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.locales import table
from gateway.preferences.keywords import Keyword, understand
from gateway.preferences.wishes import Hours
from gateway.selfservice.names import names_in, script_of

LOCALES = ("en", "zh-Hans", "zh-Hant", "el")
STOPS = frozenset(("stop", "stop_all"))


@pytest.mark.parametrize(
    "text, category",
    [
        ("STOP survey", "survey"), ("stop all surveys", "survey"), ("please stop the surveys", "survey"), ("no more surveys!", "survey"),
        ("unsubscribe from marketing", "marketing"), ("STOP offers", "marketing"), ("stop sending me ads", "marketing"),
        ("STOP follow-up", "follow_up"), ("stop outage messages", "outage"), ("stop texts about outages", "outage"), ("STOP SERVICE NOTICES", "service"),
        ("退订调查", "survey"), ("调查退订", "survey"), ("退訂問卷", "survey"), ("停止广告", "marketing"), ("不要再发优惠信息", "marketing"), ("退订停电通知", "outage"),
        ("ΣΤΟΠ έρευνες", "survey"), ("διακοπή ερευνών", "survey"), ("όχι άλλες διαφημίσεις", "marketing"), ("στοπ ειδοποιήσεις διακοπών", "outage"),
        ("ＳＴＯＰ　ｓｕｒｖｅｙ", "survey"), ("\u200fSTOP survey\u200f", "survey"), ("stop 🛑 surveys", "survey"), ("“STOP survey.”", "survey"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("open_prompt", [False, True])
def test_stop_of_one_kind(text: str, category: str, open_prompt: bool) -> None:
    assert understand(text, open_prompt=open_prompt) == Keyword("stop", category=category)


@pytest.mark.parametrize(
    "text, category",
    [("START survey", "survey"), ("subscribe to offers", "marketing"), ("恢复调查", "survey"), ("訂閱優惠", "marketing"), ("έναρξη έρευνες", "survey")],
)  # fmt: skip
def test_start_of_one_kind(text: str, category: str) -> None:
    assert understand(text) == Keyword("start", category=category)


@pytest.mark.parametrize(
    "text, channel",
    [
        ("stop sms", "sms"), ("退订短信", "sms"), ("stop calls", "voice"), ("stop calling me", "voice"), ("don't call me", "voice"), ("别打电话", "voice"),
        ("no more emails", "email"), ("stop emailing me", "email"), ("STOP WeChat", "wechat"), ("όχι άλλα τηλεφωνήματα", "voice"),
    ],
)  # fmt: skip
def test_stop_of_a_channel(text: str, channel: str) -> None:
    assert understand(text) == Keyword("stop", channels=(channel,))


@pytest.mark.parametrize(
    "text",
    [
        "don't stop", "Don't stop the surveys", "stop by my house", "stop at the corner shop", "stop the power cuts", "stop outages", "STOP outage",
        "why don't you stop the power cuts", "cancel service", "cancel my appointment", "End of story", "I never said stop surveys",
        "σταματήστε τις διακοπές", "Διακοπή ρεύματος", "我没有说退订调查啊为什么不发了呢真的很奇怪",
        "please could you ask them to stop sending surveys at night because it is late",
    ],
)  # fmt: skip
def test_what_a_person_must_read(text: str) -> None:
    assert understand(text) == Keyword("doubtful")


@pytest.mark.parametrize(
    "text",
    ["unstoppable", "nonstop service", "stopwatch", "restart", "s t o", "order phone", "order a new meter please", "quiet please", "my orders", "en", "surveys",
     "call me", "sms", "the call was quiet", "微信", "短信收到了", "停电了吗", "τηλεφωνήστε μου", "9", "22-7", "prefer sms", "langue", "information"],
)  # fmt: skip
@pytest.mark.parametrize("open_prompt", [False, True])
def test_what_is_no_keyword(text: str, open_prompt: bool) -> None:
    assert understand(text, open_prompt=open_prompt) is None


@pytest.mark.parametrize(
    "text, category, channels",
    [
        ("ORDER sms wechat voice", None, ("sms", "wechat", "voice")),
        ("order: SMS, then e-mail, then phone call", None, ("sms", "email", "voice")),
        ("PREF voice", None, ("voice",)),
        ("PREF outage voice sms", "outage", ("voice", "sms")),
        ("pref surveys by email", "survey", ("email",)),
        ("channels sms>voice>sms", None, ("sms", "voice")),
        ("first sms then email", None, ("sms", "email")),
        ("顺序 短信 微信 电话", None, ("sms", "wechat", "voice")),
        ("顺序短信微信电话", None, ("sms", "wechat", "voice")),
        ("偏好 停电 先电话再短信", "outage", ("voice", "sms")),
        ("順序：短訊，微信，電郵", None, ("sms", "wechat", "email")),
        ("顺序sms微信", None, ("sms", "wechat")),
        ("Σειρά: τηλέφωνο, sms", None, ("voice", "sms")),
        ("Προτιμήσεις διακοπές τηλέφωνο μετά μηνύματα", "outage", ("voice", "sms")),
        ("ＰＲＥＦ　ｓｍｓ　ｖｏｉｃｅ", None, ("sms", "voice")),
    ],
)  # fmt: skip
def test_orders(text: str, category: str | None, channels: tuple[str, ...]) -> None:
    assert understand(text) == Keyword("order", category=category, channels=channels)


@pytest.mark.parametrize("text", ["ORDER pigeon", "Σειρά περιστέρι"])
def test_one_odd_word_is_an_order_unless_something_was_asked(text: str) -> None:
    assert understand(text) == Keyword("unclear", "order")
    assert understand(text, open_prompt=True) is None


@pytest.mark.parametrize("text", ["order phone", "order 4711", "order a pigeon", "order", "my order late", "顺序错了"])
def test_what_people_order_is_left_to_a_person(text: str) -> None:
    assert understand(text) is None


@pytest.mark.parametrize("text", ["PREF pigeon", "preferences carrier pigeon", "PREF outage", "PREF outage survey sms"])
def test_an_order_that_cannot_be_read_is_said_to_be_so(text: str) -> None:
    assert understand(text) == Keyword("unclear", "order")


@pytest.mark.parametrize(
    "text, hours",
    [
        ("QUIET 22-7", Hours("22:00", "07:00")), ("quiet 22:30 - 07:15", Hours("22:30", "07:15")), ("quiet from 10pm to 7am", Hours("22:00", "07:00")),
        ("QUIET 12am-12pm", Hours("00:00", "12:00")), ("QUIET 24-6", Hours("00:00", "06:00")), ("quiet hours 21.00–8.00", Hours("21:00", "08:00")),
        ("免打扰 22点到7点", Hours("22:00", "07:00")), ("免打擾22:00至7:30", Hours("22:00", "07:30")), ("ησυχία 22 με 7", Hours("22:00", "07:00")),
        ("Ώρες ησυχίας από 23:00 έως 8:00", Hours("23:00", "08:00")), ("Ｑｕｉｅｔ ２２－７", Hours("22:00", "07:00")),
        ("QUIET OFF", Hours()), ("quiet none", Hours()), ("免打扰 关", Hours()), ("ησυχία όχι", Hours()),
    ],
)  # fmt: skip
def test_quiet_hours(text: str, hours: Hours) -> None:
    assert understand(text) == Keyword("quiet", hours=hours)


@pytest.mark.parametrize("text", ["QUIET", "QUIET 25-7", "quiet 22", "quiet 7-7", "quiet 22:60-7", "quiet 13pm-7am"])
def test_quiet_hours_that_cannot_be_read(text: str) -> None:
    assert understand(text) == Keyword("unclear", "quiet")


@pytest.mark.parametrize(
    "text, locale",
    [("LANG en", "en"), ("lang zh-Hans", "zh-Hans"), ("LANG zh-hant", "zh-Hant"), ("language gr", "el"), ("γλώσσα en", "en"), ("语言 繁體", "zh-Hant")],
)  # fmt: skip
def test_languages_by_their_codes(text: str, locale: str) -> None:
    assert understand(text) == Keyword("language", locale)


@pytest.mark.parametrize("locale", LOCALES)
def test_what_our_answers_tell_people_to_write_is_understood(locale: str) -> None:
    names = names_in(locale, "en")
    assert understand(names.word("stop")) == Keyword("stop")
    assert understand(names.word("start")) == Keyword("start")
    for category in table("names")["categories"][locale]:
        undo = f"{names.word('start')} {names.word(category)}"
        assert understand(undo) == Keyword("start", category=category), undo


def test_names_fall_back() -> None:
    assert names_in("fr", "el").channel("voice") == "τηλέφωνο"
    assert names_in("zh-HK", "en").channel("sms") == "短訊"
    assert names_in("en", "en").channel("pager") == "pager"
    assert names_in("en", "en").category("own_kind") == "own kind"


@pytest.mark.parametrize(
    "text, language",
    [("STOP", "xx"), ("ΣΤΟΠ", "el"), ("βοήθεια", "el"), ("退订", "zh-Hans"), ("退訂", "zh-Hant"), ("幫助", "zh-Hant"), ("", "xx")],
)  # fmt: skip
def test_the_letters_tell_a_language(text: str, language: str) -> None:
    assert script_of(text, "xx") == language


WORDS = sorted({word for part in ("stop", "stop_all") for word in table("keywords")[part]["words"]})
CATEGORIES = [word for name in ("survey", "marketing", "follow_up") for word in table("keywords")["categories"][name]]


@given(st.sampled_from(WORDS), st.sampled_from(["", "!!!", ".", "…", "\u200f", " 🙏", "\n", "»"]), st.booleans())
def test_a_stop_word_stops_whatever_else_is_open(word: str, sign: str, open_prompt: bool) -> None:
    found = understand(f"{sign}{word}{sign}", open_prompt=open_prompt)
    assert found is not None
    assert found.kind in STOPS


@given(st.sampled_from(["stop", "unsubscribe", "退订", "στοπ"]), st.sampled_from(CATEGORIES), st.booleans())
def test_a_stop_word_with_a_kind_stops_no_more_than_that(word: str, kind: str, open_prompt: bool) -> None:
    found = understand(f"{word} {kind}", open_prompt=open_prompt)
    assert found is not None
    assert (found.kind, found.channels) == ("stop", ())
    assert found.category in ("survey", "marketing", "follow_up")


ANY_WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            [*WORDS, *CATEGORIES, "pref", "order", "sms", "quiet", "22-7", "lang", "el", "微信", "but", "don't"]
        ),
        st.text(max_size=6),
    ),
    max_size=8,
).map(" ".join)


@given(ANY_WORDS, st.booleans())
def test_no_mixture_of_words_fails_or_changes_with_its_blanks(text: str, open_prompt: bool) -> None:
    found = understand(text, open_prompt=open_prompt)
    assert found == understand(f"\n {text}\t", open_prompt=open_prompt)
    if found is not None and found.kind == "order":
        assert found.channels
        assert len(set(found.channels)) == len(found.channels)
    if found is not None and found.kind == "quiet" and found.hours is not None and found.hours.start is not None:
        assert found.hours.start != found.hours.end


def test_a_very_long_wish_is_read_in_no_time() -> None:
    assert understand("pref " + "sms " * 50_000) is not None
    assert understand("order " + "x " * 50_000) is None
    assert understand("quiet " + "1" * 50_000) in (None, Keyword("unclear", "quiet"))
