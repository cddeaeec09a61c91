"""jsonb: what weir says is stored, against what a real server makes of the same JSON."""
import json
import random
import subprocess

PIPELINE = """
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
  json: {{repeated_key: last}}
schema: {{type: object, properties: {{n: {{type: integer}}, doc: {{}}}}}}
sinks:
  rows:
    postgres: {{dsn: "{dsn}", table: docs{more}}}
"""
JSONB = ", types: {doc: jsonb}"
# Of characters that are written in several ways, or not at all.
CHARACTERS = ['a', 'B', 'é', '漢', '😀', '/', '\\', '"', '\n', '\t', '\b', '\x1f', '\x7f', ' ', "'"]


def number(rng):
    digits = str(rng.choice([0, 1, 7, 10, 120, rng.getrandbits(rng.randrange(1, 90))]))
    fraction = "." + "".join(rng.choice("0059") for _ in range(rng.randrange(1, 7)))
    exponent = rng.choice("eE") + rng.choice(["", "+", "-"]) + \
        str(rng.choice([0, 1, 2, 5, 20, rng.randrange(400), "007"]))
    far = rng.choice(["e131060", "e-16380", "e131072", "e-16390", "e200000", "e9999999999"])
    return rng.choice(["", "-"]) + digits + rng.choice(["", fraction]) + \
        (far if rng.random() < 0.01 else rng.choice(["", "", exponent]))


def string(rng):
    text = '"'
    for character in rng.choices(CHARACTERS, k=rng.randrange(5)):
        plain = json.dumps(character, ensure_ascii=rng.random() < 0.5)[1:-1]
        text += rng.choice([plain, plain, "\\/"]) if character == "/" else plain
    if rng.random() < 0.01:
        text += rng.choice(["\\u0000", "\\ud800", "\\udc00x"])
    return text + '"'


def value(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 6)
    space = rng.choice(["", "", " ", "\t "])
    if kind < 2:
        return space + number(rng)
    if kind < 5:
        return space + string(rng)
    if kind == 5:
        return rng.choice(["true", "false", "null"])
    members = [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 6:
        return "[" + ",".join(members) + space + "]"
    return "{" + ",".join(f"{string(rng)}{space}:{member}" for member in members) + "}"


class Docs:
    def __init__(self, folder, weir, database):
        self.folder, self.weir, self.database = folder, weir, database

    def verb(self, *arguments, status=0):
        done = subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, docs, more=JSONB):
        (self.folder / "p.yaml").write_text(PIPELINE.format(dsn=self.database.dsn, more=more))
        with open(self.folder / "in.ndjson", "a") as file:
            file.writelines(f'{{"n":{n},"doc":{doc}}}\n' for n, doc in docs)

    def run(self, docs, more=JSONB, status=0):
        self.write(docs, more)
        return self.verb("run", "p.yaml", "--until-end", status=status)


def what_the_server_makes(database, docs):
    """n -> the text of jsonb, None where it refuses."""
    connection = database.connect()
    cursor = connection.cursor()
    cursor.execute("CREATE FUNCTION stored(doc text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
                   " RETURN doc::jsonb::text; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$")
    made = {}
    for n, doc in docs:
        cursor.execute("SELECT stored(%s)", (doc,))
        made[n] = cursor.fetchone()[0]
    connection.close()
    return made


def test_random_documents_are_stored_as_audit_expects(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    docs = [(n, value(rng)) for n in range(20000 if long_run else 2000)]
    runs = Docs(tmp_path, weir, database)
    runs.run(docs)
    made = what_the_server_makes(database, docs)
    stored = dict(database.ask("SELECT n, doc::text FROM docs"))
    rejected = {row[0] for row in database.ask("SELECT \"offset\" FROM weir_rejects")}
    offsets = {}
    at = 0
    for n, doc in docs:
        offsets[n] = at
        at += len(f'{{"n":{n},"doc":{doc}}}\n'.encode())
    for n, doc in docs:
        if n in stored and stored[n] is not None:
            assert stored[n] == made[n], doc
        elif n not in stored:
            # The decoder refuses halves of surrogate pairs and the like by itself.
            assert made[n] is None or offsets[n] not in rejected, doc
    assert len(stored) > len(docs) // 2 and rejected
    # The sums of the ledger are over what weir said would be stored.
    runs.verb("audit", "p.yaml")


def test_a_column_that_is_there(database, weir, tmp_path):
    """jsonb is written to where `types` says so; an altered document is found."""
    database.ask("CREATE TABLE docs (n bigint, doc jsonb)")
    runs = Docs(tmp_path, weir, database)
    said = runs.run([(1, '{"bb":1,"a":1.50}')], more="", status=2)
    assert "types: {doc: jsonb}" in said
    assert "written 1 + rejected 1" in runs.run([(2, '"\\u0000"')])
    assert database.ask("SELECT doc::text FROM docs") == [('{"a": 1.50, "bb": 1}',)]
    assert "a surrogate pair" in database.ask("SELECT message FROM weir_rejects")[0][0]
    runs.verb("audit", "p.yaml")
    database.ask("UPDATE docs SET doc = '{\"a\": 1.5, \"bb\": 1}'")
    runs.verb("audit", "p.yaml", status=1)


def test_json_that_becomes_jsonb(database, weir, tmp_path):
    """Rows that came before the change have the new form too."""
    runs = Docs(tmp_path, weir, database)
    runs.run([(1, '{"bb":1,"a":[1,2]}')], more="")
    runs.verb("audit", "p.yaml")
    database.ask("ALTER TABLE docs ALTER doc TYPE jsonb")
    runs.run([(2, '{"bb":1,"a":[1,2]}')])
    assert database.ask("SELECT DISTINCT doc::text FROM docs") == [('{"a": [1, 2], "bb": 1}',)]
    runs.verb("audit", "p.yaml")


def test_a_database_of_another_encoding(server, database, weir, tmp_path):
    database.ask(f"CREATE DATABASE latin_{database.name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
                 database="postgres")
    database.name = f"latin_{database.name}"
    runs = Docs(tmp_path, weir, database)
    assert "sink.encoding" in runs.run([(1, "{}")], status=2)
    database.ask("DROP TABLE docs")
    assert "written 1" in runs.run([], more="")


def test_deep_and_wide_documents(database, weir, tmp_path):
    runs = Docs(tmp_path, weir, database)
    wide = "{" + ",".join(f'"k{i % 7000}":{i}' for i in range(9000)) + "}"
    said = runs.run([(1, "[" * 126 + "]" * 126), (2, wide), (3, "[" + ",".join(["1e131000"] * 200) + "]")])
    assert "written 2 + rejected 1" in said
    runs.verb("audit", "p.yaml")
