"""Judges what a run of the pipeline of examples/iot.yaml has left behind.

Against the truth (`weir gen --truth`): every record of the input has exactly one fate, and it is
the right one, in content too. Without a truth: every record has exactly one fate, and the counts in
the progress tables agree with what is there. Only what stands in the files is looked at.
"""
import hashlib
import json
import marshal
import sqlite3
from array import array
from collections import defaultdict, namedtuple
from contextlib import contextmanager

from checker import content
from checker.content import UNREADABLE
from checker.kafka_topic import PREFIX as KAFKA
from checker.kafka_topic import KafkaTopic
from checker.log import Broken, Topic, connect, partition_of

# A form of plain values in which equal ones are equal bytes: it has no references between them.
MARSHAL_FORM = 2
SHOWN = 8  # findings of a kind that are put into words
SHOWN_CHARACTERS = 500

VERDICTS = ("VALID", "INVALID", "DUPLICATE", "LATE", "FILTERED")


FILES = ("source", "validated", "dead", "table")
NAMES = {"source_topic": "raw_iot_data", "validated_topic": "validated_iot_data",
         "dead_topic": "dlq_iot_data", "table_name": "readings"}


class Places(namedtuple("Places", (*FILES, *NAMES), defaults=tuple(NAMES.values()))):
    """Where things are: files or Kafka clusters ("kafka://host:port"), topics, table. The table may
    be None: then the pipeline has none."""

    @classmethod
    def all_in(cls, path):
        return cls(path, path, path, path)

    def systems(self):
        """The files with outputs, each of which has progress tables."""
        return sorted({str(place) for place in (self.validated, self.dead, self.table)
                       if place is not None and not is_kafka(place)})


def is_kafka(place):
    return str(place).startswith(KAFKA)


def open_topic(place, name):
    return KafkaTopic(place, name) if is_kafka(place) else Topic(place, name)


class Result:
    def __init__(self):
        self.lost = self.doubled = self.misjudged = 0
        self.findings = []
        self.verdicts = dict.fromkeys(VERDICTS, 0)
        self.reasons = {}
        self.hash = None
        self._said = defaultdict(int)

    def _find(self, kind, text):
        self._said[kind] += 1
        if self._said[kind] <= SHOWN:
            self.findings.append(f"{kind}: {text}"[:SHOWN_CHARACTERS])

    def lose(self, text, count=1):
        self.lost += count
        self._find("lost", text)

    def double(self, text, count=1):
        self.doubled += count
        self._find("doubled", text)

    def misjudge(self, text, count=1):
        self.misjudged += count
        self._find("misjudged", text)

    @contextmanager
    def reading(self, name):
        """A place that is not what its format says ends its own reading, and nothing else."""
        try:
            yield
        except (Broken, sqlite3.Error) as error:
            self.misjudge(f"{name} cannot be read: {error!r}")

    def is_clean(self):
        return self.lost == self.doubled == self.misjudged == 0

    def line(self):
        return f"lost {self.lost:,} · doubled {self.doubled:,} · misjudged {self.misjudged:,}"


class Source:
    """The input, by global number: the partitions one after the other, each in its order."""

    def __init__(self, places):
        topic = open_topic(places.source, places.source_topic)
        self.topic = topic.name
        self.partitions = topic.partitions
        self.keys, self.values, self.starts = [], [], []
        same_key = {}
        for partition in range(topic.partitions):
            self.starts.append(len(self.values))
            for _, records in topic.batches(partition):
                for key, value, headers in records:
                    if any(name == "weir.replay" for name, _ in headers):
                        raise ValueError("replayed dead letters cannot be judged by the truth")
                    self.keys.append(same_key.setdefault(key, key))
                    self.values.append(value)
        self.starts.append(len(self.values))
        self._by_key = None

    def count(self):
        return len(self.values)

    def number(self, partition, offset):
        """None when there is no such record."""
        if not 0 <= partition < self.partitions or offset < 0:
            return None
        number = self.starts[partition] + offset
        return number if number < self.starts[partition + 1] else None

    def partition(self, number):
        partition = 0
        while self.starts[partition + 1] <= number:
            partition += 1
        return partition

    def where(self, number):
        partition = self.partition(number)
        return f"{self.topic} [{partition}] offset {number - self.starts[partition]}"

    def earlier_of_key(self, number):
        """Numbers of the records with the same key before it in its partition, latest first."""
        if self._by_key is None:
            self._by_key = defaultdict(lambda: array("q"))
            for partition in range(self.partitions):
                for i in range(self.starts[partition], self.starts[partition + 1]):
                    self._by_key[partition, self.keys[i]].append(i)
        same = self._by_key[self.partition(number), self.keys[number]]
        low, high = 0, len(same)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if same[middle] < number else (low, middle)
        return (same[i] for i in range(low - 1, -1, -1))


