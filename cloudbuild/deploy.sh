#!/bin/sh
# deploy.sh plan|apply BUCKET COMMIT
#
# plan: plan both steps, and keep the plans in the bucket. apply: apply exactly these. BUCKET holds config.yaml,
# terraform.tfvars and hub.tfvars below config/, the states, and the plans of a commit below plans/COMMIT/.
set -eu
action=$1 bucket=gs://$2 plans=gs://$2/plans/$3

begin() {
  terraform -chdir="$1" init -input=false -backend-config="bucket=${bucket#gs://}"
}

token() {
  # In the environment of terraform alone: neither the plan nor the state holds it.
  TF_VAR_hub_token=$($(terraform -chdir=terraform output -raw hub_token_command))
  export TF_VAR_hub_token
}

plan() {
  terraform -chdir=terraform plan -input=false -lock-timeout=5m -out=first.tfplan
  terraform -chdir=terraform output -json hub_step > terraform/hub/step.auto.tfvars.json
  token
  terraform -chdir=terraform/hub plan -input=false -lock-timeout=5m -out=hub.tfplan
  gcloud storage cp terraform/first.tfplan terraform/hub/hub.tfplan terraform/hub/step.auto.tfvars.json "$plans/"
}

apply() {
  gcloud storage cp "$plans/first.tfplan" terraform/first.tfplan
  gcloud storage cp "$plans/hub.tfplan" terraform/hub/hub.tfplan
  gcloud storage cp "$plans/step.auto.tfvars.json" terraform/hub/step.auto.tfvars.json
  terraform -chdir=terraform apply -input=false -lock-timeout=5m first.tfplan
  terraform -chdir=terraform output -json hub_step > applied.json
  if ! cmp -s applied.json terraform/hub/step.auto.tfvars.json; then
    echo "The first step has changed what the second is made of. Plan this commit again, and approve that." >&2
    exit 3
  fi
  token
  terraform -chdir=terraform/hub apply -input=false -lock-timeout=5m hub.tfplan
}

gcloud storage cp "$bucket/config/config.yaml" config.yaml
gcloud storage cp "$bucket/config/terraform.tfvars" terraform/terraform.tfvars
gcloud storage cp "$bucket/config/hub.tfvars" terraform/hub/terraform.tfvars
begin terraform
begin terraform/hub
case $action in
  plan) plan ;;
  apply) apply ;;
  *) echo "plan or apply, not $action" >&2; exit 2 ;;
esac
