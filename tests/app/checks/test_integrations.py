"""The files that pipelines use: what they run is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.app.checks.seeded import RECOMMENDATION, ROOT, seed_in

INTEGRATIONS = ROOT / "integrations"
BATCHES = {"fits": 96, "large": 400, "unknown": 150}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def run(folder, warm):
    run = seed_in(folder, warm.tonnage)
    for name, batch in BATCHES.items():
        text = f"# {RECOMMENDATION}\nbatch_size: {batch}\nlayers: 2\nactivation: relu\n"
        (folder / f"{name}.yaml").write_text(text)
    return run


def document(name: str):
    return yaml.safe_load((ROOT / name).read_text())


# -- GitHub


def step(folder, run, **inputs):
    """Runs the action's last step as GitHub would: its inputs as variables, its script in bash."""
    action = document("action.yml")
    known = {name: each.get("default", "") for name, each in action["inputs"].items()}
    assert not inputs.keys() - {name.replace("-", "_") for name in known}
    given = {**known, **{name.replace("_", "-"): value for name, value in inputs.items()}}
    last = action["runs"]["steps"][-1]
    variables = {}
    for name, expression in last["env"].items():
        assert expression.startswith("${{ inputs.") and expression.endswith(" }}")
        variables[name] = given[expression[len("${{ inputs.") : -len(" }}")]]
    for name in ("output", "summary"):
        (folder / name).write_text("")
    files = {
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    assert last["shell"] == "bash"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", last["run"]]
    return run(*command, **variables, **files)


def test_the_action_lets_a_run_pass_that_fits(folder, run):
    ran = step(folder, run, config_file="fits.yaml")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("::notice file=fits.yaml,")
    assert (folder / "output").read_text() == "verdict=fits\nlargest-batch=96\n"
    assert "### ✅ Tonnage: fits" in (folder / "summary").read_text()


def test_the_action_stops_one_that_does_not(folder, run):
    ran = step(folder, run, config_file="large.yaml", sarif_file="tonnage.sarif")
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.startswith("::error file=large.yaml,title=Tonnage%3A does not fit::")
    assert "verdict=does_not_fit" in (folder / "output").read_text()
    sarif = json.loads((folder / "tonnage.sarif").read_text())
    assert sarif["runs"][0]["results"][0]["ruleId"] == "does_not_fit"


def test_the_action_takes_a_plan_of_options_and_tells_what_is_wrong_with_it(folder, run):
    fits = step(folder, run, workload="transformer", args="--batch-size 64 --set layers=2")
    assert fits.returncode == 0, fits.stderr
    wrong = step(folder, run, workload="transformer", args="--batch-size none")
    assert wrong.returncode == 2
    assert "--batch-size" in wrong.stderr


def test_the_action_takes_every_line_of_its_options(folder, run):
    options = "--batch-size 64\n  --set layers=2\n--batch-size 400\n"
    ran = step(folder, run, workload="transformer", args=options)
    assert ran.returncode == 1, ran.stderr
    assert "verdict=does_not_fit" in (folder / "output").read_text()


def test_the_action_takes_quoted_options_and_runs_none_of_them(folder, run):
    shown = "import json, sys; print(json.dumps(sys.argv[1:]))"
    tonnage = folder / "echoing" / "tonnage"
    tonnage.parent.mkdir()
    tonnage.write_text(f"#!{sys.executable}\n{shown}\n")
    tonnage.chmod(0o755)
    path = os.pathsep.join([str(tonnage.parent), str(folder / "bin"), os.environ["PATH"]])
    options = "--option name=\"a b\" --option it='$(touch ran) *' --option at=C:\\data #1"
    ran = step(folder, partial(run, PATH=path), workload="transformer", args=options)
    assert ran.returncode == 0, ran.stderr
    words = ["name=a b", "it=$(touch ran) *", "at=C:\\data"]
    given = [word for each in words for word in ("--option", each)]
    assert json.loads(ran.stdout)[5:12] == [*given, "#1"]
    assert not (folder / "ran").exists()
    wrong = step(folder, run, workload="transformer", args="--option name='a")
    assert wrong.returncode == 2
    assert "quotation" in wrong.stderr


def test_every_output_of_the_action_is_one_of_its_step():
    action = document("action.yml")
    last = action["runs"]["steps"][-1]
    for name, output in action["outputs"].items():
        assert output["value"] == f"${{{{ steps.{last['id']}.outputs.{name} }}}}"
        assert f"{name}=" in last["run"]


# -- GitLab


@pytest.mark.parametrize(("name", "status"), [("fits", 0), ("large", 1), ("unknown", 3)])
def test_gitlab(folder, run, name, status):
    job = document("integrations/gitlab-ci.yml")[".tonnage-check"]
    script = "\n".join([*job["before_script"], *job["script"]])
    variables = {
        **job["variables"],
        "CHECK_INSTALL": "none",
        "CHECK_CONFIG_FILE": f"{name}.yaml",
        "CHECK_OPTIONS": "--budget 'prototyping'",
    }
    ran = run("bash", "-eo", "pipefail", "-c", script, **variables)
    assert ran.returncode == status, ran.stderr
    assert f"batch {BATCHES[name]}" in ran.stdout
    assert job["artifacts"]["reports"]["junit"] == "tonnage.xml"
    assert ("<failure" in (folder / "tonnage.xml").read_text()) == (status == 1)


# -- pre-commit


def test_pre_commit_accepts_the_hooks():
    ran = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git is needed")
def test_pre_commit_runs_the_hook(folder, run):
    hook = document(".pre-commit-hooks.yaml")[0]
    repository = folder / "committed"
    repository.mkdir()
    for name, status in (("fits", 0), ("large", 1)):
        local = {**hook, "args": [f"../{name}.yaml", "--on-unknown", "warn"], "always_run": True}
        config = {"repos": [{"repo": "local", "hooks": [local]}]}
        (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
        script = "git init -q; git add -A; python -m pre_commit run --all-files"
        ran = run("bash", "-c", f"cd committed; {script}")
        assert ran.returncode == status, ran.stdout + ran.stderr
        assert f"{'Passed' if status == 0 else 'does not fit: batch 400'}" in ran.stdout


# -- Slurm


def prolog(run, check: str, **extra: str):
    variables = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_LOCALID": "0", **extra}
    return run(str(INTEGRATIONS / "slurm-task-prolog.sh"), CHECK_OPTIONS=check, **variables)


def test_slurm_cancels_a_step_that_would_not_fit(folder, run):
    scancel = folder / "bin" / "scancel"
    scancel.write_text(f'#!/bin/sh\necho "$@" > {folder}/cancelled\n')
    scancel.chmod(0o755)
    ran = prolog(run, "large.yaml --budget prototyping")
    assert ran.returncode == 1
    assert (folder / "cancelled").read_text() == "7.0\n"
    assert ran.stdout.startswith("print tonnage: does not fit: batch 400")
    assert all(line.startswith("print tonnage: ") for line in ran.stdout.splitlines())
    (folder / "cancelled").unlink()


def test_slurm_lets_everything_else_run(folder, run):
    assert prolog(run, "fits.yaml").returncode == 0
    assert prolog(run, "unknown.yaml").returncode == 0
    assert prolog(run, "missing.yaml").returncode == 0
    assert prolog(run, "").stdout == ""
    assert prolog(run, "large.yaml", SLURM_LOCALID="1").returncode == 0
    assert not (folder / "cancelled").exists()
    assert prolog(run, "unknown.yaml", CHECK_ON_UNKNOWN="fail").returncode == 3


# -- Kubernetes


@pytest.mark.parametrize(("name", "status"), [("fits", 0), ("large", 1), ("unknown", 0)])
def test_the_init_container(folder, run, name, status):
    pod = document("integrations/kubernetes-job.yaml")["spec"]["template"]["spec"]
    container = pod["initContainers"][0]
    mount = container["volumeMounts"][0]
    assert mount["name"] in {volume["name"] for volume in pod["volumes"]}
    file = f"{mount['mountPath']}/train.yaml"
    assert file in container["command"]
    command = [f"{name}.yaml" if word == file else word for word in container["command"]]
    ran = run(*command)
    assert ran.returncode == status, ran.stderr
    assert "Compared:" in ran.stdout
    assert container["resources"] == pod["containers"][0]["resources"]


# -- git


@pytest.mark.skipif(shutil.which("git") is None, reason="git is needed")
def test_git_does_not_push_what_would_not_fit(folder, run):
    hook = Path("source/.git/hooks/pre-push")
    made = run(
        "bash", "-ec",
        "git init -q --bare remote.git; git init -q source; cd source; "
        "git remote add origin ../remote.git; "
        f"mkdir -p .git/hooks; cp {INTEGRATIONS}/git-pre-push .git/hooks/pre-push; "
        "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one; "
        "git branch -M main",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert (folder / hook).exists()
    push = "cd source; git config tonnage.check '../{}.yaml'; git push -q origin main"
    large = run("bash", "-c", push.format("large"))
    assert large.returncode != 0
    assert "does not fit: batch 400" in large.stderr
    assert run("bash", "-c", push.format("unknown")).returncode == 0
    assert run("bash", "-c", push.format("fits")).returncode == 0
