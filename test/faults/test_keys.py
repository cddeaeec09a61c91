"""Keys have one type: where values of several types were compared, how they are written would count."""
import pytest

from faults.lab import SCHEMA, record, table


@pytest.mark.parametrize("place, changes", [
    ("dedup", {"dedup": {"key": ["id", "any"], "window": "30m"}}),
    ("last_by", {"repair": {"fill": {"text": {"last_by": "any", "max_age": "5m"}}}}),
    ("upsert key", {"sinks": {"rows": table("rows", mode="upsert", key="any")}}),
    ("newest_by", {"sinks": {"rows": table("rows", mode="upsert", key="id", newest_by="any")}}),
])
def test_a_key_of_several_types_is_refused(lab, place, changes):
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "any": {"type": ["integer", "string"]}},
              "required": ["id", "at", "any"]}
    lab.write(schema=schema).produce([record(1, any=1)])
    lab.run()
    lab.write(**changes)
    for done in (lab.weir("lint", "p.yaml"), lab.weir("run", "p.yaml", "--until-end")):
        assert done.status == 2 and "config.value" in done.err and "'any'" in done.err, done
    # The same with one type.
    schema["properties"]["any"] = {"type": "integer"}
    assert lab.write(schema=schema).weir("lint", "p.yaml").status == 0
