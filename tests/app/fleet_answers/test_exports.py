"""The chosen class as a resource request."""

from __future__ import annotations

import re
import subprocess

import jsonschema
import pytest
import yaml

from app.errors import Conflict
from app.fleet_answers import service
from app.fleet_answers.exports.formats import FORMATS
from app.fleet_answers.question import FleetQuestion
from app.settings import load_settings
from tests.app.fleet_answers.seeded import FAST, fill, settings

DIRECTIVE = re.compile(
    r"#SBATCH --(job-name=[a-z0-9-]+|nodes=1|ntasks=1|gres=[a-z0-9:_]+:\d+|mem=\d+M"
    r"|time=\d+-\d\d:\d\d:\d\d)"
)
"""The options of sbatch that are written, in the forms that its manual gives."""
QUANTITY = {"type": "string", "pattern": r"^\d+(Mi)?$"}
JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "batch/v1"},
        "kind": {"const": "Job"},
        "metadata": {
            "properties": {
                "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
            }
        },
        "spec": {
            "additionalProperties": False,
            "properties": {
                "activeDeadlineSeconds": {"type": "integer", "minimum": 1},
                "backoffLimit": {"type": "integer", "minimum": 0},
                "template": {
                    "properties": {
                        "spec": {
                            "additionalProperties": False,
                            "required": ["containers"],
                            "properties": {
                                "restartPolicy": {"enum": ["Never", "OnFailure"]},
                                "nodeSelector": {
                                    "additionalProperties": {
                                        "type": "string",
                                        "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
                                    }
                                },
                                "containers": {
                                    "items": {
                                        "additionalProperties": False,
                                        "required": ["name"],
                                        "properties": {
                                            "name": {"type": "string"},
                                            "resources": {
                                                "additionalProperties": {
                                                    "additionalProperties": QUANTITY
                                                }
                                            },
                                        },
                                    }
                                },
                            },
                        }
                    }
                },
            },
        },
    },
}
"""The fields of batch/v1 Job that are written, with the API's types and patterns."""


def exported(database, to, prices=None, **question):
    prices = prices or settings()
    row = service.ask(database, prices, FleetQuestion("train.py:Net", epochs=36, **question))
    return FORMATS[to].make(prices, {"id": row.id, **row.document})


def test_slurm_asks_for_a_gpu_and_the_upper_end_of_the_time(database, tmp_path):
    fill(database)
    text = exported(database, "slurm", deadline_s=1000)  # 459 s at most, on the fast class
    assert "#SBATCH --time=0-00:08:00" in text
    assert "#SBATCH --gres=gpu:1" in text
    assert "--mem" not in text.partition("# ")[0]
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            assert DIRECTIVE.fullmatch(line), line
    script = tmp_path / "choose.sh"
    script.write_text(text)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_slurm_takes_the_configured_resource(database):
    fill(database)
    prices = load_settings(
        overrides={"fleet": {"devices": {FAST: {"price_per_hour": 0.1, "slurm_gres": "gpu:h200"}}}}
    )
    assert "#SBATCH --gres=gpu:h200:1" in exported(database, "slurm", prices)


def test_kubernetes_gets_a_patch_of_a_job(database):
    fill(database)
    text = exported(database, "kubernetes", deadline_s=1000)
    job = yaml.safe_load(text)
    jsonschema.validate(job, JOB)
    assert job["spec"]["activeDeadlineSeconds"] == 480
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}
    resources = pod["containers"][0]["resources"]
    assert resources["limits"] == resources["requests"] == {"nvidia.com/gpu": "1"}


def test_a_name_cannot_end_a_comment(database):
    fill(database)
    row = service.ask(database, settings(), FleetQuestion("train.py:Net", epochs=36))
    document = {**row.document, "workload": "x\nrm -rf /", "id": row.id}
    for name, each in FORMATS.items():
        text = each.make(settings(), document)
        assert not any(line.startswith("rm") for line in text.splitlines()), name


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_chosen_is_nothing_to_export(database, to):
    fill(database)
    with pytest.raises(Conflict, match="nothing to export"):
        exported(database, to, deadline_s=1)
