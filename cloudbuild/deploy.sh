#!/bin/sh
# deploy.sh plan|apply BUCKET COMMIT
#
# plan: plan both steps, and keep the plans in the bucket. apply: apply exactly these. BUCKET holds config.yaml,
# terraform.tfvars and hub.tfvars below config/, the states, and the plans of a commit below plans/COMMIT/. With a
# JupyterHub elsewhere there is no second step, and no hub.tfvars.
set -eu
action=$1 bucket=gs://$2 plans=gs://$2/plans/$3
# The functions' archive, which a plan only names.
source=terraform/.terraform/archive/binderless-source.zip
step=terraform/hub/step.auto.tfvars.json

begin() {
  terraform -chdir="$1" init -input=false -backend-config="bucket=${bucket#gs://}"
}

begin_hub() {
  gcloud storage cp "$bucket/config/hub.tfvars" terraform/hub/terraform.tfvars
  begin terraform/hub
  # In the environment of terraform alone: neither the plan nor the state holds it.
  TF_VAR_hub_token=$($(terraform -chdir=terraform output -raw hub_token_command))
  export TF_VAR_hub_token
}

hub_step() {
  # What the second step must know; nothing where there is none, since Terraform keeps no output that is null.
  terraform -chdir=terraform output -json > outputs.json
  if grep -q '^  "hub_step": ' outputs.json; then
    terraform -chdir=terraform output -json hub_step
  fi
}

plan() {
  terraform -chdir=terraform plan -input=false -lock-timeout=5m -out=first.tfplan
  hub_step > "$step"
  if [ -s "$step" ]; then
    begin_hub
    terraform -chdir=terraform/hub plan -input=false -lock-timeout=5m -out=hub.tfplan
    gcloud storage cp terraform/hub/hub.tfplan "$plans/"
  fi
  # Last: an apply begins with these.
  gcloud storage cp terraform/first.tfplan "$source" "$step" "$plans/"
}

apply() {
  gcloud storage cp "$plans/first.tfplan" terraform/first.tfplan
  mkdir -p "${source%/*}"
  gcloud storage cp "$plans/${source##*/}" "$source"
  gcloud storage cp "$plans/${step##*/}" "$step"
  if [ -s "$step" ]; then
    gcloud storage cp "$plans/hub.tfplan" terraform/hub/hub.tfplan
  fi
  terraform -chdir=terraform apply -input=false -lock-timeout=5m first.tfplan
  hub_step > applied.json
  if ! cmp -s applied.json "$step"; then
    echo "The first step has changed what the second is made of. Plan this commit again, and approve that." >&2
    exit 3
  fi
  if [ -s "$step" ]; then
    begin_hub
    terraform -chdir=terraform/hub apply -input=false -lock-timeout=5m hub.tfplan
  fi
}

gcloud storage cp "$bucket/config/config.yaml" config.yaml
gcloud storage cp "$bucket/config/terraform.tfvars" terraform/terraform.tfvars
begin terraform
case $action in
  plan) plan ;;
  apply) apply ;;
  *) echo "plan or apply, not $action" >&2; exit 2 ;;
esac
