"""The verbs that look, on tables of PostgreSQL."""
from database.verbs import (  # noqa: F401  the tests that any database has
    pipeline, test_dead_letters_in_a_table_are_listed_and_shown,
    test_dead_letters_in_a_table_are_replayed, test_tail_and_reconcile_read_tables)


def test_trace_names_row_and_dead_letter(pipeline, database):
    key = database.ask("SELECT message_id FROM readings LIMIT 1")[0][0]
    out, _ = pipeline.run("trace", "iot.yaml", key)
    assert "readings   readings (postgres://" in out
    offset, partition = database.ask("SELECT \"offset\", partition FROM dead LIMIT 1")[0]
    out, _ = pipeline.run("trace", "iot.yaml", f"raw_iot_data[{partition}]@{offset}")
    assert "dead (postgres://" in out


def test_explain_tells_version_rights_key_and_mode(pipeline, database):
    version = database.ask("SELECT current_setting('server_version')")[0][0]
    out, _ = pipeline.run("explain", "iot.yaml")
    assert f"PostgreSQL {version}" in out
    assert 'table "readings", upsert, key held unique by readings_pkey: rows go by COPY in binary' in out
    database.ask("DROP ROLE IF EXISTS clerk")
    database.ask("CREATE ROLE clerk LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk")
    text = (pipeline.folder / "iot.yaml").read_text()
    (pipeline.folder / "iot.yaml").write_text(text.replace("user=postgres", "user=clerk"))
    out, _ = pipeline.run("explain", "iot.yaml")
    assert 'clerk may not write to table "readings"' in out
    assert 'GRANT INSERT, SELECT, UPDATE ON "readings" TO "clerk"' in out
    database.ask("DROP OWNED BY clerk; DROP ROLE clerk")
