# The five entry points, each a function of the same archive under an account of its own.

locals {
  concurrency = 250

  # Without a load balancer `build` serves the pages too, so that the site has one address.
  _pages = local.has_balancer ? {
    pages = { timeout_s = 60, memory = "512Mi", max = 10, hub = false, ingress = local._ingress }
  } : {}
  _ingress = local.has_balancer ? "ALLOW_INTERNAL_AND_GCLB" : "ALLOW_ALL"

  functions = merge(local._pages, {
    build             = { timeout_s = 3600, memory = "1Gi", max = 20, hub = true, ingress = local._ingress }
    cull              = { timeout_s = 600, memory = "512Mi", max = 2, hub = true, ingress = "ALLOW_INTERNAL_ONLY" }
    on_build_complete = { timeout_s = 600, memory = "512Mi", max = 10, hub = true, ingress = "ALLOW_INTERNAL_ONLY" }
    webhook           = { timeout_s = 60, memory = "512Mi", max = 5, hub = false, ingress = local._ingress }
  })
  public_functions = toset([for name in ["pages", "build", "webhook"] : name if contains(keys(local.functions), name)])
  site             = local.has_balancer ? "pages" : "build"
  site_uri         = google_cloudfunctions2_function.function[local.site].service_config[0].uri

  function_names = { for name in keys(local.functions) : name => "binderless-${replace(name, "_", "-")}" }
  # Known before the function is, and an audience that Cloud Run accepts for it.
  function_urls = {
    for name, full in local.function_names :
    name => "https://${var.region}-${var.project}.cloudfunctions.net/${full}"
  }

  # The one place where what exists becomes what the functions are told.
  settings = merge(
    {
      "builds.backend"              = "cloud_build"
      "cloud_build.project"         = local.builds_project
      "cloud_build.region"          = var.region
      "cloud_build.service_account" = google_service_account.builder.email
      "cloud_build.log_bucket"      = google_storage_bucket.build_logs.name
      "events.project"              = local.builds_project
      "events.topic"                = google_pubsub_topic.builds.name
      "events.service_account"      = google_service_account.caller["events"].email
      "events.audience"             = local.function_urls["on_build_complete"]
      "firestore.project"           = var.project
      "firestore.database"          = google_firestore_database.records.name
      "registry.url"                = "https://${var.region}-docker.pkg.dev"
      "registry.image_prefix"       = "${local.image_repository}/binder-"
      "registry.credentials"        = "google"
      "scheduler.service_account"   = google_service_account.caller["scheduler"].email
      "scheduler.audience"          = local.function_urls["cull"]
      "store.backend"               = "firestore"
      # Google's front end adds the visitor's address, a load balancer its own after it.
      "web.proxies" = local.has_balancer ? "2" : "1"
    },
    local.has_cluster ? {
      "hub.url"     = "https://${var.servers_domain}/"
      "hub.api_url" = "http://${local.hub_address}:${local.hub_port}/hub/api"
    } : {},
    var.builds.private_pool == null ? {} : {
      "cloud_build.private_pool" = google_cloudbuild_worker_pool.builds[0].id
    },
  )
  environment = merge(
    {
      for name, value in local.settings :
      "BINDERLESS_${upper(replace(name, ".", "__"))}" => value
    },
    {
      # functions-framework: one thread for each stream.
      THREADS          = tostring(local.concurrency)
      LOG_EXECUTION_ID = "true"
    },
    # As seen from the top of the archive, where functions run; config.yaml there needs no word.
    local.config_path == "config.yaml" ? {} : { BINDERLESS_CONFIG = local.config_path },
  )
}

resource "google_service_account" "function" {
  for_each = local.functions

  project      = var.project
  account_id   = "bl-${replace(each.key, "_", "-")}"
  display_name = "Binderless function ${each.key}"
  depends_on   = [google_project_service.api]
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  name     = local.function_names[each.key]
  location = var.region
  labels   = local.labels

  build_config {
    runtime           = local.source.runtime
    entry_point       = each.key
    docker_repository = google_artifact_registry_repository.functions.id
    service_account   = google_service_account.function_builder.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_cpu                    = "1"
    available_memory                 = each.value.memory
    environment_variables            = local.environment
    ingress_settings                 = each.value.ingress
    max_instance_count               = coalesce(try(var.instances[each.key].max, null), each.value.max)
    max_instance_request_concurrency = local.concurrency
    min_instance_count               = coalesce(try(var.instances[each.key].min, null), 0)
    service_account_email            = google_service_account.function[each.key].email
    timeout_seconds                  = each.value.timeout_s

    # Only private addresses go through the network, and there a firewall opens the Hub's port alone.
    direct_vpc_egress = local.has_cluster && each.value.hub ? "VPC_EGRESS_PRIVATE_RANGES_ONLY" : null

    dynamic "direct_vpc_network_interface" {
      for_each = local.has_cluster && each.value.hub ? [true] : []
      content {
        network    = local.network_name
        subnetwork = local.functions_subnetwork
        tags       = [local.functions_tag]
      }
    }

    dynamic "secret_environment_variables" {
      for_each = local.secrets_of[each.key]
      content {
        key        = secret_environment_variables.value.variable
        project_id = var.project
        secret     = google_secret_manager_secret.secret[secret_environment_variables.key].secret_id
        version    = local.secret_versions[secret_environment_variables.key]
      }
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.member,
    google_project_iam_member.project,
    google_secret_manager_secret_iam_member.reader,
    google_storage_bucket_iam_member.member,
  ]
}
