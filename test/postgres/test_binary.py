"""What COPY in binary form puts into a table is what psql puts there out of the same texts."""
import json
import random
import struct
import subprocess

TYPES = {
    "small": ("integer", "smallint"), "whole": ("integer", "integer"), "big": ("integer", "bigint"),
    "counted": ("integer", "numeric"), "real": ("number", "double precision"),
    "exact": ("number", "numeric"), "price": ("number", "numeric(12,2)"),
    "note": ("string", "text"), "name": ("string", "varchar(40)"), "kind": ("string", "kind"),
    "good": ("boolean", "boolean"), "at": ("time", "timestamptz"), "local": ("time", "timestamp"),
    "day": ("string", "date"), "id": ("string", "uuid"), "more": ("object", "json"),
}
PIPELINE = """
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
schema: {schema}
sinks:
  rows:
    postgres: {{dsn: "{dsn}", table: rows{more}}}
"""
TEXTS = ["", "plain", "tab\tline\nback\\slash\r", "\\N", "\\.", "ÄÖÜß", "日本語", "\U0001f30a\u0301", "'\"$1", " "]


def create(database, name, more=""):
    columns = ", ".join(f"{column} {kind}" for column, (_, kind) in TYPES.items())
    database.ask(f"CREATE TABLE {name} ({columns}, _weir_topic text, _weir_partition integer,"
                 f" _weir_offset bigint{more})")


def random_double(rng):
    while True:
        number = struct.unpack("d", rng.randbytes(8))[0]
        if number - number == 0:
            return number


def number(rng):
    return rng.choice([
        lambda: rng.choice([0.0, -0.0, 1.0, 0.1, 1e15, 1e16, 1e-5, 5e-324, 1.7976931348623157e308]),
        lambda: random_double(rng), lambda: rng.randrange(-10**9, 10**9) / 10**rng.randrange(9),
        lambda: float(rng.randrange(-10**17, 10**17))])()


def clock(rng):
    """A date-time as people write them, years 1 to 9999."""
    year = rng.choice([2, 1582, 1899, 1970, 2000, 2026, 9998])
    fraction = rng.choice(["", ".5", f".{rng.randrange(10**6):06}"])
    zone = rng.choice(["Z", "+05:30", "-11:00"])
    return (f"{year:04}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randrange(24):02}:"
            f"{rng.randrange(60):02}:{rng.randrange(60):02}{fraction}{zone}")


def random_row(rng, i):
    return {
        "small": rng.choice([-32768, 32767, i]), "whole": rng.choice([-2**31, 2**31 - 1, -i]),
        "big": rng.choice([-2**63, 2**63 - 1, rng.getrandbits(40)]),
        "counted": rng.choice([-2**63, 0, 10000, 99999999, rng.getrandbits(62)]),
        "real": number(rng), "exact": number(rng), "price": rng.randrange(-10**9, 10**9) / 100,
        "note": rng.choice(TEXTS) * rng.randrange(3), "name": rng.choice(TEXTS),
        "kind": rng.choice(["dry", "näß"]), "good": rng.choice([True, False]), "at": clock(rng),
        "local": clock(rng), "day": clock(rng)[:10],
        "id": "-".join(f"{rng.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12)),
        "more": {"a": [1, {"ö": None}], "b": rng.random()},
    }


def line_of(row):
    """The row for psql's COPY in text form; times without a zone are in UTC there."""
    fields = []
    for name in TYPES:
        value = row.get(name)
        text = "\\N" if value is None else repr(value) if isinstance(value, float) else \
            json.dumps(value, ensure_ascii=False, separators=(",", ":")) if name == "more" else str(value)
        if value is not None:
            for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
                text = text.replace(plain, escaped)
        fields.append(text)
    return "\t".join(fields)


def schema_of(required=()):
    kinds = {"time": {"type": "string", "format": "date-time"}}
    return json.dumps({"type": "object", "required": list(required), "properties": {
        name: kinds.get(kind, {"type": kind}) for name, (kind, _) in TYPES.items()}})


def run(weir, folder, database, rows, schema, more=""):
    (folder / "in.ndjson").write_text("".join(
        json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows))
    (folder / "p.yaml").write_text(PIPELINE.format(schema=schema, dsn=database.dsn, more=more))
    for words in (("run", "--until-end"), ("audit",)):
        done = subprocess.run([weir, words[0], "p.yaml", *words[1:]], cwd=folder,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def same_as_psql(database, folder, rows):
    """Both tables as texts, all columns; a timestamp without zone is one in UTC."""
    (folder / "rows.tsv").write_text("".join(line_of(row) + "\n" for row in rows))
    columns = ", ".join(TYPES)
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", database.dsn,
                    "-c", "SET TimeZone = 'UTC'", "-c", "ALTER TABLE same ALTER local TYPE timestamptz",
                    "-c", f"\\copy same ({columns}) FROM rows.tsv",
                    "-c", "ALTER TABLE same ALTER local TYPE timestamp"],
                   cwd=folder, check=True)
    text = f"ROW({columns})::text"
    assert database.ask("SELECT count(*) FROM rows") == [(len(rows),)]
    for one, other in (("rows", "same"), ("same", "rows")):
        assert database.ask(f"SELECT {text} FROM {one} EXCEPT ALL SELECT {text} FROM {other}") == []


def test_every_type_is_what_psql_makes_of_it(database, weir, tmp_path, seed):
    rng = random.Random(seed)
    database.ask("CREATE TYPE kind AS ENUM ('dry', 'näß')")
    create(database, "rows")
    create(database, "same")
    rows = [random_row(rng, i) for i in range(2000)]
    for row in rows[::7]:
        for name in rng.sample(list(row), 5):
            del row[name]
    rows.append({})
    run(weir, tmp_path, database, rows, schema_of())
    same_as_psql(database, tmp_path, rows)
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]


def test_a_type_without_a_known_binary_form_goes_by_text(database, weir, tmp_path, seed):
    rng = random.Random(seed)
    database.ask("CREATE TYPE kind AS ENUM ('dry', 'näß')")
    create(database, "rows")
    create(database, "same")
    database.ask("CREATE DOMAIN place AS text CHECK (value <> '')")
    database.ask("ALTER TABLE rows ALTER _weir_topic TYPE place")
    rows = [random_row(rng, i) for i in range(200)]
    run(weir, tmp_path, database, rows, schema_of())
    same_as_psql(database, tmp_path, rows)


def test_what_an_upsert_takes_out_of_its_stage_is_the_same(database, weir, tmp_path, seed):
    rng = random.Random(seed)
    database.ask("CREATE TYPE kind AS ENUM ('dry', 'näß')")
    create(database, "rows", ", UNIQUE (id)")
    create(database, "same")
    rows = [random_row(rng, i) for i in range(500)]
    run(weir, tmp_path, database, rows, schema_of(["id"]), more=", mode: upsert, key: [id]")
    same_as_psql(database, tmp_path, rows)
