# Decisions that several files share, and the services that are switched on.

locals {
  # As the functions read it: a setting is written once.
  config = yamldecode(file(var.config_file))

  builds_project  = coalesce(var.builds.project, var.project)
  has_cluster     = var.cluster.kind != "none"
  hub_namespace   = "jhub"
  labels          = merge(var.labels, { app = "binderless" })
  makes_cluster   = contains(["autopilot", "standard"], var.cluster.kind)
  makes_network   = local.has_cluster && var.network == null
  base_path       = try(local.config.web.base_path, "/")
  public_host     = local.has_balancer ? var.domain : trimprefix(local.site_uri, "https://")
  public_url      = "https://${local.public_host}${local.base_path}"
  webhook_is_used = length(try(local.config.webhooks.repositories, [])) > 0

  _apis = toset([
    "artifactregistry", "cloudbuild", "cloudfunctions",
    "cloudresourcemanager", "cloudscheduler", "compute", "container",
    "firestore", "iam", "logging", "monitoring", "pubsub", "run",
    "secretmanager", "storage"
  ])
  _apis_of_builds = toset(
    local.builds_project == var.project ? [] : ["cloudbuild", "iam", "pubsub", "storage"]
  )
  _apis_of_budget = toset(var.monthly_budget == null ? [] : ["billingbudgets"])
}

data "google_project" "this" {
  project_id = var.project
}

data "google_project" "builds" {
  project_id = local.builds_project
}

# Switched on and never off: something else in the project may have come to use it.
resource "google_project_service" "api" {
  for_each = setunion(local._apis, local._apis_of_budget)

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_project_service" "builds_api" {
  for_each = local._apis_of_builds

  project            = local.builds_project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
