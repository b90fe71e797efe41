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
TERRAFORM = """\
#!/bin/sh
echo "terraform $*" >> "$CALLS"
case "$*" in
  *"output -raw hub_token_command") echo "gcloud secrets versions access 1" ;;
  *"output -json hub_step") cat "$STEP" ;;
  *hub*) echo "token ${TF_VAR_hub_token:-none}" >> "$CALLS" ;;
esac
"""
GCLOUD = """\
#!/bin/sh
echo "gcloud $*" >> "$CALLS"
case "$*" in
  "secrets versions access 1") echo t0ken ;;
  *" terraform/hub/step.auto.tfvars.json") echo '{"planned": 1}' > terraform/hub/step.auto.tfvars.json ;;
esac
"""


def run(action: str, folder: Path, *, step: str) -> tuple[int, list[str]]:
    """Exit code and calls of `deploy.sh` in a checkout that has nothing but folders."""
    (folder / "terraform" / "hub").mkdir(parents=True)
    commands = folder / "commands"
    commands.mkdir()
    for name, text in {"terraform": TERRAFORM, "gcloud": GCLOUD}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (folder / "step").write_text(step)
    environ = {"PATH": f"{commands}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), "STEP": str(folder / "step")}
    script = [str(ROOT / "cloudbuild" / "deploy.sh"), action, "bucket", "c0ffee"]
    done = subprocess.run(script, cwd=folder, env=environ, check=False, capture_output=True)
    return done.returncode, (folder / "calls").read_text().splitlines()


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


def test_a_plan_changes_nothing_and_is_kept_by_its_commit(tmp_path: Path) -> None:
    code, calls = run("plan", tmp_path, step='{"planned": 1}')
    assert code == 0
    assert not [call for call in calls if " apply " in call]
    assert [call for call in calls if call.endswith("gs://bucket/plans/c0ffee/")]


def test_what_is_applied_is_what_was_planned(tmp_path: Path) -> None:
    code, calls = run("apply", tmp_path, step='{"planned": 1}\n')
    assert code == 0
    assert not [call for call in calls if " plan " in call]
    applied = [call for call in calls if " apply " in call]
    assert [call.split()[-1] for call in applied] == ["first.tfplan", "hub.tfplan"]


def test_a_second_step_made_of_something_else_is_not_applied(tmp_path: Path) -> None:
    code, calls = run("apply", tmp_path, step='{"planned": 2}\n')
    assert code == 3
    assert [call.split()[-1] for call in calls if " apply " in call] == ["first.tfplan"]


def test_the_token_of_the_hub_is_on_no_command_line(tmp_path: Path) -> None:
    _, calls = run("apply", tmp_path, step='{"planned": 1}\n')
    assert "token t0ken" in calls
    assert not [call for call in calls if call.startswith(("terraform", "gcloud")) and "t0ken" in call]


def test_anything_but_plan_and_apply_is_refused(tmp_path: Path) -> None:
    code, calls = run("destroy", tmp_path, step="{}")
    assert code == 2
    assert not [call for call in calls if " apply " in call or " plan " in call]
