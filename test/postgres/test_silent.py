"""What PostgreSQL changes or loses without a word: refused, row by row or at the start."""
import json
import subprocess

import pytest

PIPELINE = """
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
schema: {{type: object, required: [v], properties: {{{fields}}}}}
sinks:
  rows:
    postgres: {{dsn: "{dsn}", table: rows{more}}}
"""
UPSERT = ", mode: upsert, key: [v]"
ORIGINS = "_weir_topic text, _weir_partition integer, _weir_offset bigint"


class Runs:
    def __init__(self, folder, weir, dsn):
        self.folder, self.weir, self.dsn = folder, weir, dsn

    def verb(self, *arguments):
        return subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True,
                              text=True, timeout=60)

    def run(self, values, status=0, more="", field="string"):
        """What a run said that must end so: values of the column v."""
        (self.folder / "p.yaml").write_text(PIPELINE.format(
            fields=f"v: {{type: {field}}}", dsn=self.dsn, more=more))
        (self.folder / "in.ndjson").write_text("".join(
            json.dumps({"v": value}) + "\n" for value in values))
        done = self.verb("run", "p.yaml", "--until-end")
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def audit(self):
        done = self.verb("audit", "p.yaml")
        assert done.returncode == 0, done.stdout


def test_a_long_message_is_cut_between_characters(database, weir, tmp_path):
    """Whatever stands before it: one of the two lengths cuts within a character."""
    database.ask("CREATE TABLE rows (v text)")
    database.ask("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " IF NEW.v <> 'good' THEN RAISE EXCEPTION 'bad value %', NEW.v; END IF;"
                 " RETURN NEW; END $$")
    database.ask("CREATE TRIGGER refuse BEFORE INSERT ON rows FOR EACH ROW EXECUTE FUNCTION refuse()")
    runs = Runs(tmp_path, weir, database.dsn)
    said = runs.run(["ä" * 300, "x" + "ä" * 300, "good"])
    assert "written 1 + rejected 2" in said
    messages = [row[0] for row in database.ask("SELECT message FROM weir_rejects ORDER BY number")]
    assert sorted(len(message.encode()) for message in messages) == [198, 199], messages
    assert all(message.endswith("ä") and "bad value" in message for message in messages)
    runs.audit()


def test_spaces_that_varchar_would_cut(database, weir, tmp_path):
    database.ask("CREATE TABLE rows (v varchar(3))")
    runs = Runs(tmp_path, weir, database.dsn)
    said = runs.run(["abc", "ab ", "abc ", "äöü  ", "äö ", "abcd ", "    "])
    assert "written 3 + rejected 4" in said
    assert sorted(row[0] for row in database.ask("SELECT v FROM rows")) == ["ab ", "abc", "äö "]
    reasons = sorted(database.ask("SELECT code, message FROM weir_rejects"))
    assert [row[0] for row in reasons] == ["sink.datatype"] * 3 + ["sink.too_long"]
    assert all("would cut spaces at the end" in row[1] for row in reasons[:3]), reasons
    runs.audit()


def test_spaces_of_a_key_that_varchar_would_cut(database, weir, tmp_path):
    """Or two keys would be one row."""
    database.ask(f"CREATE TABLE rows (v varchar(2) PRIMARY KEY, {ORIGINS})")
    runs = Runs(tmp_path, weir, database.dsn)
    assert "written 1 + rejected 1" in runs.run(["ab", "ab "], more=UPSERT)
    assert database.ask("SELECT v, _weir_offset FROM rows") == [("ab", 0)]
    runs.audit()


def test_a_scale_that_rounds_integers(database, weir, tmp_path):
    if int(database.ask("SHOW server_version_num")[0][0]) < 150000:
        pytest.skip("a server whose scales are not negative")
    database.ask("CREATE TABLE rows (v numeric(6,-2))")
    runs = Runs(tmp_path, weir, database.dsn)
    for field, mend in (("integer", "bigint"), ("number", "double precision")):
        said = runs.run([149], status=2, field=field)
        assert 'column "v" of table "rows" is numeric(6,-2)' in said
        assert f'ALTER TABLE "rows" ALTER COLUMN "v" TYPE {mend}' in said
    assert database.ask("SELECT count(*) FROM rows") == [(0,)]


def test_an_unlogged_table(database, weir, tmp_path):
    """A crash of the server would empty it, and the progress would stay."""
    runs = Runs(tmp_path, weir, database.dsn)
    database.ask("CREATE UNLOGGED TABLE rows (v text)")
    said = runs.run(["a"], status=2)
    assert "sink.unlogged" in said and "ALTER TABLE rows SET LOGGED" in said
    explained = runs.verb("explain", "p.yaml")
    assert "ALTER TABLE rows SET LOGGED" in explained.stdout + explained.stderr
    database.ask("ALTER TABLE rows SET LOGGED")
    assert "written 1" in runs.run(["a"])
    assert database.ask("SELECT v FROM rows") == [("a",)]


def test_an_unlogged_partition(database, weir, tmp_path):
    runs = Runs(tmp_path, weir, database.dsn)
    database.ask("CREATE TABLE rows (v text) PARTITION BY LIST (v)")
    database.ask("CREATE TABLE kept PARTITION OF rows FOR VALUES IN ('a')")
    database.ask('CREATE UNLOGGED TABLE "Lost" PARTITION OF rows DEFAULT')
    assert 'ALTER TABLE "Lost" SET LOGGED' in runs.run(["a", "b"], status=2)
    database.ask('ALTER TABLE "Lost" SET LOGGED')
    assert "written 2" in runs.run(["a", "b"])


