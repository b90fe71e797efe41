# Strangers' code is built here, under an account that can write one repository and its logs and nothing else.

resource "google_service_account" "builder" {
  project      = local.builds_project
  account_id   = "binderless-builder"
  display_name = "Binderless builds"
  depends_on   = [google_project_service.api, google_project_service.builds_api]
}

# Another account builds the functions themselves.
resource "google_service_account" "function_builder" {
  project      = var.project
  account_id   = "binderless-function-builder"
  display_name = "Binderless builds of functions"
  depends_on   = [google_project_service.api]
}

resource "google_storage_bucket" "build_logs" {
  project  = local.builds_project
  name     = "${local.builds_project}-binderless-build-logs"
  location = var.region

  force_destroy               = true
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  lifecycle_rule {
    condition {
      age = var.builds.log_keep_days
    }
    action {
      type = "Delete"
    }
  }

  # A log is written anew as it grows: nobody wants the earlier ones.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.api, google_project_service.builds_api]
}

# In Google's network, with no way into ours.
resource "google_cloudbuild_worker_pool" "builds" {
  count = var.builds.private_pool == null ? 0 : 1

  project  = local.builds_project
  name     = "binderless"
  location = var.region

  worker_config {
    disk_size_gb   = var.builds.private_pool.disk_size_gb
    machine_type   = var.builds.private_pool.machine_type
    no_external_ip = false
  }

  depends_on = [google_project_service.api, google_project_service.builds_api]
}