class Truth:
    """Verdict and reason per global number; the message ids of the valid ones."""

    def __init__(self, path, source, result):
        self.reasons = [None] * source.count()
        self.valid = {}  # message id -> number, or the list of numbers
        read = json.JSONDecoder().decode
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                entry = read(line)
                if "id" not in entry:
                    continue
                partition, offset = map(int, entry["id"].split("-"))
                number = source.number(partition, offset)
                if number is None:
                    result.lose(f"record {entry['id']} of the truth is not in the input")
                    continue
                verdict, reason = entry["verdict"], entry["reason"]
                result.verdicts[verdict] += 1
                if reason:
                    result.reasons[reason] = result.reasons.get(reason, 0) + 1
                self.reasons[number] = (verdict, reason)
                if verdict == "VALID":
                    known = self.valid.get(entry["message_id"])
                    self.valid[entry["message_id"]] = \
                        number if known is None else as_list(known) + [number]
        for number, reason in enumerate(self.reasons):
            if reason is None:
                result.misjudge(f"{source.where(number)} is not in the truth")

    def verdict(self, number):
        return self.reasons[number][0] if self.reasons[number] else None


class Sum:
    """A hash of a multiset: the order in which things come does not matter."""

    def __init__(self):
        self.total = 0

    def add(self, data):
        self.total += int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "little")

    def text(self):
        return f"{self.total % (1 << 128):032x}"


def record_bytes(place, key, value, headers):
    return marshal.dumps((place, key, value, headers), MARSHAL_FORM)


# --- The valid rows in the topic. ---