@pytest.fixture(name="vague")
def vague_collation(database):
    """A collation for which 'a' and 'A' are equal."""
    if not database.ask("SELECT 1 FROM pg_collation WHERE collprovider = 'i' LIMIT 1") or \
            int(database.ask("SHOW server_version_num")[0][0]) < 120000:
        pytest.skip("a server without ICU's collations")
    database.ask("CREATE COLLATION vague (provider = icu, locale = 'und-u-ks-level2',"
                 " deterministic = false)")
    return "vague"


def test_a_key_for_which_different_texts_are_equal(database, weir, tmp_path, vague):
    database.ask(f"CREATE TABLE rows (v text COLLATE {vague} PRIMARY KEY, {ORIGINS})")
    runs = Runs(tmp_path, weir, database.dsn)
    said = runs.run(["a", "A"], status=2, more=UPSERT)
    mend = 'ALTER TABLE "rows" ALTER COLUMN "v" TYPE text COLLATE "C"'
    assert "sink.collation" in said and mend in said
    database.ask(mend)
    assert "written 2" in runs.run(["a", "A"], more=UPSERT)
    assert database.ask('SELECT v FROM rows ORDER BY v') == [("A",), ("a",)]
    runs.audit()


def test_an_index_for_which_different_texts_are_equal(database, weir, tmp_path, vague):
    """The column's own collation tells them apart, but ON CONFLICT takes the index."""
    database.ask(f"CREATE TABLE rows (v text, {ORIGINS})")
    database.ask(f"CREATE UNIQUE INDEX rows_v ON rows (v COLLATE {vague})")
    runs = Runs(tmp_path, weir, database.dsn)
    said = runs.run(["a", "A"], status=2, more=UPSERT)
    assert "index rows_v" in said and '"v" COLLATE "C"' in said
    database.ask("DROP INDEX rows_v")
    database.ask('CREATE UNIQUE INDEX rows_v ON rows (v COLLATE "C")')
    assert "written 2" in runs.run(["a", "A"], more=UPSERT)


def test_rows_may_be_appended_in_any_collation(database, weir, tmp_path, vague):
    database.ask(f"CREATE TABLE rows (v text COLLATE {vague})")
    runs = Runs(tmp_path, weir, database.dsn)
    assert "written 2" in runs.run(["a", "A"])
    assert database.ask("SELECT count(*) FROM rows") == [(2,)]


def test_a_trigger_that_drops_rows(database, weir, tmp_path):
    database.ask("CREATE TABLE rows (v text)")
    database.ask("CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " IF NEW.v = 'bad' THEN RETURN NULL; END IF; RETURN NEW; END $$")
    database.ask('CREATE TRIGGER "Dropper" BEFORE INSERT ON rows FOR EACH ROW'
                 " EXECUTE FUNCTION drop_row()")
    runs = Runs(tmp_path, weir, database.dsn)
    said = runs.run(["good", "bad", "good"], status=3)
    assert "took only 2 of 3 rows" in said and 'trigger "Dropper"' in said
    assert database.ask("SELECT count(*) FROM rows") == [(0,)]
    database.ask('DROP TRIGGER "Dropper" ON rows')
    assert "written 3" in runs.verb("run", "p.yaml", "--until-end").stdout
    assert database.ask("SELECT count(*) FROM rows") == [(3,)]
    runs.audit()


@pytest.mark.parametrize("when", ["INSERT", "UPDATE"])
def test_a_trigger_that_drops_rows_of_an_upsert(when, database, weir, tmp_path):
    """Rows that lose against what stands there are not written either, and that is as it should be."""
    database.ask(f"CREATE TABLE rows (v text, {ORIGINS}, PRIMARY KEY (v)) PARTITION BY LIST (v)")
    database.ask("CREATE TABLE other PARTITION OF rows DEFAULT")
    runs = Runs(tmp_path, weir, database.dsn)
    assert "written 1" in runs.run(["first"], more=UPSERT)
    database.ask("INSERT INTO rows VALUES ('newer', 'zz', 0, 0), ('bad', 'a', 0, 0)")
    database.ask("CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " IF NEW.v = 'bad' THEN RETURN NULL; END IF; RETURN NEW; END $$")
    database.ask(f'CREATE TRIGGER "Dropper" BEFORE {when} ON rows FOR EACH ROW'
                 " EXECUTE FUNCTION drop_row()")
    values = ["first", "good", "newer", "bad", "good"]
    said = runs.run(values, status=3, more=UPSERT)
    assert "took only 3 of 4 rows" in said and 'trigger "Dropper"' in said and "an update" in said
    assert database.ask("SELECT count(*) FROM rows") == [(3,)]
    database.ask('DROP TRIGGER "Dropper" ON rows')
    assert "written 5" in runs.verb("run", "p.yaml", "--until-end").stdout
    assert database.ask("SELECT v, _weir_topic = 'zz' FROM rows ORDER BY v") == [
        ("bad", False), ("first", False), ("good", False), ("newer", True)]
