"""Files in any shape that a spreadsheet, an export or an accident gives them."""

from __future__ import annotations

import csv
import gzip
import json
import random
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import IntakeError
from engine.intake import Imported, import_customers
from engine.intake.csv_rows import CsvRows, escaped, unescaped
from engine.intake.importing import opened
from engine.intake.lines import MAX_LINE
from engine.intake.rows import Flaw
from engine.store import Database
from tests.intake.shop import SETTINGS, customers_of, numbers, read_rejects, write


def rows_of(path: Path) -> list[tuple[int, object]]:
    """Every row with its line; of an unreadable one the reason."""
    with opened(path) as intake:
        return [(line, row.reason if isinstance(row, Flaw) else dict(row)) for line, row in intake.source.rows()]


def take(path: Path, database: Database, now: datetime, **options: object) -> Imported:
    return import_customers(path, settings=SETTINGS, database=database, now=now, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------- good files in every shape


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_whatever_its_delimiter_mark_and_line_ends(
    tmp_path: Path, delimiter: str, mark: str, end: str
) -> None:
    """What Excel saves in any country is the same two rows."""
    text = "id,first_name,email|1,Zoë,z@shop.example|2,,|".replace(",", delimiter).replace("|", end)
    assert rows_of(write(tmp_path / "f.csv", mark + text)) == [
        (2, {"id": "1", "first_name": "Zoë", "email": "z@shop.example"}),
        (3, {"id": "2", "first_name": "", "email": ""}),
    ]


def test_a_delimiter_inside_quotes_of_the_header_does_not_count(tmp_path: Path) -> None:
    """The delimiter is what stands between the names."""
    assert rows_of(write(tmp_path / "f.csv", '"a,b,c,d";id\nx;1\n')) == [(2, {"a,b,c,d": "x", "id": "1"})]


def test_cells_with_line_breaks_keep_the_right_line_numbers(tmp_path: Path) -> None:
    """The line that is told is the one an editor shows; blank lines count and are no rows."""
    text = 'id,first_name\n1,"two\nlines"\n\n2,x\n3,"a\r\nb\r\nc"\n4,y'
    assert [line for line, _ in rows_of(write(tmp_path / "f.csv", text))] == [2, 5, 6, 9]


def test_json_lines_are_read_with_their_line_numbers(tmp_path: Path) -> None:
    """One object a line, a byte order mark and blank lines aside."""
    path = write(tmp_path / "f.jsonl", '\ufeff{"id": "1", "points": 2}\n\n{"id": "2"}')
    assert rows_of(path) == [(1, {"id": "1", "points": 2}), (3, {"id": "2"})]


@pytest.mark.parametrize("name", ["f.csv.gz", "f.jsonl.gz", "F.NDJSON.GZ"])
def test_compressed_files_are_read_like_plain_ones(
    tmp_path: Path, database: Database, now: datetime, name: str
) -> None:
    """An export as it comes from a warehouse needs no unpacking."""
    text = "id,points\n1,5\n" if "csv" in name else '{"id": "1", "points": 5}\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()))
    assert numbers(take(path, database, now)) == (1, 0, 0, 0)
    path.write_bytes(gzip.compress(text.encode() * 3000)[:-20])
    with pytest.raises(IntakeError, match="damaged or cut off"):
        take(path, database, now)


def test_progress_tells_bytes_and_rows_up_to_the_end(tmp_path: Path, database: Database, now: datetime) -> None:
    """The last report is the whole file, and none goes back."""
    path = write(tmp_path / "f.csv", "id\n" + "".join(f"{n}\n" for n in range(110)))
    told: list[tuple[int, int]] = []
    take(path, database, now, chunk=100, progress=lambda done, rows: told.append((done, rows)))
    assert [rows for _, rows in told] == [100, 110]
    assert told[-1][0] == path.stat().st_size
    assert told == sorted(told)


# ---------------------------------------------------------------- files that are refused


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("f.xlsx", b"id\n1\n", "Known: .csv, .jsonl, .ndjson, and each with .gz"),
        ("f", b"id\n1\n", "the format is told by the file's suffix"),
        ("f.csv", b"", "the file is empty"),
        ("f.jsonl", b"", "the file is empty"),
        ("f.jsonl", b"\n\n", "the file is empty"),
        ("f.csv", b"\n1\n", "there is no header"),
        ("f.csv", b"\xef\xbb\xbf", "there is no header"),
        ("f.csv", b"1\n2\n", 'no column "id"'),
        ("f.csv", b"id,,email\n", "column 2 has no name"),
        ("f.csv", b"id,email,id\n", 'the column "id" is there twice'),
        ("f.csv", b'id,"email\n1,x\n', "a quote that is not closed"),
        ("f.csv", b"id,email\r1,a@shop.example\r", "CR alone"),
        ("f.csv", "id,email\n1,x\n".encode("utf-16"), "UTF-8"),
        ("f.csv", "id,email\n1,x\n".encode("utf-16-le"), "UTF-8"),
        ("f.csv", "id,naïve\n".encode("latin-1"), "not UTF-8 (byte 0xEF at 1:6)"),
        ("f.csv", b"id," + b"x" * MAX_LINE, "longer than"),
        ("f.csv.gz", b"id\n1\n", "damaged or cut off"),
        ("f.jsonl", b'{"id": "1", "pionts": 2}\n', 'unknown column "pionts". Did you mean "points"?'),
        ("f.jsonl", b'{"id": "1", "\\ud800": 2}\n', 'unknown column "\\ud800"'),
        ("f.jsonl", b'{"id": "1", "consent.email.offers": true}\n', "need a proof"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, database: Database, now: datetime, name: str, content: bytes, told: str
) -> None:
    """One clear sentence with the file's name, and nothing taken."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(IntakeError) as error:
        take(path, database, now)
    assert told in str(error.value).replace("..", ".")
    assert str(path) in str(error.value)
    assert customers_of(database) == {}


def test_a_file_that_is_not_there_or_is_a_folder_says_so(tmp_path: Path, database: Database, now: datetime) -> None:
    """The operator is told which path, not shown a stack of calls."""
    with pytest.raises(IntakeError, match=r"nowhere\.csv: there is no such file"):
        take(tmp_path / "nowhere.csv", database, now)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IntakeError, match=r"folder\.csv: the file cannot be read"):
        take(tmp_path / "folder.csv", database, now)


# ---------------------------------------------------------------- broken rows


def test_rows_that_cannot_be_read_are_rejected_and_the_others_kept(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """NUL, invalid UTF-8, ragged rows, open quotes and huge cells each cost their own row and no other."""
    lines = [
        b"id,first_name",
        b"g1,Ana",
        b"b1,A\0na",
        b"b2,M\xe4ki",
        b"b3",
        b"b4,too,many",
        b'b5,"never closed',
        b"g2,Bea",
        b'g3,"a ""good"" cell, with comma"',
        b'b6,"closed"badly',
        b"b7," + b"x" * 1_000_000,
        b'b8,"' + b"y" * 1_000_000 + b'"',
        b"b9,a\rb",
        b'g4,"over\ntwo lines"',
        b'b10,"over\ntwo \xff lines"',
        "g5,Zoë".encode(),
        b'b11,"open at the end',
    ]
    path = tmp_path / "f.csv"
    path.write_bytes(b"\n".join(lines))
    done = take(path, database, now)
    assert set(customers_of(database)) == {"g1", "g2", "g3", "g4", "g5"}
    assert (done.added, done.rejected, done.read) == (5, 11, 16)
    told = {row["reject.line"]: row["reject.reason"] for row in read_rejects(done.rejects)}
    assert list(told) == ["3", "4", "5", "6", "7", "10", "11", "12", "13", "16", "19"]
    for line, reason in {
        "3": "NUL",
        "4": "not UTF-8 (byte 0xE4 at 4:5)",
        "5": "this row has 1 cells, the header has 2",
        "6": "this row has 3 cells, the header has 2",
        "7": "a cell in quotes is not closed",
        "10": "a cell in quotes is not closed",
        "11": "longer than 131,072 bytes",
        "12": "longer than 131,072 bytes",
        "13": "a line break stands outside quotes",
        "16": "not UTF-8 (byte 0xFF at 17:5)",
        "19": "a cell in quotes is not closed",
    }.items():
        assert reason in told[line]


def test_the_rest_of_a_broken_cell_is_not_taken_for_a_row(tmp_path: Path) -> None:
    """When a cell over several lines turns out broken, its last line is no customer."""
    found = rows_of(write(tmp_path / "f.csv", 'id,first_name\n1,"first\nsecond"x,9\n2,fine\n'))
    assert found[-1] == (4, {"id": "2", "first_name": "fine"})
    assert [line for line, row in found if isinstance(row, str)] == [2, 3]


def test_a_quote_that_never_closes_costs_one_row_however_long_the_file(tmp_path: Path) -> None:
    """The rows after it are read on their own again, in time that grows with the file alone."""
    rows = "".join(f"{n},name {n} {'x' * 50}\n" for n in range(20_000))
    found = rows_of(write(tmp_path / "f.csv", f'id,first_name\n0,"open\n{rows}'))
    assert len(found) == 20_001
    assert [line for line, row in found if isinstance(row, str)] == [2]
    assert found[-1][0] == 20_002


def test_json_rows_that_cannot_be_read_are_rejected_and_the_others_kept(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """Broken JSON, no object, deep nesting, lone surrogates and NUL each cost their own row."""
    lines = [
        b'{"id": "g1", "points": 1}',
        b'{"id": "b1"',
        b'["b2"]',
        b"[" * 100_000,
        b'{"id": "b4", "first_name": "\\ud800"}',
        b'{"id": "b5", "first_name": "\\u0000"}',
        b'{"id": "b6", "first_name": "M\xe4ki"}',
        b'{"id": "b7", "points": NaN}',
        b'{"id": "b8", "points": 1e400}',
        b'{"id": "b9", "points": ' + b"9" * 5000 + b"}",
        b'{"id": "b10", "pionts": 1}',
        b'{"id": "b11", "first_name": "' + b"x" * 1_000_000 + b'"}',
        b'{"id": "b12", "likes": [["nested"]]}',
        '{"id": "g2", "first_name": "Zoë", "likes": ["jazz"], "email": null}'.encode(),
    ]
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"\n".join(lines))
    done = take(path, database, now)
    assert set(customers_of(database)) == {"g1", "g2"}
    assert (done.added, done.rejected) == (2, 12)
    assert done.rejects == tmp_path / "f.jsonl.rejects.jsonl"
    told = [json.loads(line) for line in done.rejects.read_text().splitlines()]
    assert [row["reject.line"] for row in told] == list(range(2, 14))
    assert all(row["reject.reason"] for row in told)
    assert told[7]["id"] == "b8"


@settings(max_examples=100, deadline=1000)
@given(st.binary(max_size=300), st.sampled_from([".csv", ".jsonl"]))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str) -> None:
    """Whatever comes, every row is a row or a reason, each with its line; or the file is refused with a sentence."""
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes(b"id,x\n" + data if suffix == ".csv" else data)
    try:
        found = rows_of(path)
    except IntakeError:
        return
    lines = [line for line, _ in found]
    assert lines == sorted(set(lines))


@settings(max_examples=100, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.text('a",;\n\r= '))))
def test_what_a_csv_writer_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Any cell survives: quotes, delimiters and line breaks included."""
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("id", "x"), *rows])
    assert [row for _, row in rows_of(path)] == [{"id": a, "x": b} for a, b in rows]


