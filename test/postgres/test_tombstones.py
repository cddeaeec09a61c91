"""`tombstones: delete` into PostgreSQL."""
import pytest

from database import tombstones
from faults import batches
from faults.lab import Lab


@pytest.fixture
def lab(tmp_path, weir):
    return Lab(tmp_path, weir)


@pytest.fixture
def place(database):
    return {"postgres": {"dsn": database.dsn}}


@pytest.mark.parametrize("is_integer", [False, True], ids=["text", "integer"])
@pytest.mark.parametrize("seed", range(2))
def test_random_logs(lab, database, place, seed, is_integer):
    tombstones.random_logs(lab, database, place, seed, is_integer)


def test_random_logs_in_prepared_transactions(lab, database, place):
    """Where an upsert's rows are staged in a table that lasts as long as the transaction."""
    tombstones.random_logs(lab, database, place, 7, False, delivery={"atomic": ["out", "rows"]})


@pytest.mark.parametrize("partitions", [1, 3])
def test_keys_of_several_columns(lab, database, place, seed, partitions):
    tombstones.random_pairs(lab, database, place, seed, partitions)


@pytest.mark.parametrize("seed", range(2))
def test_through_kills(lab, database, place, seed):
    tombstones.kills(lab, database, place, seed)


def test_audit_names_what_should_be_gone(lab, database, place):
    tombstones.found_by_audit(lab, database, place)


def test_keys_of_any_text(lab, database, place):
    tombstones.odd_keys(lab, database, place)


REFUSALS = {
    "foreign key": (["CREATE TABLE child (id text REFERENCES items)", "INSERT INTO child VALUES ('a')"],
                    "DROP TABLE child", "sink.constraint_foreignkey", ["SQLSTATE 23503", "child"]),
    "deferred foreign key": (
        ["CREATE TABLE child (id text REFERENCES items DEFERRABLE INITIALLY DEFERRED)",
         "INSERT INTO child VALUES ('a')"],
        "DROP TABLE child", "sink.constraint_foreignkey", ["SQLSTATE 23503", "child"]),
    "trigger": (["CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = 'a' THEN"
                 " RAISE EXCEPTION 'a stays'; END IF; RETURN OLD; END $$",
                 "CREATE TRIGGER stays BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION stays()"],
                "DROP TRIGGER stays ON items", "sink.trigger", ["SQLSTATE P0001", "a stays"]),
    "ignored": (["CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = 'a' THEN"
                 " UPDATE items SET n = -1 WHERE id = OLD.id; RETURN NULL; END IF; RETURN OLD; END $$",
                 "CREATE TRIGGER stays BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION stays()"],
                "DROP TRIGGER stays ON items", "sink.ignored", ["ignored the deletion"]),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_deletion_that_the_table_refuses_is_a_refused_row(lab, database, place, kind):
    statements, mend, code, words = REFUSALS[kind]
    tombstones.refusals(lab, database, place, statements, [mend], code, words)


@pytest.mark.parametrize("declared", ["varchar(3)", "uuid", "enum"])
def test_a_key_that_the_column_cannot_have(lab, database, place, declared):
    """Nothing else is deleted in its stead: `abcd` is not cut to the three characters of a column."""
    good = {"uuid": "00000000-0000-0000-0000-000000000abc"}.get(declared, "abc")
    if declared == "enum":
        database.ask("CREATE TYPE kind AS ENUM ('abc', 'xyz')")
        declared = "kind"
    database.ask(f"CREATE TABLE items (id {declared} PRIMARY KEY, n bigint, _weir_topic text,"
                 " _weir_partition integer, _weir_offset bigint)")
    tombstones.begin(lab, place, partitions=1)
    batches.append(lab, "in", [(good.encode(), tombstones.value_of(good, 1)), (good.encode() + b"d", None),
                               (b"ab", None)])
    lab.run()
    assert database.ask("SELECT n FROM items") == [(1,)]
    lab.audit()
    batches.append(lab, "in", [(good.encode(), None)])
    lab.run()
    assert database.ask("SELECT n FROM items") == []
    lab.audit()


def test_without_the_right_to_delete_nothing_begins(lab, database, place):
    database.ask("CREATE TABLE items (id text PRIMARY KEY, n bigint, _weir_topic text,"
                 " _weir_partition integer, _weir_offset bigint)")
    database.ask("DROP ROLE IF EXISTS no_delete")
    database.ask("CREATE ROLE no_delete LOGIN")
    database.ask("GRANT CREATE ON SCHEMA public TO no_delete")
    database.ask("GRANT SELECT, INSERT, UPDATE ON items TO no_delete")
    place["postgres"]["dsn"] = place["postgres"]["dsn"].replace("user=postgres", "user=no_delete")
    tombstones.begin(lab, place, partitions=1)
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 2 and "items" in done.err, done


@pytest.mark.parametrize("form", ["binary", "text"])
@pytest.mark.parametrize("seed", range(2))
def test_refused_rows_and_refused_deletions(lab, database, place, form, seed):
    """Also in the text form of COPY, which a column of a domain asks for."""
    topic = "text" if form == "binary" else "origin"
    tombstones.random_refusals(lab, database, place, seed, [
        "CREATE DOMAIN origin AS text",
        "CREATE TABLE items (id text PRIMARY KEY, n bigint CHECK (n % 5 <> 0),"
        f" _weir_topic {topic}, _weir_partition integer, _weir_offset bigint)",
        "CREATE TABLE child (id text REFERENCES items)"])
