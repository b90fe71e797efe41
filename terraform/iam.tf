# Who may do what, on one page. A grant is on the narrowest thing that Google Cloud allows it on.

locals {
  _events_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  # Who begins builds, follows them, and looks images up.
  _building = ["build", "cull", "on_build_complete", "webhook"]

  # On the project, since there is nothing narrower; where a condition narrows it, there is one.
  project_grants = merge(
    {
      for name in local._all : "${name} records" => {
        role   = "roles/datastore.user"
        member = google_service_account.function[name].member
        only   = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.records.name}\""
      }
    },
    {
      "function_builder logs" = {
        role   = "roles/logging.logWriter"
        member = google_service_account.function_builder.member
        only   = null
      }
      # Where Cloud Functions puts the archive for the build.
      "function_builder source" = {
        role   = "roles/storage.objectViewer"
        member = google_service_account.function_builder.member
        only   = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-${var.region}\")"
      }
    },
    local.makes_cluster ? {
      "nodes" = {
        role   = "roles/container.defaultNodeServiceAccount"
        member = google_service_account.nodes[0].member
        only   = null
      }
    } : {},
  )
  repository_grants = merge(
    {
      for name in local._building : "${name} images" => {
        repository = google_artifact_registry_repository.images
        role       = local._deletes_images && name == "cull" ? "roles/artifactregistry.repoAdmin" : "roles/artifactregistry.reader"
        member     = google_service_account.function[name].member
      }
    },
    {
      "builder images" = {
        repository = google_artifact_registry_repository.images
        role       = "roles/artifactregistry.writer"
        member     = google_service_account.builder.member
      }
      "function_builder functions" = {
        repository = google_artifact_registry_repository.functions
        role       = "roles/artifactregistry.writer"
        member     = google_service_account.function_builder.member
      }
    },
    local.makes_cluster ? {
      "nodes images" = {
        repository = google_artifact_registry_repository.images
        role       = "roles/artifactregistry.reader"
        member     = google_service_account.nodes[0].member
      }
    } : {},
  )
  bucket_grants = merge(
    {
      for name in local._building : "${name} build_logs" => {
        bucket = google_storage_bucket.build_logs.name
        role   = "roles/storage.objectViewer"
        member = google_service_account.function[name].member
      }
    },
    {
      # Cloud Build writes a log as it grows, each time the whole of it, and looks at the bucket first.
      "builder build_logs" = {
        bucket = google_storage_bucket.build_logs.name
        role   = "roles/storage.objectUser"
        member = google_service_account.builder.member
      }
      "builder build_logs_bucket" = {
        bucket = google_storage_bucket.build_logs.name
        role   = "roles/storage.legacyBucketReader"
        member = google_service_account.builder.member
      }
      "function_builder source" = {
        bucket = google_storage_bucket.source.name
        role   = "roles/storage.objectViewer"
        member = google_service_account.function_builder.member
      }
    },
  )
  invoker_grants = merge(
    { for name in local.public_functions : "${name} everybody" => { function = name, member = "allUsers" } },
    {
      "on_build_complete events" = { function = "on_build_complete", member = google_service_account.caller["events"].member }
      "cull scheduler"           = { function = "cull", member = google_service_account.caller["scheduler"].member }
    },
  )
  _deletes_images = try(local.config.cull.image_keep_s, 0) > 0
}

resource "google_project_iam_member" "project" {
  for_each = local.project_grants

  project = var.project
  role    = each.value.role
  member  = each.value.member

  dynamic "condition" {
    for_each = each.value.only == null ? [] : [each.value.only]
    content {
      title      = "binderless"
      expression = condition.value
    }
  }
}

# Less than Cloud Build's own roles: no triggers, no approvals. Cancelling is an update.
resource "google_project_iam_custom_role" "building" {
  project = local.builds_project
  role_id = "binderlessBuilding"
  title   = "Binderless: begin, follow and cancel builds"
  permissions = concat(
    ["cloudbuild.builds.create", "cloudbuild.builds.get", "cloudbuild.builds.list", "cloudbuild.builds.update"],
    # https://cloud.google.com/build/docs/private-pools/run-builds-in-private-pool: for who requests the build.
    var.builds.private_pool == null ? [] : ["cloudbuild.workerpools.use"],
  )
  depends_on = [google_project_service.api, google_project_service.builds_api]
}

resource "google_project_iam_member" "building" {
  for_each = toset(local._building)

  project = local.builds_project
  role    = google_project_iam_custom_role.building.name
  member  = google_service_account.function[each.key].member
}

resource "google_service_account_iam_member" "acts_as_builder" {
  for_each = toset(local._building)

  service_account_id = google_service_account.builder.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.function[each.key].member
}

resource "google_artifact_registry_repository_iam_member" "member" {
  for_each = local.repository_grants

  project    = each.value.repository.project
  location   = each.value.repository.location
  repository = each.value.repository.repository_id
  role       = each.value.role
  member     = each.value.member
}

resource "google_storage_bucket_iam_member" "member" {
  for_each = local.bucket_grants

  bucket = each.value.bucket
  role   = each.value.role
  member = each.value.member
}

resource "google_cloud_run_service_iam_member" "invoker" {
  for_each = local.invoker_grants

  location = var.region
  service  = google_cloudfunctions2_function.function[each.value.function].name
  role     = "roles/run.invoker"
  member   = each.value.member
}

# Pub/Sub signs its pushes as the account that may call on_build_complete.
resource "google_service_account_iam_member" "signs_pushes" {
  service_account_id = google_service_account.caller["events"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local._events_agent
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letter.id
  role   = "roles/pubsub.publisher"
  member = local._events_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  subscription = google_pubsub_subscription.build_complete.name
  role         = "roles/pubsub.subscriber"
  member       = local._events_agent
}
