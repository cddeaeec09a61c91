"""Tombstones into a table of a database server: what a test of any of them asks."""
import random
import time

from faults import batches
from faults.keyed import INTEGER_SCHEMA, PAIR_KEY, PAIR_SCHEMA, SCHEMA, Keyed, Pairs, fold, fold_pairs, value_of
from faults.lab import LOG, balanced, local


def upsert(place):
    return {kind: {**keys, "table": "items", "mode": "upsert", "key": "id"}
            for kind, keys in place.items()}


def begin(lab, place, is_integer=False, partitions=3, **changes):
    lab.write(source={**local("in"), "tombstones": "delete"}, event_time=None, dedup=None,
              schema=INTEGER_SCHEMA if is_integer else SCHEMA,
              sinks={"out": local("out", partitions=2), "rows": upsert(place)}, **changes)
    return lab.produce([], partitions=partitions)


def put(lab, records):
    for partition, some in records.items():
        batches.append(lab, "in", some, partition=partition)


def rows(database):
    return {key: (n, partition, offset) for key, n, partition, offset in
            database.ask("SELECT id, n, _weir_partition, _weir_offset FROM items")}


def check(lab, database, ledger=None, is_integer=False, refused=()):
    """Table and ledger against the fold, then weir's own audit."""
    expected, reasons = fold(lab.path / LOG, is_integer=is_integer, refused=refused)
    assert rows(database) == expected
    if ledger is not None:
        assert balanced(ledger)["valid"] == reasons[""] + reasons["tombstone"]
        assert ledger["reasons"] == {name: count for name, count in reasons.items() if name}
    lab.audit()
    return expected


def random_logs(lab, database, place, seed, is_integer, **changes):
    """Few keys in every order, epochs of many rows and of few."""
    rng = random.Random(f"{seed} {is_integer}")
    log = Keyed(rng, 3, keys=25, is_integer=is_integer)
    begin(lab, place, is_integer, **changes)
    for count in (3000, 1, 30, 400):
        put(lab, log.batches(count))
        check(lab, database, lab.ledger(), is_integer)


def random_pairs(lab, database, place, seed, partitions):
    """Keys of two columns, out of JSON objects."""
    log = Pairs(random.Random(f"pairs {seed} {partitions}"), partitions)
    begin(lab, place, partitions=partitions)
    (kind, keys), = place.items()
    lab.write(source={**local("in"), "tombstones": "delete", "key_format": "json"}, schema=PAIR_SCHEMA,
              sinks={"out": local("out"), "rows": {kind: {**keys, "table": "items", "mode": "upsert", "key": PAIR_KEY}}})
    for count in (900, 1, 30):
        put(lab, log.batches(count))
        ledger = lab.ledger()
        expected, reasons = fold_pairs(lab.path / LOG)
        there = database.ask("SELECT region, id, n, _weir_partition, _weir_offset FROM items")
        assert {tuple(row[:2]): tuple(row[2:]) for row in there} == expected and len(there) == len(expected)
        assert ledger["reasons"] == {name: count for name, count in reasons.items() if name}
        lab.audit()


def kills(lab, database, place, seed, rounds=8):
    """kill -9 at any moment, with small epochs."""
    rng = random.Random(seed)
    log = Keyed(rng, 3, keys=30)
    begin(lab, place, delivery={"commit_interval": "1ms"})
    put(lab, log.batches(300))
    for _ in range(rounds):
        process = lab.start()
        for _ in range(rng.randrange(8)):
            put(lab, log.batches(rng.randrange(1, 500)))
            time.sleep(rng.random() * 0.05)
        process.kill()
    check(lab, database, lab.ledger())


def refusals(lab, database, place, statements, mend, code, words, name="a"):
    """A deletion that the table refuses: the row stays, and all that is around it goes on, in one epoch
    with a hundred others."""
    begin(lab, place, partitions=1)
    put(lab, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 1))]})
    lab.run()
    for statement in statements:
        database.ask(statement)
    key = name.encode()
    around = [(f"x{number}".encode(), value_of(f"x{number}", number) if number % 3 else None)
              for number in range(100)]
    put(lab, {0: around[:50] + [(b"b", None), (key, value_of(name, 2)), (key, None), (key, value_of(name, 3)),
                                (key, None)] + around[50:] + [(b"b", value_of("b", 4))]})
    refused = {(0, 54), (0, 56)}
    ledger = lab.ledger()
    assert ledger["sinks"]["rows"]["rejected"] == 2, ledger["sinks"]
    letters = lab.letters()
    assert {offset: (key, value) for offset, (key, value, _) in letters.items()} == \
        {offset: (key, None) for _, offset in refused}
    for _, _, headers in letters.values():
        assert headers["weir.reason"] == code and headers["weir.sink"] == "rows"
        assert all(word in headers["weir.detail"] for word in words), headers
    assert rows(database)[name][0] == 3
    check(lab, database, ledger, refused=refused)
    # Replayed behind what was mended.
    for statement in mend:
        database.ask(statement)
    assert lab.weir("dlq", "replay", "p.yaml").status == 0
    lab.run()
    assert name not in rows(database)
    lab.audit()


def found_by_audit(lab, database, place):
    begin(lab, place, partitions=1)
    put(lab, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 1)), (b"a", None)]})
    lab.run()
    lab.audit()
    database.ask("INSERT INTO items VALUES ('a', 1, 'in', 0, 0)")
    assert "not written by this pipeline" in lab.audit(status=1)
    database.ask("DELETE FROM items WHERE id = 'a'")
    lab.audit()
    assert "deleted" in lab.weir("trace", "p.yaml", "a").out


def odd_keys(lab, database, place, odd=()):
    """Bytes that statements must not trip over."""
    begin(lab, place, partitions=1)
    names = ["", "'", '"', "\\", "a,b", "{}", "NULL", "null", "é", "\U0001f600", "a\nb", "$1", "?", *odd]
    put(lab, {0: [(name.encode(), value_of(name, number)) for number, name in enumerate(names)]})
    lab.run()
    assert set(rows(database)) == set(names)
    put(lab, {0: [(name.encode(), None) for name in names[1:]]})
    lab.run()
    assert set(rows(database)) == {""}
    put(lab, {0: [(b"", None)]})
    lab.run()
    check(lab, database)


def random_refusals(lab, database, place, seed, statements):
    """A table that refuses rows (n % 5 = 0) and deletions (of keys that a child names), in any order in one
    epoch: what was refused is booked, and the table is the fold of what was not. Which rows are tried
    is the sink's matter: one that a deletion of the same epoch undoes need not be."""
    rng = random.Random(f"refusals {seed}")
    log = Keyed(rng, 3, keys=12, stray=0.02)
    for statement in statements:
        database.ask(statement)
    begin(lab, place)
    for number in range(4):
        put(lab, log.batches(rng.choice([5, 60, 400])))
        ledger = lab.ledger()
        quoted = [database.quote + name + database.quote for name in ("partition", "offset")]
        rejects = database.ask(f"SELECT {', '.join(quoted)} FROM weir_rejects")
        refused = {(int(partition), offset) for partition, offset in rejects}
        assert ledger["sinks"]["rows"]["rejected"] == len(refused)
        check(lab, database, ledger, refused=refused)
        for name, (n, _, _) in rows(database).items():
            assert n % 5, name
        if number == 1:
            # From here on some deletions are refused.
            for name in sorted(rows(database))[:3]:
                database.ask("INSERT INTO child VALUES ('%s')" % name)
    assert refused
