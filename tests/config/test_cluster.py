"""What ``--cluster`` reads, and what each engine accepts of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from actbench.config.cluster import read_cluster
from actbench.errors import UsageError
from actbench.schema.cluster import ClusterOptions


class Site(ClusterOptions):
    partition: str = ""
    jobs_at_once: int = 1


def test_files_and_texts_are_read_in_their_order_and_stay_texts(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("partition: gpu\ntime: 2:00:00\nsetup: [module load cuda, ulimit -n 4096]\n")
    read = read_cluster(["partition=cpu", str(file), "time=10"])
    assert read == {"partition": "gpu", "time": "10", "setup": ["module load cuda", "ulimit -n 4096"]}
    assert read_cluster([]) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [("- a\n", "holds no keys with values"), ("a: {b: c}\n", "a: expected one value"), ("a: [\n", "is not YAML")],
)
def test_a_file_of_another_form_is_refused_by_its_name(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=said) as raised:
        read_cluster([str(file)])
    assert str(file) in str(raised.value)


def test_a_missing_file_and_a_text_without_a_value_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read"):
        read_cluster([str(tmp_path / "none.yaml")])
    with pytest.raises(UsageError, match="'gpu' is neither KEY=VALUE nor a file"):
        read_cluster(["gpu"])


def test_an_engine_turns_texts_into_its_own_options() -> None:
    assert Site.of("site", {"jobs-at-once": "4"}) == Site(jobs_at_once=4)
    assert Site.of("site", {"jobs_at_once": "4", "partition": "gpu"}).partition == "gpu"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"partitoin": "gpu"}, "has no option 'partitoin' — did you mean 'partition'"),
        ({"memory": "gpu"}, "choose from: partition, jobs-at-once"),
        ({"jobs-at-once": "many"}, "--cluster jobs-at-once: .*not 'many'"),
    ],
)
def test_what_an_engine_does_not_know_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Site.of("site", given)


def test_an_engine_of_this_machine_alone_refuses_all_of_it() -> None:
    with pytest.raises(UsageError, match="engine 'pool' has no cluster, of which to ask 'partition': leave it out"):
        ClusterOptions.of("pool", {"partition": "gpu"})
