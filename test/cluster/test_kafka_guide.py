"""The guide from the demo to Kafka in docs/kafka.md: its commands, in its order, on a real broker."""
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands():
    """The lines of the guide that call weir."""
    text = (ROOT / "docs/kafka.md").read_text()
    guide = text[text.index("## From the demo to Kafka"):]
    guide = guide[:guide.index("\n## ", 3)]
    return [line.split("  #")[0].strip() for line in re.findall(r"^    (weir .*)$", guide, re.M)]


def test_the_guide_from_the_demo_to_kafka(broker, weir, tmp_path):
    folder = tmp_path / "tour"
    shutil.copytree(ROOT / "examples", folder)
    file = folder / "kafka.yaml"
    file.write_text(file.read_text().replace("localhost:9092", broker.bootstrap)
                    .replace("name: iot ", "name: tour ")
                    # Others use the broker, and topics of the examples' names.
                    .replace("_iot_data", "_tour_data"))
    said = {}
    for command in commands():
        done = subprocess.run(f"exec {weir}{command.removeprefix('weir')}", shell=True, cwd=folder,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (command, done)
        said.setdefault(command, []).append(done.stdout + done.stderr)
    assert len(said) >= 10
    [run] = [texts for command, texts in said.items() if command.startswith("weir run")]
    assert "in 20,000 = VALID" in run[0] and "in 20,059 = VALID" in run[1]
    [audits] = [texts for command, texts in said.items() if command.startswith("weir audit")]
    assert all("missing 0 · doubled 0 · altered 0 · foreign 0" in text for text in audits)
    [replay] = [texts for command, texts in said.items() if command.startswith("weir dlq replay")]
    assert "59 replayed, 0 replayed before" in replay[0]
