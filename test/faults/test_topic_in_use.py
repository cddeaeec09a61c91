"""A topic is not deleted under a pipeline that runs."""
from faults.lab import record


def test_a_topic_that_a_running_pipeline_names_is_not_deleted(lab):
    lab.write().produce([record(1), b"{"]).produce([record(1)], topic="other")
    process = lab.start()
    lab.wait_committed(process, 2)
    for topic in ("in", "out", "dead"):
        done = lab.weir("topic", "delete", f"local:log.db#{topic}", "--yes")
        assert done.status == 2 and "topic.in_use" in done.err and "'p'" in done.err, done
    assert lab.weir("topic", "delete", "local:log.db#other", "--yes").status == 0
    lab.produce([record(2)])
    lab.wait_committed(process, 3)
    assert process.terminate() == 0
    lab.audit()
    assert lab.weir("topic", "delete", "local:log.db#out", "--yes").status == 0