# ---------------------------------------------------------------- the rejects file


def test_good_and_bad_rows_make_up_the_whole_file(tmp_path: Path, database: Database, now: datetime) -> None:
    """Of a file with a tenth of bad rows of every kind, each row is counted once and each bad one told with its line."""
    path, bad = _tenth_bad(tmp_path / "f.csv", 2_000)
    done = take(path, database, now, proof="form")
    assert (done.read, done.added, done.rejected) == (2_000, 1_800, 200)
    assert len(customers_of(database)) == 1_800
    assert [row["reject.line"] for row in read_rejects(done.rejects)] == [str(line) for line in bad]
    assert numbers(take(path, database, now, proof="form")) == (0, 0, 1_800, 200)


def test_memory_does_not_grow_with_the_file(tmp_path: Path, database: Database, now: datetime) -> None:
    """Three times the rows, a tenth of them bad, take no more memory."""
    peaks = []
    for size in (1_000, 4_000):
        rows = "".join(f"{size}-{n},{n % 10 or 'bad'}\n" for n in range(size))
        path = write(tmp_path / f"{size}.csv", f"id,points\n{rows}")
        del rows
        tracemalloc.start()
        assert take(path, database, now, chunk=200).rejected == size // 10
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def _tenth_bad(path: Path, size: int) -> tuple[Path, list[int]]:
    """A file, and the lines of its bad rows."""
    spoil = [
        lambda n: f"{n},not an address,,yes\n".encode(),
        lambda n: f"{n},a{n}@shop.example,x,yes\n".encode(),
        lambda n: f"{n},a{n}@shop.example\n".encode(),
        lambda n: f"{n},\xe4@shop.example,1,yes\n".encode("latin-1"),
        lambda n: f"{n},a@b.example\0,1,yes\n".encode(),
        lambda n: f',"a{n}@shop.example",1,yes\n'.encode(),
        lambda n: f'{n},"a{n}@shop.example,1,yes\n'.encode(),
        lambda n: f"{n},,1,yes\n".encode(),
    ]
    chance = random.Random(size)
    bad = set(chance.sample(range(2, size + 2), size // 10))
    with path.open("wb") as file:
        file.write(b"id,email,points,consent.email.offers\n")
        for line in range(2, size + 2):
            good = f'{size}-{line},"a{line}@shop.example",{line},yes\n'.encode()
            file.write(chance.choice(spoil)(line) if line in bad else good)
    return path, sorted(bad)


def test_a_corrected_rejects_file_is_imported_as_it_is(tmp_path: Path, database: Database, now: datetime) -> None:
    """The row's own columns come back, beside line and reason, which are passed over; uncorrected, nothing is taken."""
    text = "id;sms;points;first_name\n1;+358401234567;-5;=1+1\n2;+358409999999;x;@home\n3;+358401111111;y;'quoted\n"
    first = take(write(tmp_path / "f.csv", "\ufeff" + text), database, now)
    assert first.rejects == tmp_path / "f.csv.rejects.csv"
    again = take(first.rejects, database, now)
    assert numbers(again) == (0, 0, 0, 2)
    corrected = first.rejects.read_text(encoding="utf-8").replace('"x"', '"-7"').replace('"y"', '"8"')
    assert numbers(take(write(first.rejects, corrected), database, now)) == (2, 0, 0, 0)
    found = customers_of(database)
    assert (found["1"]["first_name"], found["1"]["sms"], found["1"]["points"]) == ("=1+1", "+358401234567", -5)
    assert (found["2"]["first_name"], found["2"]["sms"], found["2"]["points"]) == ("@home", "+358409999999", -7)
    assert found["3"]["first_name"] == "'quoted"


def test_a_corrected_json_rejects_file_is_imported_as_it_is(tmp_path: Path, database: Database, now: datetime) -> None:
    """JSON Lines come back as JSON Lines."""
    first = take(write(tmp_path / "f.jsonl", '{"id": "1", "points": "x"}\n{"id":\n'), database, now)
    assert first.rejects is not None
    assert numbers(take(first.rejects, database, now)) == (0, 0, 0, 2)
    corrected = first.rejects.read_text().replace('"x"', "7").splitlines()[0]
    assert numbers(take(write(first.rejects, corrected), database, now)) == (1, 0, 0, 0)
    assert customers_of(database)["1"]["points"] == 7


@pytest.mark.parametrize("columns", ["id", "id,first_name", "id,first_name,points"])
def test_an_unreadable_row_is_rejected_again_until_it_is_corrected(
    tmp_path: Path, database: Database, now: datetime, columns: str
) -> None:
    """What stands in a rejects file for a row that could not be read is never taken for a customer."""
    width = columns.count(",")
    path = tmp_path / "f.csv"
    path.write_bytes(columns.encode() + b"\nid\xff" + b",x" * width + b'\n"open' + b",x" * width)
    first = take(path, database, now)
    assert (first.rejected, first.rejects is not None) == (2, True)
    assert numbers(take(first.rejects or path, database, now)) == (0, 0, 0, 2)
    assert customers_of(database) == {}


def test_no_rejects_file_is_made_where_every_row_is_good(tmp_path: Path, database: Database, now: datetime) -> None:
    """A file that is there means that there is something to do."""
    done = take(write(tmp_path / "f.csv", "id\n1\n"), database, now)
    assert done.rejects is None
    assert list(tmp_path.glob("*rejects*")) == []


def test_the_rejects_file_may_be_elsewhere_but_not_the_file_itself(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """The rows that are to be corrected never overwrite those that were given."""
    path = write(tmp_path / "f.csv", 'id\n1\n"\n')
    assert take(path, database, now, rejects=tmp_path / "bad.csv").rejects == tmp_path / "bad.csv"
    with pytest.raises(IntakeError, match="overwrite the file itself"):
        take(path, database, now, rejects=tmp_path / "." / "f.csv")
    with pytest.raises(IntakeError, match=r"(?s)cannot be written.*--rejects"):
        take(path, database, now, rejects=tmp_path / "nowhere" / "bad.csv")


@given(st.text())
def test_no_cell_of_a_rejects_file_is_a_formula_and_all_come_back(cell: str) -> None:
    """A spreadsheet that opens the file runs nothing of what a stranger wrote into a form."""
    made = escaped(cell)
    assert unescaped(made) == cell
    assert not made.lstrip()[:1] or made.lstrip()[0] not in "=+-@|%"
    assert made[:1] not in ("\t", "\r")


def test_a_csv_source_is_what_the_suffix_says(tmp_path: Path) -> None:
    """The suffix alone decides, whatever its case."""
    with opened(write(tmp_path / "F.CSV", "id\n")) as intake:
        assert isinstance(intake.source, CsvRows)