class Validated:
    def __init__(self, source, truth, result):
        self.source, self.truth, self.result = source, truth, result
        self.seen = bytearray(source.count())  # 1: as it should be; 2: there, but wrong
        self.row_hashes = array("q", bytes(8 * source.count()))
        self.event_times = {}  # of numbers whose message id is valid more than once
        self.partitions_of_keys = {}

    def read(self, places, total):
        source, result = self.source, self.result
        self.topic = open_topic(places.validated, places.validated_topic)
        last_of_key = {}
        for partition in range(self.topic.partitions):
            for base, records in self.topic.batches(partition):
                for index, (key, value, headers) in enumerate(records):
                    total.add(record_bytes("validated", key, value, headers))
                    number = self.judge(partition, base + index, key, value, headers)
                    if number is None:
                        continue
                    previous = last_of_key.get((partition, key), -1)
                    if previous > number and \
                            source.partition(previous) == source.partition(number):
                        result.misjudge(f"validated [{partition}] offset {base + index}: "
                                        f"{source.where(number)} stands after a later record of "
                                        "its key")
                    last_of_key[partition, key] = number

    def find_lost(self):
        for number in range(self.source.count()):
            if not self.seen[number] and self.truth.verdict(number) == "VALID":
                self.result.lose(f"{self.source.where(number)} is VALID and not in the validated "
                                 "topic")

    def judge(self, partition, offset, key, value, headers):
        """The number of the record that this one is made of, None if there is none."""
        where = f"validated [{partition}] offset {offset}"
        try:
            return self.judge_row(where, partition, key, value, headers)
        except UNREADABLE as error:
            self.result.misjudge(f"{where} is no reading: {error!r}")
            return None

    def judge_row(self, where, partition, key, value, headers):
        row = content.read_plain(value)
        message_id = row["message_id"]
        numbers = self.truth.valid.get(message_id)
        if numbers is None:
            self.result.misjudge(f"{where}: no VALID record has message_id {message_id!r}")
            return None
        number = self.pick(numbers, value, row)
        if number is None:
            self.result.double(f"{where}: message_id {message_id!r} is there more often than the "
                               "truth has it")
            return None
        self.seen[number] = 2
        wrong = self.wrong(number, partition, key, value, headers, row)
        if wrong:
            self.result.misjudge(f"{where}, made of {self.source.where(number)}: {wrong}")
        else:
            self.row_hashes[number] = hash(content.table_row(row))
            self.seen[number] = 1
        if type(numbers) is list:
            self.event_times[number] = content.fixed_time(row["event_time"])
        return number

    def pick(self, numbers, value, row):
        """Which of the records with that message id it is; None when all have been seen."""
        if type(numbers) is not list:
            return None if self.seen[numbers] else numbers
        left = [number for number in numbers if not self.seen[number]]
        for number in left:
            if content.differences(self.source.values[number], value, row,
                                   lambda _: True) is None:
                return number
        return left[0] if left else None

    def wrong(self, number, partition, key, value, headers, row):
        if key != row["sensor_id"].encode():
            return f"its key is {key!r}"
        if key not in self.partitions_of_keys:
            self.partitions_of_keys[key] = partition_of(key, self.topic.partitions)
        if self.partitions_of_keys[key] != partition:
            return "it is in the wrong partition"
        if headers:
            return f"it has headers: {headers}"
        return content.differences(self.source.values[number], value, row,
                                   lambda humidity: self.was_last(number, row, humidity))

    def was_last(self, number, row, humidity):
        """Whether an earlier record of the sensor, at most 5 minutes older, had that humidity."""
        time = moment(row["event_time"])
        looked = 0
        for earlier in self.source.earlier_of_key(number):
            looked += 1
            if looked > 5000:
                return False
            try:
                other = content.read_plain(self.source.values[earlier])
                if other.get("sensor_id") != row["sensor_id"] or \
                        float(other["humidity"]) != humidity:
                    continue
                if 0 <= time - moment(other["event_time"]) <= 300:
                    return True
            except UNREADABLE:
                continue
        return False


def moment(text):
    """Seconds, with a fraction; enough for five minutes."""
    fixed = content.fixed_time(text)
    return content.datetime.fromisoformat(fixed[:19] + "+00:00").timestamp() + float(fixed[19:26])


# --- The dead letters. ---

def origin_of_letter(tags, source):
    """The number of the record that a dead letter names, None if there is none."""
    return source.number(int(tags["weir.partition"]), int(tags["weir.offset"]))


def judge_letters(places, source, truth, result, total):
    seen = bytearray(source.count())
    with result.reading("the dead letters"):
        topic = open_topic(places.dead, places.dead_topic)
        for partition in range(topic.partitions):
            for base, records in topic.batches(partition):
                for index, record in enumerate(records):
                    total.add(record_bytes("dead", *record))
                    where = f"dead letters [{partition}] offset {base + index}"
                    try:
                        judge_letter(where, partition, topic, record, source, truth, result, seen)
                    except UNREADABLE as error:
                        result.misjudge(f"{where} is no dead letter: {error!r}")
    for number in range(source.count()):
        if not seen[number] and truth.verdict(number) in ("INVALID", "LATE"):
            result.lose(f"{source.where(number)} is {truth.reasons[number][1]} and no dead letter")


def judge_letter(where, partition, topic, record, source, truth, result, seen):
    key, value, headers = record
    tags = dict(headers)
    number = origin_of_letter(tags, source)
    reason = tags["weir.reason"].decode()
    if number is None:
        result.misjudge(f"{where} comes from no record")
        return
    if seen[number]:
        result.double(f"{where}: {source.where(number)} is there already")
        return
    seen[number] = 1
    if truth.verdict(number) not in ("INVALID", "LATE") or truth.reasons[number][1] != reason:
        result.misjudge(f"{where}: {source.where(number)} is {truth.reasons[number]}, "
                        f"not {reason!r}")
    elif key != source.keys[number] or value != source.values[number]:
        result.misjudge(f"{where}: {source.where(number)} was altered")
    elif tags["weir.topic"].decode() != source.topic or tags["weir.attempt"] != b"1":
        result.misjudge(f"{where}: its headers are {headers}")
    elif key is not None and partition_of(key, topic.partitions) != partition:
        result.misjudge(f"{where} is in the wrong partition")


