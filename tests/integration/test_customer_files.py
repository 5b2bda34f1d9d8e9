from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.app import Gateway
from gateway.cli.customers import told as summary
from gateway.cli.exporting import write_all
from gateway.cli.importing import Job, Outcome, carry_out
from gateway.people.files import BadFile

HEADER = "id,name,sms\n"


def job(source: Path | None, **more: Any) -> Job:
    fields: dict[str, Any] = {"rejects": None, "kind": None, "encoding": None, "delimiter": None, "columns": {}}
    fields |= {"given": {}, "dry_run": False, "from_start": False, **more}
    return Job(source=source, **fields)


async def run(gateway: Gateway, source: Path | None, **more: Any) -> Outcome:
    told: list[Outcome] = []
    await carry_out(gateway.people, gateway.known_channels, job(source, **more), told.append)
    return told[0]


def table(count: int, *bad: int) -> str:
    return HEADER + "".join(f"c-{n},Person {n},{'12' if n in bad else f'+3069{n:08d}'}\n" for n in range(count))


async def ids(gateway: Gateway) -> set[str]:
    return {name async for name in gateway.customers.all_ids()}


async def test_good_rows_are_kept_and_mended_ones_come_in_later(gateway: Gateway, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(table(300, 7, 200) + "c-1,Again,+306900000001\n")
    done = await run(gateway, source)
    assert (done.rows, done.kept, done.rejected, done.repeated) == (301, 299, 2, 1)
    assert [(one.line, one.first) for one in done.repeats] == [(302, 3)]
    rejects = tmp_path / "in.csv.rejects.csv"
    assert done.rejects == str(rejects)
    assert rejects.read_text().splitlines()[1].startswith('c-7,Person 7,12,9,"sms: ')
    mended = tmp_path / "mended.csv"
    mended.write_text(rejects.read_text().replace(",12,", ",+306911111111,"))
    again = await run(gateway, mended)
    assert (again.kept, again.rejected, again.rejects) == (2, 0, None)
    assert len(await ids(gateway)) == 300
    assert not (tmp_path / "mended.csv.rejects.csv").exists()
    twice = await run(gateway, source)
    assert (twice.kept, twice.rejected) == (299, 2), "running it again is harmless"


async def test_a_dry_run_stores_nothing_and_finds_the_same(gateway: Gateway, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(table(10, 3))
    done = await run(gateway, source, dry_run=True)
    assert (done.kept, done.rejected, done.dry_run) == (9, 1, True)
    assert await ids(gateway) == set()


class Stopped(Exception):
    """As a Ctrl-C."""


async def test_what_was_stopped_goes_on_where_it_was(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.csv"
    source.write_text(table(1000, 5, 900))
    imported = gateway.people.import_rows

    async def broken(*given: Any, **more: Any) -> Any:
        count = 0
        async for pair in imported(*given, **more):
            yield pair
            count += 1
            if count == 600:
                raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(gateway.people, "import_rows", broken)
        with pytest.raises(Stopped):
            await run(gateway, source)
    rejects = tmp_path / "in.csv.rejects.csv"
    assert len(rejects.read_text().splitlines()) == 2, "the first reject is there"
    done = await run(gateway, source)
    assert (done.resumed_after, done.rows, done.kept, done.rejected) == (600, 1000, 998, 2)
    assert [line.split(",")[0] for line in rejects.read_text().splitlines()[1:]] == ["c-5", "c-900"]
    assert len(await ids(gateway)) == 998
    assert not (tmp_path / "in.csv.rejects.csv.state").exists()
    assert (await run(gateway, source)).resumed_after == 0


async def test_own_choices_are_counted_unless_overwritten(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,name,channels\nc-1,One,email\nc-2,Two,email\n")
    await run(gateway, source)
    await gateway.people.put_preferences("c-1", {"channels": ["sms"]}, way="page")
    assert (await run(gateway, source, dry_run=True)).choices_kept == 1
    done = await run(gateway, source)
    assert (done.kept, done.choices_kept) == (2, 1)
    summary(done, json=False)
    assert "Kept 1 person's own choices." in capsys.readouterr().out
    knowingly = await run(gateway, source, overwrite_preferences=True)
    assert (knowingly.kept, knowingly.choices_kept) == (2, 0)
    stands = await gateway.people.preferences("c-1")
    assert stands is not None
    assert stands.view == {"channels": ["email"]}


async def test_another_file_of_the_same_name_is_read_from_its_start(gateway: Gateway, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(table(4))
    (tmp_path / "in.csv.rejects.csv.state").write_text('{"file":"x","rows":3,"rejected":0,"rejects_bytes":0}')
    assert (await run(gateway, source)).resumed_after == 0
    assert len(await ids(gateway)) == 4


async def test_rows_come_through_a_pipe(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(table(150, 3).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    done = await run(gateway, None, rejects=tmp_path / "r.csv")
    assert (done.kept, done.rejected) == (149, 1)


async def test_a_damaged_gzip_keeps_what_came_before(gateway: Gateway, tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    whole = gzip.compress(table(3000).encode())
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFile, match="damaged after row"):
        await run(gateway, source)
    assert len(await ids(gateway)) > 500
    with pytest.raises(BadFile, match="overwrite"):
        await run(gateway, source, rejects=source)


@pytest.mark.parametrize("name", ["out.ndjson", "out.csv", "out.ndjson.gz", "out.csv.gz"])
async def test_what_goes_out_comes_in_again_unchanged(gateway: Gateway, tmp_path: Path, name: str) -> None:
    entry = {"channel": "*", "category": "marketing", "way": "form", "wording": 'Yes, "please"\nall'}
    row: dict[str, Any] = {
        "id": "-1.0",
        "name": "=cmd|'x'!A1",
        "locale": "el",
        "addresses": [
            {"channel": "sms", "value": "+306900000001", "label": "'mobile"},
            {"channel": "email", "value": "ana@example.org"},
        ],
        "attributes": {"area": "Κυψέλη", "n": {"deep": [1, None, True]}, "id": "other"},
        "preferences_by": "person",
        "preferences": {"channels": ["sms"], "quiet_hours": None, "categories": {"survey": {"enabled": False}}},
        "consents": [{**entry, "state": "granted", "at": "2026-01-01T00:00:00Z", "proof": "form 7"}],
    }
    more: list[dict[str, Any]] = [{"id": f"c-{n}", "addresses": []} for n in range(700)]
    source = tmp_path / "in.ndjson"
    source.write_bytes(b"\n".join(map(msgspec.json.encode, [row, *more])))
    assert (await run(gateway, source)).rejected == 0
    await gateway.people.put("c-0", {"addresses": []})
    await gateway.people.put_preferences("c-0", {}, way="page")
    before = {one["id"]: one async for page in gateway.people.all_portable() for one in page}

    out = tmp_path / name
    assert await write_all(gateway, out, "csv" if ".csv" in name else "ndjson") == 701
    assert out.stat().st_mode & 0o777 == 0o600
    if name == "out.csv":
        assert "'=cmd" in out.read_text(), "no spreadsheet takes it for a formula"
    await gateway.client.flushdb()  # pyright: ignore[reportUnknownMemberType] - the library's own type
    assert (await run(gateway, out)).rejected == 0
    assert {one["id"]: one async for page in gateway.people.all_portable() for one in page} == before


async def test_an_export_that_fails_leaves_the_old_file(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.ndjson"
    out.write_text("old")

    async def broken() -> Any:
        yield [{"id": "a"}]
        raise Stopped

    monkeypatch.setattr(gateway.people, "all_portable", broken)
    with pytest.raises(Stopped):
        await write_all(gateway, out, "ndjson")
    assert out.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1  # noqa: ASYNC240 - a handful of names
