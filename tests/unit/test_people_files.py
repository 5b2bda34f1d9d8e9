from __future__ import annotations

import gzip
import io
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.exporting import COLUMNS, _csv, _line  # pyright: ignore[reportPrivateUsage] - what an export writes
from gateway.cli.rejects import Rejects
from gateway.people.cells import BadColumns
from gateway.people.files import LINE_LIMIT, BadFile, Kind, Reading, Twice, kind_of, rows_of, unpacked

CHANNELS = ("sms", "email", "wechat", "voice")


def read(data: str | bytes, kind: Kind = "csv", **how: Any) -> list[tuple[int, Any, Any]]:
    raw = data.encode() if isinstance(data, str) else data
    return list(rows_of(unpacked(io.BufferedReader(io.BytesIO(raw))), Reading(kind=kind, **how), CHANNELS))


def row(data: str | bytes, **how: Any) -> dict[str, Any]:
    [(_, found, _raw)] = read(data, **how)
    assert isinstance(found, dict), found
    return cast("dict[str, Any]", found)


def reason(data: str | bytes, **how: Any) -> str:
    [(_, found, _raw)] = read(data, **how)
    assert isinstance(found, str), found
    return found


def sms(found: dict[str, Any]) -> list[str]:
    return [one["value"] for one in found["addresses"] if one["channel"] == "sms"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_in_the_header(delimiter: str) -> None:
    text = delimiter.join(("id", "name", "sms", "area")) + "\r\n" + delimiter.join(("a", "Ana", "+306900000001", "x"))
    assert row(text) == {
        "id": "a",
        "name": "Ana",
        "addresses": [{"channel": "sms", "value": "+306900000001"}],
        "attributes": {"area": "x"},
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_with_a_mark_and_gzip_are_known(encoding: str, packed: bool) -> None:
    data = "id,name\nc-1,Μαρία\n".encode(encoding)
    assert row(gzip.compress(data) if packed else data)["name"] == "Μαρία"


def test_another_encoding_is_named_with_the_row_and_can_be_said() -> None:
    data = "id,name\na,Ana\nb,Μαρία\nc,Bo\n".encode("cp1253")
    found = read(data)
    assert [line for line, made, _ in found if isinstance(made, str)] == [3]
    assert "UTF-8" in found[1][1]
    assert "0xCC" in found[1][1]
    assert [made["name"] for _, made, _ in read(data, encoding="cp1253")] == ["Ana", "Μαρία", "Bo"]
    with pytest.raises(BadFile, match="UTF-16"):
        read("id,name\na,Ana\n".encode("utf-16-le"))
    with pytest.raises(BadFile, match="encoding"):
        read("id\na\n", encoding="klingon")


@pytest.mark.parametrize("cell", ["3.06912E+11", "3,06912E+11", "3E+11", "306912345678.0", "'; 3.0E+11"])
def test_a_number_that_a_spreadsheet_rounded_is_refused(cell: str) -> None:
    assert "sms" in reason(f'id,sms\na,"{cell}"\n')


@pytest.mark.parametrize(
    "cell", ["'+306900000001", '"=""+306900000001"""', "\u202a+306900000001\u202c", "+306900000001\u00a0"]
)
def test_what_spreadsheets_put_around_a_number_goes(cell: str) -> None:
    assert sms(row(f"id,sms\na,{cell}\n")) == ["+306900000001"]


def test_an_apostrophe_that_is_part_of_a_name_stays() -> None:
    assert row("id,name\na,'t Hooft\n")["name"] == "'t Hooft"


def test_excels_own_hint_and_empty_rows() -> None:
    assert row("sep=;\r\nid;name\r\n;;\r\na;Ana, B.\r\n")["name"] == "Ana, B."


def test_columns_are_mapped_and_set() -> None:
    text = "Kunde;Phone No;E-Mail;Ort\n7;+306900000001;a@example.org;Wien\n"
    columns = {"phone no": "sms", "E-Mail": "email", "Kunde": "id", "Ort": "area"}
    found = row(text, columns=columns, given={"locale": "de", "id": "never"})
    assert (found["id"], found["locale"], found["attributes"]) == ("7", "de", {"area": "Wien"})
    assert [one["channel"] for one in found["addresses"]] == ["sms", "email"]
    with pytest.raises(BadColumns, match="Handy"):
        read(text, columns={**columns, "Handy": "voice"})
    with pytest.raises(BadColumns, match="Kunde"):
        read(text)
    with pytest.raises(BadColumns, match="two columns"):
        read("id,name,Name\n")


def test_objects_of_another_make_are_mapped_too() -> None:
    data = b'{"Kunde": 7, "Phone": "+306900000001", "tags": {"x": 1}}'
    found = row(data, kind="ndjson", columns={"Kunde": "id", "Phone": "sms", "tags": "attributes"})
    assert (found["id"], sms(found), found["attributes"]) == ("7", ["+306900000001"], {"x": 1})


def test_preferences_and_consents_have_columns() -> None:
    text = (
        "id,channels,quiet_hours,language,consent:marketing,consent:sms:survey,consent_at,consent_way,consent_wording\n"
        'a,"sms > email",21:00-08:00,el,yes,withdrawn,2026-01-01T00:00:00Z,form,"Yes, please"\n'
    )
    found = row(text)
    assert found["preferences"] == {
        "channels": ["sms", "email"],
        "quiet_hours": {"start": "21:00", "end": "08:00"},
        "language": "el",
    }
    both = [(one["channel"], one["category"], one["state"], one["way"]) for one in found["consents"]]
    assert both == [("*", "marketing", "granted", "form"), ("sms", "survey", "withdrawn", "form")]
    assert row("id,quiet_hours\na,none\n")["preferences"] == {"quiet_hours": None}
    assert "quiet_hours" in reason("id,quiet_hours\na,late\n")
    assert "granted" in reason("id,consent:marketing\na,perhaps\n")


def test_an_open_quotation_mark_costs_its_own_row_alone() -> None:
    found = read('id,name\na,"Ana\nb,Bo\nc,Cy\n')
    assert [(line, made if isinstance(made, str) else made["id"]) for line, made, _ in found[1:]] == [
        (3, "b"),
        (4, "c"),
    ]
    assert found[0][0] == 2
    assert isinstance(found[0][1], str)
    assert read('id,name\na,"two\nlines"\nb,Bo\n')[1][0] == 4, "a record of two lines counts as two"


def test_what_is_no_row_says_why() -> None:
    assert "cells" in reason("id\na,b\n")
    assert "longer" in reason(b"id,x\na," + b"y" * LINE_LIMIT * 2 + b"\n")
    found = read(b'{"id": "a"}\n\nnonsense\n["x"]\n{"id": "b"}\n', "ndjson")
    assert [line for line, _, _ in found] == [1, 3, 4, 5]
    assert [isinstance(made, str) for _, made, _ in found] == [False, True, True, False]
    with pytest.raises(BadFile, match="empty"):
        read("")
    with pytest.raises(BadFile, match="null"):
        read(b"PK\3\4" + b"\0a" * 10 + b"b" * 80)


def test_kinds_are_told_by_name_and_by_sight() -> None:
    assert kind_of("a.CSV.gz", io.BytesIO()) == "csv"
    assert kind_of("a.jsonl", io.BytesIO()) == "ndjson"
    for data, kind in ((b'\xef\xbb\xbf{"id": 1}', "ndjson"), (b"id,name\n", "csv")):
        assert kind_of("-", io.BufferedReader(io.BytesIO(data))) == kind


def test_ids_that_stand_twice_are_found_in_a_long_file() -> None:
    twice = Twice()
    assert [twice.first(f"c-{n}", n) for n in range(5000)] == [None] * 5000
    assert twice.first("c-17", 9000) == 17
    assert twice.first("new", 9001) is None


def test_rejects_can_be_mended_and_read_again(tmp_path: Any) -> None:
    rejects = Rejects(tmp_path / "r.csv", "csv")
    rejects.header(["id", "sms", "_line", "_reason"])
    rejects.add(7, ["a", "12", "3", "old reason"], [("/addresses/0/value", "has too few digits")])
    rejects.close()
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o600
    text = (tmp_path / "r.csv").read_bytes()
    assert text.decode("utf-8-sig").splitlines()[1] == "a,12,7,/addresses/0/value: has too few digits"
    assert sms(row(text.replace(b",12,", b",+306900000001,"))) == ["+306900000001"]

    rejects = Rejects(tmp_path / "r.ndjson", "ndjson")
    rejects.add(1, {"id": "bad id"}, [("/id", "is wrong")])
    rejects.add(2, "{broken", [("", "isn't a JSON object")])
    rejects.close()
    first, second = read((tmp_path / "r.ndjson").read_bytes(), "ndjson")
    assert first[1] == {"id": "bad id"}
    assert isinstance(second[1], str)
    assert "_rejected" in (tmp_path / "r.ndjson").read_text()


LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)


@given(
    name=LETTERS | st.sampled_from(["'007", "=1+1", "+30", "-x", "@SUM(A1)", "1E+5", '="x"', "''a", "3.0E+11"]),
    customer=st.from_regex(r"[A-Za-z0-9._:@-]{1,20}", fullmatch=True),
    attributes=st.dictionaries(LETTERS, LETTERS | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_what_an_export_writes_as_csv_is_read_as_it_was(name: str, customer: str, attributes: dict[str, Any]) -> None:
    given_row: dict[str, Any] = {
        "id": customer,
        "name": name,
        "addresses": [{"channel": "sms", "value": "+306900000001", "label": name}],
        "attributes": attributes,
        "preferences": {"quiet_hours": None},
        "consents": [{"wording": name}],
    }
    assert row(_line(COLUMNS) + _csv(given_row)) == given_row
    assert msgspec.json.decode(msgspec.json.encode(given_row)) == given_row