# --- The table. ---

def table_rows(places):
    """The columns of the data, then topic, partition and offset of the origin."""
    return connect(places.table).execute(
        f"SELECT {', '.join(content.COLUMNS)}, _weir_topic, _weir_partition, _weir_offset"
        f" FROM {places.table_name}")


def as_list(numbers):
    return numbers if type(numbers) is list else [numbers]


def newest(numbers, validated):
    """Which of the VALID records with one message id must stand in the table."""
    if type(numbers) is not list:
        return numbers
    # Global numbers are ordered by partition and offset.
    return max(numbers, key=lambda number: (validated.event_times.get(number, ""), number))


def judge_table(places, source, truth, validated, result, total):
    seen = bytearray(source.count())
    with result.reading(places.table_name):
        for row in table_rows(places):
            total.add(marshal.dumps(row, MARSHAL_FORM))
            where = f"{places.table_name} {row[0]!r}"
            try:
                judge_table_row(where, row, source, truth, validated, result, seen)
            except UNREADABLE as error:
                result.misjudge(f"{where} is no row of ours: {error!r}")
    for message_id, numbers in truth.valid.items():
        if not (seen[numbers] if type(numbers) is int else any(seen[number] for number in numbers)):
            result.lose(f"{source.where(newest(numbers, validated))}, {message_id!r}, is not in "
                        f"{places.table_name}")


def judge_table_row(where, row, source, truth, validated, result, seen):
    number = source.number(row[-2], row[-1]) if row[-3] == source.topic else None
    if number is None or row[0] not in truth.valid:
        result.misjudge(f"{where} comes from no VALID record")
        return
    if seen[number]:
        result.double(f"{where}: {source.where(number)} is there already")
        return
    seen[number] = 1
    if newest(truth.valid[row[0]], validated) != number:
        result.misjudge(f"{where} is {source.where(number)}, not the newest of its key")
    elif validated.seen[number] == 1 and validated.row_hashes[number] != hash(row[:-3]):
        result.misjudge(f"{where} is not as in the validated topic: {row}")


# --- The counts. ---

def progress(path):
    """Partition (text) -> (next offset, records, verdicts) out of weir_progress, all pipelines."""
    return {row[0]: row[1:] for row in connect(path).execute(
        "SELECT partition, next_offset, records, valid, invalid, duplicate, late, filtered"
        " FROM weir_progress")}


def judge_counts(places, source, truth, result):
    for path in places.systems():
        counts = {}
        with result.reading(f"{path}: weir_progress"):
            counts = progress(path)
        for partition in range(source.partitions):
            first, end = source.starts[partition], source.starts[partition + 1]
            expected = dict.fromkeys(VERDICTS, 0)
            for number in range(first, end):
                verdict = truth.verdict(number)
                if verdict:
                    expected[verdict] += 1
            expected = (end - first, end - first, *expected.values())
            if counts.pop(str(partition), None) != expected:
                result.misjudge(f"{path}: weir_progress of partition {partition} is not what the "
                                f"truth has: {expected}")
        for partition, row in counts.items():
            result.misjudge(f"{path}: weir_progress of partition {partition!r}, which the input "
                            f"does not have: {row}")


def judge(places, truth_path):
    """Everything against the truth."""
    result = Result()
    total = Sum()
    source = Source(places)
    truth = Truth(truth_path, source, result)
    validated = Validated(source, truth, result)
    with result.reading("the validated topic"):
        validated.read(places, total)
    validated.find_lost()
    judge_letters(places, source, truth, result, total)
    if places.table is not None:
        judge_table(places, source, truth, validated, result, total)
    judge_counts(places, source, truth, result)
    result.hash = total.text()
    return result


# --- Without a truth: pipelines that were changed on the way. ---

