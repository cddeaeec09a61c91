"""What a VALID record must look like when it comes out of the pipeline of examples/iot.yaml.

The repairs, `set` and `drop` of that file and its schema, row by row. `last_by` is the one thing a
row does not say by itself: the caller is asked whether such a value was there to be filled.
"""
import json
from datetime import datetime, timezone

# What reading a value may raise that anybody may have written: it is no finding of a fault in here.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
NULL_TEXTS = ("", "N/A", "NaN")
FIELDS = ("message_id", "sensor_id", "event_time", "temperature", "humidity", "pressure", "battery",
          "site", "internal_note")
# As the table has them.
COLUMNS = ("message_id", "sensor_id", "event_time", "temperature", "humidity", "pressure",
           "battery", "site", "temperature_f")


def refuse(word):
    raise ValueError(f"{word} is not JSON")


class Number(str):
    """A number as it was written."""


PLAIN = json.JSONDecoder(parse_constant=refuse)
WRITTEN = json.JSONDecoder(parse_constant=refuse, parse_float=Number, parse_int=Number)


def read_plain(value):
    """The members of a JSON object, numbers as numbers."""
    text = value.decode()
    members, end = PLAIN.raw_decode(text) if text.startswith("{") else (None, 0)
    return members if end == len(text) else PLAIN.decode(text)


def is_number(value, least, most):
    return type(value) in (int, float) and least <= value <= most


def is_untouched(row):
    """No repair was due, and nothing had to be dropped, if this row came in as it came out."""
    return (is_number(row.get("temperature"), -60, 85) and is_number(row.get("humidity"), 0, 100)
            and is_number(row.get("battery"), 0, 100) and is_number(row.get("pressure"), 300, 1100)
            and row.get("site") not in NULL_TEXTS and "internal_note" not in row)


def is_null_word(value):
    if type(value) is Number:
        return float(value) == -999
    return type(value) is str and value in NULL_TEXTS


def differences(value, out, row, was_last):
    """What is wrong with `out` (its members: `row`) as the output of the record `value`.

    was_last(humidity): whether that value was there for `last_by`."""
    fahrenheit = row.get("temperature_f")
    if not is_number(row.get("temperature"), -60, 85):
        return f"temperature is {row.get('temperature')!r}"
    if fahrenheit != row["temperature"] * 1.8 + 32:
        return f"temperature_f is {fahrenheit!r} at {row['temperature']!r}"
    # The usual case: one member more at the end, everything else byte for byte.
    if out.startswith(value[:-1]) and is_untouched(row) and \
            out[len(value) - 1:].startswith(b',"temperature_f":'):
        return None
    before, after = WRITTEN.decode(value.decode()), WRITTEN.decode(out.decode())
    after.pop("temperature_f")
    for name in FIELDS:
        wrong = field_difference(name, before, after, was_last)
        if wrong:
            return wrong
        before.pop(name, None)
        after.pop(name, None)
    return None if before == after else f"members that are no fields: {before} became {after}"


def field_difference(name, before, after, was_last):
    old, new = before.get(name), after.get(name)
    if name == "internal_note":
        return "internal_note was not dropped" if name in after else None
    is_repaired = is_null_word(old)
    if old is None or is_repaired:
        if name == "battery":
            return None if new == "100" else f"battery was absent and became {new!r}"
        if name == "humidity":
            return None if type(new) is Number and was_last(float(new)) \
                else f"humidity was absent and became {new!r}"
        if is_repaired:
            return f"{name} was {old!r} and became {new!r}" if name in after else None
        # An explicit null where null counts as absent stays as it was written.
        return None if (name in before) == (name in after) and new is None \
            else f"{name} was absent and became {new!r}"
    if name in ("temperature", "humidity") and type(old) is str:
        return None if type(new) is Number and float(new) == float(old) \
            else f"{name} was the text {old!r} and became {new!r}"
    is_same = type(old) is type(new) and old == new
    return None if is_same else f"{name} was {old!r} and became {new!r}"


def fixed_time(text):
    """As tables have times: UTC, six digits of fraction."""
    if len(text) == 20 and text[10] == "T" and text[19] == "Z" and text[17:19] < "60":
        return text[:19] + ".000000Z"
    if 21 < len(text) <= 27 and text[10] == "T" and text[19] == "." and text[-1] == "Z" and \
            text[17:19] < "60" and text[20:-1].isdigit():
        return text[:-1].ljust(26, "0") + "Z"
    body, zone = (text[:-1], "+00:00") if text[-1] in "Zz" else (text[:-6], text[-6:])
    whole, _, fraction = body.partition(".")
    leap = whole[17:19] == "60"
    if leap:
        whole = whole[:17] + "59"
    # A leap second is the first one of the next minute.
    moment = datetime.fromisoformat(whole[:10] + "T" + whole[11:] + zone).timestamp() + leap
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + \
        fraction[:6].ljust(6, "0") + "Z"


def table_row(row):
    """The columns of the table out of the members of a VALID record that came out."""
    return (row["message_id"], row["sensor_id"], fixed_time(row["event_time"]), row["temperature"],
            row["humidity"], row.get("pressure"), row.get("battery"), row.get("site"),
            row["temperature_f"])
