# What functions must know and nobody else may: generated, or added to Secret Manager by the operator.

locals {
  _all = keys(local.functions)
  # Who could look a repository up; who lets webhooks in; who shows the webhooks that are on.
  _resolving = [for name in ["pages", "build", "webhook"] : name if contains(local._all, name)]

  # Every function checks all of the settings when it starts, so it needs those that are required.
  secrets = {
    github_token            = { setting = "github.token", functions = local._resolving, generated = false }
    gitlab_token            = { setting = "gitlab.token", functions = local._resolving, generated = false }
    hub_token               = { setting = "hub.token", functions = local._all, generated = true }
    launches_secret         = { setting = "launches.secret", functions = local._all, generated = true }
    launches_token_secrets  = { setting = "launches.token_secrets", functions = local._all, generated = false }
    web_metrics_token       = { setting = "web.metrics_token", functions = ["build"], generated = true }
    web_operator_tokens     = { setting = "web.operator_tokens", functions = ["build"], generated = true }
    webhooks_github_secrets = { setting = "webhooks.github_secrets", functions = local._webhook, generated = local.webhook_is_used }
    webhooks_gitlab_tokens  = { setting = "webhooks.gitlab_tokens", functions = local._webhook, generated = local.webhook_is_used }
  }
  # The page of the form says which webhooks are on, by whether there is a secret.
  _webhook = [for name in [local.site, "webhook"] : name]

  generated_secrets = {
    for name, secret in local.secrets : name => secret
    if secret.generated && !contains(keys(var.supplied_secrets), name)
  }
  secret_versions = merge(
    { for name in keys(local.generated_secrets) : name => google_secret_manager_secret_version.generated[name].version },
    var.supplied_secrets,
  )
  secrets_of = {
    for function in local._all : function => {
      for name, secret in local.secrets :
      name => { variable = "BINDERLESS_${upper(replace(secret.setting, ".", "__"))}" }
      if contains(secret.functions, function) && (
        contains(keys(local.generated_secrets), name) || contains(keys(var.supplied_secrets), name)
      )
    }
  }
  _readers = merge([
    for function, secrets in local.secrets_of : {
      for name in keys(secrets) : "${function} ${name}" => { function = function, secret = name }
    }
  ]...)
}

# All of them, so that a version can be added before it is used; empty they cost nothing.
resource "google_secret_manager_secret" "secret" {
  for_each = local.secrets

  secret_id = "binderless-${replace(each.key, "_", "-")}"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

# Made anew in every run, and used only in the run that raises the generation.
ephemeral "random_password" "generated" {
  for_each = local.generated_secrets

  length  = 64
  special = false
}

resource "google_secret_manager_secret_version" "generated" {
  for_each = local.generated_secrets

  secret                 = google_secret_manager_secret.secret[each.key].id
  secret_data_wo         = ephemeral.random_password.generated[each.key].result
  secret_data_wo_version = lookup(var.secret_generations, each.key, 1)
  # An old one can be switched on again, until somebody destroys it.
  deletion_policy = "DISABLE"

  # Instances that still run with the old version go on until they are replaced.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local._readers

  secret_id = google_secret_manager_secret.secret[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}