def judge_conservation(places):
    """Every record has one fate at most, and the counts say the same as the places."""
    result = Result()
    source = Source(places)
    letters = bytearray(source.count())
    with result.reading("the dead letters"):
        conserve_letters(places, source, result, letters)
    ids = defaultdict(int)
    with result.reading("the validated topic"):
        count_ids(places, result, ids)
    in_table = set()
    with result.reading(places.table_name):
        conserve_table(places, source, result, letters, in_table)
    for message_id in ids.keys() - in_table:
        result.lose(f"{message_id!r} is in the validated topic, not in {places.table_name}")
    for message_id in in_table - ids.keys():
        result.lose(f"{message_id!r} is in {places.table_name}, not in the validated topic")
    conserve_counts(places, source, result, letters, sum(ids.values()))
    return result


def conserve_letters(places, source, result, letters):
    topic = open_topic(places.dead, places.dead_topic)
    for partition in range(topic.partitions):
        for base, records in topic.batches(partition):
            for key, value, headers in records:
                try:
                    number = origin_of_letter(dict(headers), source)
                except UNREADABLE:
                    number = None
                if number is None or (key, value) != (source.keys[number], source.values[number]):
                    result.misjudge(f"a dead letter of batch {base} is not the record it names")
                elif letters[number]:
                    result.double(f"two dead letters of {source.where(number)}")
                else:
                    letters[number] = 1


def count_ids(places, result, ids):
    topic = open_topic(places.validated, places.validated_topic)
    for partition in range(topic.partitions):
        for base, records in topic.batches(partition):
            for _, value, _ in records:
                try:
                    ids[content.read_plain(value)["message_id"]] += 1
                except UNREADABLE as error:
                    result.misjudge(f"a record of batch {base} of the validated topic is no "
                                    f"reading: {error!r}")


def conserve_table(places, source, result, letters, in_table):
    rows = bytearray(source.count())
    for message_id, partition, offset in connect(places.table).execute(
            f"SELECT message_id, _weir_partition, _weir_offset FROM {places.table_name}"):
        in_table.add(message_id)
        try:
            number = source.number(partition, offset)
            if number is None or rows[number] or letters[number]:
                result.double(f"{places.table_name} {message_id!r} has a second fate")
                continue
            rows[number] = 1
            is_same = content.read_plain(source.values[number]).get("message_id") == message_id
        except UNREADABLE:
            is_same = False
        if not is_same:
            result.misjudge(f"{places.table_name} {message_id!r} is not the record it names")


def conserve_counts(places, source, result, letters, validated_count):
    seen_by_all = None
    for path in places.systems():
        counts = {}
        with result.reading(f"{path}: weir_progress"):
            counts = progress(path)
        seen_by_all = counts if seen_by_all is None else seen_by_all
        if counts != seen_by_all:
            result.misjudge(f"{path}: weir_progress is {counts}, elsewhere {seen_by_all}")
        for partition in range(source.partitions):
            row = counts.get(str(partition))
            if row is None or any(type(count) is not int for count in row):
                result.misjudge(f"{path}: weir_progress of partition {partition} is {row}")
                continue
            first, end = source.starts[partition], source.starts[partition + 1]
            next_offset, records, _, invalid, _, late, _ = row
            if not next_offset == records == end - first == sum(row[2:]):
                result.misjudge(f"{path}: weir_progress of partition {partition} is not balanced "
                                f"over {end - first} records: {row}")
            there = sum(letters[first:end])
            if there != invalid + late:
                result.lose(f"{invalid + late} dead letters of partition {partition} were counted, "
                            f"{there} are there")
    counted = sum(row[2] for row in seen_by_all.values() if type(row[2]) is int)
    if counted > validated_count:
        result.lose(f"{counted} VALID were counted, {validated_count} are there",
                    counted - validated_count)
    elif counted < validated_count:
        result.double(f"{counted} VALID were counted, {validated_count} are there",
                      validated_count - counted)


def output_hash(places):
    """The hash of judge() alone: of all that came out, in any order."""
    total = Sum()
    for name, path, topic_name in (("validated", places.validated, places.validated_topic),
                                   ("dead", places.dead, places.dead_topic)):
        topic = open_topic(path, topic_name)
        for partition in range(topic.partitions):
            for _, records in topic.batches(partition):
                for key, value, headers in records:
                    total.add(record_bytes(name, key, value, headers))
    for row in table_rows(places) if places.table is not None else ():
        total.add(marshal.dumps(row, MARSHAL_FORM))
    return total.text()
