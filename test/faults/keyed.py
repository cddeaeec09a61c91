"""Logs in which records without a value delete what their key names, and what a table of last rows must
hold after them: a fold of its own, over the records as they stand in the log. Keys are one text, one integer, or
(Pairs) JSON objects of two members, as `key_format: json` has them."""
import json
from collections import Counter

from checker.log import Topic, murmur2

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}},
          "required": ["id", "n"], "additionalProperties": False}
INTEGER_SCHEMA = {**SCHEMA, "properties": {**SCHEMA["properties"], "id": {"type": "integer"}}}
PAIR_SCHEMA = {**SCHEMA, "properties": {"region": {"type": "string"}, "id": {"type": "integer"},
                                       "n": {"type": "integer"}}, "required": ["region", "id", "n"]}
PAIR_KEY = ["region", "id"]


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def value_of(key, number):
    return json.dumps({"id": key, "n": number}).encode()


class Keyed:
    """Writes a random log bit by bit. `is_integer`: the keys are numbers."""

    def __init__(self, random, partitions=1, keys=20, is_integer=False, stray=0.1):
        self.random, self.partitions, self.is_integer = random, partitions, is_integer
        self.stray = stray
        self.keys = [key - keys // 2 if is_integer else f"k{key}" for key in range(keys)]
        self.number = 0

    def one(self):
        """(partition, key, value): mostly as it should be."""
        random = self.random
        self.number += 1
        name = random.choice(self.keys)
        key = str(name).encode()
        value = None if random.random() < 0.4 else value_of(name, self.number)
        place = partition_of(key, self.partitions)
        if random.random() < self.stray:
            kind = random.randrange(5)
            if kind == 0:
                key = None
            elif kind == 1:
                key = random.choice([b"\xff\xfe", b"07", b"+7", b"-0", b"7.0", b" 7", b"99999999999999999999",
                                     b"", str(random.choice(self.keys)).encode()])
                place = partition_of(key, self.partitions)
            elif kind == 2:
                place = random.randrange(self.partitions)
            elif kind == 3:
                value = b"{"
            elif value is not None:
                value = value_of(name, "no number")
        return place, key, value

    def batches(self, count):
        """partition → records, for faults.batches.append()."""
        found = {}
        for _ in range(count):
            place, key, value = self.one()
            found.setdefault(place, []).append((key, value))
        return found


def name_of(key, is_integer):
    """What a record's key is called in the table; None: no row can have it."""
    try:
        text = key.decode()
    except (UnicodeDecodeError, AttributeError):
        return None
    if not is_integer:
        return text
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number) == text and -2**63 <= number < 2**63 else None


def judge(key, value, partition, partitions, is_integer):
    """The reason of a record; "" for a row that is written, "tombstone" for one that deletes."""
    row = None
    if value is not None:
        try:
            row = json.loads(value)
        except ValueError:
            return "decode.syntax"
        if not isinstance(row["n"], int):
            return "schema.type"
    if key is None:
        return "key.missing"
    name = name_of(key, is_integer)
    if name is None or (row is not None and row["id"] != name):
        return "key.mismatch"
    if partition_of(key, partitions) != partition:
        return "key.partition"
    return "tombstone" if row is None else ""


def fold(path, topic="in", is_integer=False, refused=()):
    """(key → (n, partition, offset), reasons → count) of a local log; `refused`: (partition, offset) that
    a table did not take."""
    place = Topic(path, topic)
    rows, reasons = {}, Counter()
    for partition in range(place.partitions):
        for base, batch in place.batches(partition):
            for index, (key, value, _) in enumerate(batch):
                reason = judge(key, value, partition, place.partitions, is_integer)
                reasons[reason] += 1
                if (partition, base + index) in refused:
                    continue
                if reason == "tombstone":
                    rows.pop(name_of(key, is_integer), None)
                elif reason == "":
                    row = json.loads(value)
                    rows[row["id"]] = (row["n"], partition, base + index)
    place.database.close()
    return rows, reasons


def pair_key(region, number):
    """As Kafka Connect spells it."""
    return json.dumps({"region": region, "id": number}, separators=(",", ":"), ensure_ascii=False).encode()


class Pairs:
    """Like Keyed, with keys of two members: mostly as they should be."""

    def __init__(self, random, partitions=1, stray=0.1):
        self.random, self.partitions, self.stray, self.number = random, partitions, stray, 0

    def one(self):
        random = self.random
        self.number += 1
        region, number = random.choice(["x", "y", "", "ü,}", "X", "1"]), random.choice([0, 1, -1, 2**63 - 1, 7])
        key = pair_key(region, number)
        value = None if random.random() < 0.4 else json.dumps(
            {"region": region, "id": number, "n": self.number}).encode()
        if random.random() < self.stray:
            key = random.choice([
                json.dumps({"region": region, "id": number}).encode(),
                json.dumps({"id": number, "region": region}, separators=(",", ":")).encode(),
                json.dumps({"region": region}).encode(), str(number).encode(), b"", None,
                json.dumps({"region": region, "id": str(number)}, separators=(",", ":")).encode(),
                json.dumps({"region": region, "id": number, "n": 1}, separators=(",", ":")).encode(),
                pair_key(region + "z", number)])
        place = partition_of(key or b"", self.partitions)
        if random.random() < self.stray / 5:
            place = random.randrange(self.partitions)
        return place, key, value

    batches = Keyed.batches


def judge_pair(key, value, partition, partitions):
    if key is None:
        return "key.missing"
    try:
        members = json.loads(key)
        region, number = members["region"], members["id"]
        fits = len(members) == 2 and isinstance(region, str) and isinstance(number, int)
    except (ValueError, KeyError, TypeError):
        fits = False
    if fits and value is not None:
        row = json.loads(value)
        fits = (row["region"], row["id"]) == (region, number)
    if not fits or (partitions > 1 and pair_key(region, number) != key):
        return "key.mismatch"
    if partition_of(key, partitions) != partition:
        return "key.partition"
    return "tombstone" if value is None else ""


def fold_pairs(path, topic="in"):
    """As fold(): ((region, id) → (n, partition, offset), reasons → count)."""
    place = Topic(path, topic)
    rows, reasons = {}, Counter()
    for partition in range(place.partitions):
        for base, batch in place.batches(partition):
            for index, (key, value, _) in enumerate(batch):
                reason = judge_pair(key, value, partition, place.partitions)
                reasons[reason] += 1
                if reason == "tombstone":
                    members = json.loads(key)
                    rows.pop((members["region"], members["id"]), None)
                elif reason == "":
                    row = json.loads(value)
                    rows[row["region"], row["id"]] = (row["n"], partition, base + index)
    place.database.close()
    return rows, reasons
