"""The pipeline that deploys: what Cloud Build reads of it, and its script with commands that only note their calls."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "cloudbuild" / "deploy.yaml").read_text())
# What Cloud Build itself fills in: https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
GIVEN = {"COMMIT_SHA", "PROJECT_ID"}
# A plan names the archive, and an apply uploads what is there under that name.
TERRAFORM = """\
#!/bin/sh
echo "terraform $*" >> "$CALLS"
zip=terraform/.terraform/archive/binderless-source.zip
case "$*" in
  *"output -raw hub_token_command") echo "gcloud secrets versions access 1" ;;
  *"output -json hub_step") cat "$STEP" ;;
  *"output -json") if [ -s "$STEP" ]; then printf '{\\n  "hub_step": {\\n'; else echo '{}'; fi ;;
  "-chdir=terraform init"*) mkdir -p terraform/.terraform ;;
  "-chdir=terraform plan"*) mkdir $(dirname $zip); echo "of this commit" > $zip; touch terraform/first.tfplan ;;
  "-chdir=terraform apply"*) echo "uploaded $(cat $zip)" >> "$CALLS" ;;
  *hub*) touch terraform/hub/hub.tfplan; echo "token ${TF_VAR_hub_token:-none}" >> "$CALLS" ;;
esac
"""
# The bucket is a folder.
GCLOUD = """\
#!/bin/sh
echo "gcloud $*" >> "$CALLS"
case "$*" in
  "secrets versions access 1") echo t0ken ;;
  "storage cp "*)
    shift 2
    for word in "$@"; do
      set -- "$@" "$(echo "$word" | sed "s#^gs://bucket#$BUCKET#")"
      shift
    done
    exec cp "$@" ;;
esac
"""
STEP = '{"planned": 1}\n'
ELSEWHERE = ""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the commands, and a bucket that holds what an operator puts there."""
    commands, bucket = tmp_path / "commands", tmp_path / "bucket"
    commands.mkdir()
    for name, text in {"terraform": TERRAFORM, "gcloud": GCLOUD}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (bucket / "config").mkdir(parents=True)
    (bucket / "plans" / "c0ffee").mkdir(parents=True)
    for name in ("config.yaml", "terraform.tfvars", "hub.tfvars"):
        (bucket / "config" / name).touch()
    return tmp_path


def run(action: str, place: Path, *, step: str = STEP) -> tuple[int, list[str]]:
    """Exit code and calls of `deploy.sh` in a new checkout that has nothing but folders."""
    checkout = place / action
    (checkout / "terraform" / "hub").mkdir(parents=True)
    (checkout / "step").write_text(step)
    environ = {
        "PATH": f"{place / 'commands'}:{os.environ['PATH']}",
        "BUCKET": str(place / "bucket"),
        "CALLS": str(checkout / "calls"),
        "STEP": str(checkout / "step"),
    }
    script = [str(ROOT / "cloudbuild" / "deploy.sh"), action, "bucket", "c0ffee"]
    done = subprocess.run(script, cwd=checkout, env=environ, check=False, capture_output=True)
    return done.returncode, (checkout / "calls").read_text().splitlines()


def applied(calls: list[str]) -> list[str]:
    return [call.split()[-1] for call in calls if " apply " in call]


def test_cloud_build_understands_the_pipeline() -> None:
    build = cloudbuild_v1.Build.pb(cloudbuild_v1.Build())
    json_format.ParseDict(PIPELINE, build)
    assert [step.id for step in build.steps] == ["terraform", "test", "deploy"]


def test_a_misspelt_field_of_the_pipeline_is_found() -> None:
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict({**PIPELINE, "serviceAcount": "x"}, cloudbuild_v1.Build.pb(cloudbuild_v1.Build()))


def test_the_pipeline_uses_no_substitution_that_nobody_fills_in() -> None:
    text = (ROOT / "cloudbuild" / "deploy.yaml").read_text()
    used = set(re.findall(r"\$\{?(_[A-Z_]+|[A-Z]+_(?:ID|SHA))\b", text))
    assert used <= set(PIPELINE["substitutions"]) | GIVEN
    assert set(PIPELINE["substitutions"]) <= used | {"_DEPLOYER"}


def test_a_plan_changes_nothing_and_is_kept_by_its_commit(place: Path) -> None:
    code, calls = run("plan", place)
    assert code == 0
    assert applied(calls) == []
    kept = {file.name for file in (place / "bucket" / "plans" / "c0ffee").iterdir()}
    assert kept == {"first.tfplan", "hub.tfplan", "binderless-source.zip", "step.auto.tfvars.json"}


def test_what_is_applied_is_what_was_planned(place: Path) -> None:
    run("plan", place)
    code, calls = run("apply", place)
    assert code == 0
    assert not [call for call in calls if " plan " in call]
    assert applied(calls) == ["first.tfplan", "hub.tfplan"]
    assert "uploaded of this commit" in calls


def test_a_second_step_made_of_something_else_is_not_applied(place: Path) -> None:
    run("plan", place)
    code, calls = run("apply", place, step='{"planned": 2}\n')
    assert code == 3
    assert applied(calls) == ["first.tfplan"]


def test_a_hub_elsewhere_has_no_second_step(place: Path) -> None:
    (place / "bucket" / "config" / "hub.tfvars").unlink()
    assert run("plan", place, step=ELSEWHERE)[0] == 0
    code, calls = run("apply", place, step=ELSEWHERE)
    assert code == 0
    assert applied(calls) == ["first.tfplan"]
    assert not [call for call in calls if "terraform/hub " in call or "versions access" in call]


@pytest.mark.parametrize(("planned", "found"), [(ELSEWHERE, STEP), (STEP, ELSEWHERE)], ids=["comes", "goes"])
def test_a_second_step_that_comes_or_goes_is_planned_first(planned: str, found: str, place: Path) -> None:
    run("plan", place, step=planned)
    code, calls = run("apply", place, step=found)
    assert code == 3
    assert applied(calls) == ["first.tfplan"]


def test_nothing_is_applied_without_a_plan(place: Path) -> None:
    code, calls = run("apply", place)
    assert code == 1
    assert applied(calls) == []


def test_the_token_of_the_hub_is_on_no_command_line(place: Path) -> None:
    run("plan", place)
    _, calls = run("apply", place)
    assert "token t0ken" in calls
    assert not [call for call in calls if call.startswith(("terraform", "gcloud")) and "t0ken" in call]


def test_anything_but_plan_and_apply_is_refused(place: Path) -> None:
    code, calls = run("destroy", place)
    assert code == 2
    assert not [call for call in calls if " apply " in call or " plan " in call]
