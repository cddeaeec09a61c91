"""The verbs that look, on tables of MariaDB."""
import json

from database.verbs import (  # noqa: F401  the tests that any database has
    pipeline, test_dead_letters_in_a_table_are_listed_and_shown,
    test_dead_letters_in_a_table_are_replayed, test_tail_and_reconcile_read_tables)
from mysql.pipeline import Lines


def test_rows_are_read_as_they_were_written(database, weir, tmp_path):
    lines = Lines(tmp_path, weir, database, "n: {type: number}, t: {type: string, format: date-time},"
                  " o: {type: object}, s: {type: string}")
    row = {"n": 0.1, "t": "2026-01-02T03:04:05.000006Z", "o": {"a": [1, None]}, "s": "\"\u00e9\0"}
    lines.add(row, {}).run()
    first, second = map(json.loads, lines.run("tail", "p.yaml:rows").splitlines())
    assert {name: first[name] for name in row} == row
    assert {name: second[name] for name in row} == dict.fromkeys(row)


def test_zeros_in_front_are_no_json(database, weir, tmp_path):
    database.ask("CREATE TABLE `rows` (a int(6) zerofill, b decimal(8,2) zerofill, c double zerofill,"
                 " d year, e int(6) zerofill)")
    database.ask("INSERT INTO `rows` VALUES (42, 0.5, 1.5, 0, 0)")
    lines = Lines(tmp_path, weir, database, "a: {type: integer}")
    assert json.loads(lines.run("tail", "p.yaml:rows")) == \
        {"a": 42, "b": 0.5, "c": 1.5, "d": 0, "e": 0}


def test_tables_of_an_older_weir_do_not_tell_spaces_apart(database, weir, tmp_path):
    """Their names are padded: two files whose names differ in a space at the end would share a progress record."""
    lines = Lines(tmp_path, weir, database, "id: {type: integer}")
    lines.add({"id": 1}).run()
    tables = ("weir_progress", "weir_start", "weir_ledger", "weir_plan", "weir_rejects")
    assert "names" not in lines.run("explain", "--json")
    for table in tables:
        database.ask(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    lines.add({"id": 2}).run()
    assert "nopad_bin" in lines.run("explain", "--json")
    (tmp_path / "in.ndjson ").write_text('{"id": 3}\n')
    (tmp_path / "p.yaml").write_text(lines.text.replace("path: in.ndjson", "path: [in.ndjson, 'in.ndjson ']"))
    said = lines.run(status=2)
    assert "mysql.padded_names" in said and "utf8mb4_nopad_bin" in said, said
    for table in tables:
        database.ask(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    lines.run()
    assert sorted(database.ask("SELECT id FROM `rows`")) == [(1,), (2,), (3,)]
    lines.run("audit")
