"""`tombstones: delete` into MariaDB."""
import pytest

from database import tombstones
from faults import batches
from faults.lab import Lab

ORIGIN = "_weir_topic varchar(255), _weir_partition int, _weir_offset bigint"


@pytest.fixture
def lab(tmp_path, weir):
    return Lab(tmp_path, weir)


@pytest.fixture
def place(database):
    return {"mysql": {"host": "127.0.0.1", "port": database.server.port, "user": "root",
                      "database": database.name}}


@pytest.mark.parametrize("is_integer", [False, True], ids=["text", "integer"])
@pytest.mark.parametrize("seed", range(2))
def test_random_logs(lab, database, place, seed, is_integer):
    tombstones.random_logs(lab, database, place, seed, is_integer)


@pytest.mark.parametrize("partitions", [1, 3])
def test_keys_of_several_columns(lab, database, place, seed, partitions):
    tombstones.random_pairs(lab, database, place, seed, partitions)


@pytest.mark.parametrize("seed", range(2))
def test_through_kills(lab, database, place, seed):
    tombstones.kills(lab, database, place, seed)


def test_audit_names_what_should_be_gone(lab, database, place):
    tombstones.found_by_audit(lab, database, place)


def test_keys_of_any_text(lab, database, place):
    tombstones.odd_keys(lab, database, place, odd=["a", "A", "a ", "a\0b"])


REFUSALS = {
    "foreign key": (["CREATE TABLE child (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin,"
                     " FOREIGN KEY (id) REFERENCES items (id))", "INSERT INTO child VALUES ('a')"],
                    "DROP TABLE child", "sink.constraint_foreignkey", ["SQLSTATE 23000", "child"]),
    "trigger": (["CREATE TRIGGER stays BEFORE DELETE ON items FOR EACH ROW IF OLD.id = 'a' THEN"
                 " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a stays'; END IF"],
                "DROP TRIGGER stays", "sink.trigger", ["SQLSTATE 45000", "a stays"]),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_deletion_that_the_table_refuses_is_a_refused_row(lab, database, place, kind):
    statements, mend, code, words = REFUSALS[kind]
    tombstones.refusals(lab, database, place, statements, [mend], code, words)


def test_what_only_a_refused_deletion_had_undone_is_written(lab, database, place):
    """Rows and deletions of one key in one epoch, none of which was there before."""
    database.ask("CREATE TABLE items (id varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY,"
                 f" n bigint, {ORIGIN})")
    database.ask("CREATE TRIGGER stays BEFORE DELETE ON items FOR EACH ROW IF OLD.n > 1 THEN"
                 " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it stays'; END IF")
    tombstones.begin(lab, place, partitions=1)
    value = tombstones.value_of
    batches.append(lab, "in", [(b"a", value("a", 5)), (b"b", value("b", 1)), (b"c", value("c", 5))])
    lab.run()
    batches.append(lab, "in", [(b"a", value("a", 6)), (b"a", None), (b"b", value("b", 7)), (b"b", None),
                               (b"c", value("c", 8)), (b"c", None), (b"c", value("c", 9))])
    lab.run()
    # Of `b` a row of before was deleted, with the one that came in the same epoch.
    refused = {(0, 4), (0, 8)}
    tombstones.check(lab, database, refused=refused)


@pytest.mark.parametrize("declared", ["varchar(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", "uuid"])
def test_a_key_that_the_column_cannot_have(lab, database, place, declared):
    """Nothing else is deleted in its stead."""
    good = "00000000-0000-0000-0000-000000000abc" if declared == "uuid" else "abc"
    database.ask(f"CREATE TABLE items (id {declared} PRIMARY KEY, n bigint, {ORIGIN})")
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


@pytest.mark.parametrize("charset, there", [("latin1", "é"), ("utf8mb3", "日")])
def test_a_key_that_the_character_set_does_not_have(lab, database, place, charset, there):
    """The server compares it with nothing; that is this record's fault, and all around it goes on."""
    database.ask(f"CREATE TABLE items (id varchar(9) CHARACTER SET {charset} COLLATE {charset}_bin PRIMARY KEY,"
                 f" n bigint, {ORIGIN})")
    tombstones.begin(lab, place, partitions=1)
    value = tombstones.value_of
    batches.append(lab, "in", [(key.encode(), value(key, 1)) for key in ("a", "b", "c", there)])
    lab.run()
    batches.append(lab, "in", [(b"a", None), ("😀".encode(), None), (there.encode(), None), (b"b", value("b", 2)),
                               ("😀".encode(), value("😀", 1)), ("😀".encode(), None), (b"c", None)])
    ledger = lab.ledger()
    refused = {offset: headers["weir.reason"] for offset, (_, _, headers) in lab.letters().items()}
    assert refused[5] == refused[9] == "sink.encoding" and set(refused) == {5, 8, 9}, refused
    assert ledger["sinks"]["rows"]["rejected"] == 3
    tombstones.check(lab, database, ledger, refused={(0, offset) for offset in refused})
    assert set(tombstones.rows(database)) == {"b"}


@pytest.mark.parametrize("seed", range(3))
def test_refused_rows_and_refused_deletions(lab, database, place, seed):
    key = "id varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    tombstones.random_refusals(lab, database, place, seed, [
        f"CREATE TABLE items ({key} PRIMARY KEY, n bigint CHECK (n % 5 <> 0), {ORIGIN})",
        f"CREATE TABLE child ({key}, FOREIGN KEY (id) REFERENCES items (id))"])
