# Cloud Build tells on its topic what becomes of a build; a push brings the end of it to on_build_complete.

locals {
  callers = {
    events    = "Signs what Pub/Sub brings to on_build_complete."
    scheduler = "Signs the scheduler's calls of cull."
  }
  # The function cull hears nobody but the scheduler, so that is who an operator has ask for a dry run.
  rounds = {
    cull = {
      description = "Stops idle servers, mends what events have missed."
      schedule    = "*/2 * * * *"
      query       = ""
    }
    cull-dry-run = {
      description = "Logs what a round of cull would do; for gcloud scheduler jobs run."
      # There must be one.
      schedule = "0 0 1 1 *"
      query    = "?dry_run=true"
    }
  }
}

resource "google_service_account" "caller" {
  for_each = local.callers

  project      = var.project
  account_id   = "binderless-${each.key}"
  display_name = each.value
  depends_on   = [google_project_service.api]
}

# Cloud Build looks for this name, in its own project.
resource "google_pubsub_topic" "builds" {
  project    = local.builds_project
  name       = "cloud-builds"
  labels     = local.labels
  depends_on = [google_project_service.api, google_project_service.builds_api]
}

resource "google_pubsub_subscription" "build_complete" {
  name                 = "binderless-build-complete"
  topic                = google_pubsub_topic.builds.id
  labels               = local.labels
  ack_deadline_seconds = 600
  filter               = "attributes.status != \"QUEUED\" AND attributes.status != \"WORKING\" AND attributes.status != \"PENDING\""

  push_config {
    push_endpoint = google_cloudfunctions2_function.function["on_build_complete"].service_config[0].uri

    oidc_token {
      audience              = local.function_urls["on_build_complete"]
      service_account_email = google_service_account.caller["events"].email
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 20
  }

  # Never, not after the 31 days without a build that are usual.
  expiration_policy {
    ttl = ""
  }

  depends_on = [google_service_account_iam_member.signs_pushes]
}

resource "google_pubsub_topic" "dead_letter" {
  name       = "binderless-dead-letter"
  labels     = local.labels
  depends_on = [google_project_service.api]
}

# Without a subscription dead letters would be lost.
resource "google_pubsub_subscription" "dead_letter" {
  name                       = "binderless-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.id
  labels                     = local.labels
  message_retention_duration = "${7 * 86400}s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_cloud_scheduler_job" "round" {
  for_each = local.rounds

  name             = "binderless-${each.key}"
  region           = var.region
  description      = each.value.description
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "600s"

  # The next round comes soon enough.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.function["cull"].service_config[0].uri}/${each.value.query}"

    oidc_token {
      audience              = local.function_urls["cull"]
      service_account_email = google_service_account.caller["scheduler"].email
    }
  }

  depends_on = [google_project_service.api]
}
