"""Tables that could not keep what is written to them: told at the start, before the first row."""
from faults.lab import Lab, record

COLUMNS = "id text, at timestamptz, n double precision, text text, _weir_topic text, _weir_partition integer," \
    " _weir_offset bigint"
UPSERT = {"mode": "upsert", "key": "id"}
KINDS = {
    "generated": (["CREATE TABLE {0} (id text, at timestamptz, n double precision, text text GENERATED ALWAYS AS"
                   " (id || 'x') STORED)"], {}, "sink.generated_column", "DROP EXPRESSION"),
    "no default": (["CREATE TABLE {0} (%s, must int NOT NULL)" % COLUMNS], {}, "sink.no_default", 'COLUMN "must" SET DEFAULT'),
    "secured": (["CREATE TABLE {0} (%s)" % COLUMNS, "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
                 "CREATE POLICY p ON {0} USING (n > 5) WITH CHECK (true)"], {}, "sink.row_security", "BYPASSRLS"),
    "secured upsert": (["CREATE TABLE {0} (%s, PRIMARY KEY (id))" % COLUMNS, "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
                        "CREATE POLICY p ON {0}"], UPSERT, "sink.row_security", "BYPASSRLS"),
    "view": (["CREATE TABLE base (%s)" % COLUMNS, "CREATE VIEW {0} AS SELECT * FROM base"], {}, "sink.view",
             "the table behind it"),
    "foreign partition": (["CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
                           "CREATE TABLE {0} (%s) PARTITION BY RANGE (n)" % COLUMNS,
                           "CREATE FOREIGN TABLE {0}_part PARTITION OF {0} FOR VALUES FROM (0) TO (9) SERVER files"
                           " OPTIONS (filename '/dev/null')"], {}, "sink.foreign_table", "sink of its own"),
    "deferrable key": (["CREATE TABLE {0} (%s, PRIMARY KEY (id) DEFERRABLE)" % COLUMNS], UPSERT, "sink.deferrable_key",
                       "without DEFERRABLE"),
}
TAKEN = {
    "a view with a trigger": ["CREATE VIEW {0} AS SELECT * FROM base", "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS"
                              " $$ BEGIN INSERT INTO base VALUES (NEW.*); RETURN NEW; END $$", "CREATE TRIGGER pass INSTEAD OF"
                              " INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION pass()"],
    "a trigger gives it": ["CREATE TABLE {0} (%s, must int NOT NULL)" % COLUMNS, "CREATE FUNCTION give() RETURNS trigger LANGUAGE"
                           " plpgsql AS $$ BEGIN NEW.must = 1; RETURN NEW; END $$", "CREATE TRIGGER give BEFORE INSERT ON {0}"
                           " FOR EACH ROW EXECUTE FUNCTION give()"],
    "identity, default, generated": ["CREATE TABLE {0} (no bigint GENERATED ALWAYS AS IDENTITY, %s, made date NOT NULL DEFAULT now(),"
                                     " twice double precision GENERATED ALWAYS AS (n * 2) STORED NOT NULL)" % COLUMNS],
}


def test_what_would_fail_at_the_first_row_is_told_at_the_start(database, weir, tmp_path):
    """Or would go on for ever, hide rows from deletions and audit, refuse them one by one."""
    database.ask("DO $$ BEGIN CREATE ROLE bound LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    database.ask("GRANT CREATE ON SCHEMA public TO bound")
    lab = Lab(tmp_path, weir)
    lab.produce([record(number) for number in range(10)])
    dsn = database.dsn.replace("user=postgres", "user=bound")
    kinds = dict(KINDS)
    if not database.ask("SELECT FROM pg_available_extensions WHERE name = 'file_fdw'"):
        del kinds["foreign partition"]
    for number, (kind, (statements, keys, code, words)) in enumerate(kinds.items()):
        for statement in statements:
            database.ask(statement.format(f"t{number}"))
        database.ask("GRANT ALL ON ALL TABLES IN SCHEMA public TO bound")
        lab.write(dedup=None, event_time=None, sinks={"rows": {"postgres": {"dsn": dsn, "table": f"t{number}", **keys}}})
        said = lab.refused(code).err
        assert words in said, (kind, said)
    for number, (kind, statements) in enumerate(TAKEN.items()):
        for statement in statements:
            database.ask(statement.format(f"u{number}"))
        lab.write(name=f"u{number}", sinks={"rows": {"postgres": {"dsn": database.dsn, "table": f"u{number}"}}}, dlq=None)
        assert lab.ledger()["sinks"]["rows"]["written"] == 10, kind
        assert database.ask(f"SELECT count(*) FROM u{number}") == [(10,)]
