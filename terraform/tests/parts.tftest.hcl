# Each optional part, on and off. Only google is mocked: random and archive need no account.

mock_provider "google" {
  mock_resource "google_cloudfunctions2_function" {
    override_during = plan
    defaults        = { service_config = { uri = "https://function.example.org" } }
  }
}
mock_provider "google" {
  alias = "billing"
}

variables {
  project        = "my-project"
  region         = "europe-west4"
  servers_domain = "servers.example.org"
  config_file    = "tests/config.yaml"
}

run "what_is_made_unless_said_otherwise" {
  command = plan

  assert {
    condition     = sort(keys(google_cloudfunctions2_function.function)) == tolist(["build", "cull", "on_build_complete", "webhook"])
    error_message = "Without a load balancer, build serves the pages."
  }
  assert {
    condition     = length(google_compute_url_map.site) == 0 && length(google_compute_global_forwarding_rule.site) == 0
    error_message = "There is no load balancer without a domain."
  }
  assert {
    condition     = google_cloudfunctions2_function.function["build"].service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "Without a load balancer, people come to the function's own address."
  }
  assert {
    condition     = google_container_cluster.hub[0].enable_autopilot && length(google_container_node_pool.servers) == 0
    error_message = "The cluster is an Autopilot one."
  }
  assert {
    condition     = google_container_cluster.hub[0].deletion_protection
    error_message = "The cluster is protected."
  }
  assert {
    condition     = length(google_cloudbuild_worker_pool.builds) == 0
    error_message = "Builds run on Cloud Build's own machines."
  }
  assert {
    condition     = length(google_dns_record_set.record) == 0
    error_message = "Without a zone there are no records."
  }
  assert {
    condition     = local.settings["web.proxies"] == "1"
    error_message = "Google's front end alone is in front of the functions."
  }
  assert {
    condition     = sort(keys(google_secret_manager_secret_version.generated)) == tolist(["hub_token", "launches_secret", "web_metrics_token", "web_operator_tokens"])
    error_message = "What is not used is not generated."
  }
}

run "a_dry_run_of_cull_is_asked_for_by_the_scheduler" {
  command = plan

  assert {
    condition = { for name, job in google_cloud_scheduler_job.round : name => job.http_target[0].uri } == {
      cull         = "https://function.example.org/"
      cull-dry-run = "https://function.example.org/?dry_run=true"
    }
    error_message = "A round is asked for that is not wanted, or none."
  }
}

run "a_load_balancer" {
  command = plan

  variables {
    domain   = "binder.example.org"
    dns_zone = "example-org"
  }

  assert {
    condition     = length(google_cloudfunctions2_function.function) == 5
    error_message = "Pages are a function of their own."
  }
  assert {
    condition = alltrue([
      for name in ["pages", "build", "webhook"] :
      google_cloudfunctions2_function.function[name].service_config[0].ingress_settings == "ALLOW_INTERNAL_AND_GCLB"
    ])
    error_message = "There is no way around the load balancer."
  }
  assert {
    condition     = [for name, backend in google_compute_backend_service.backend : name if backend.enable_cdn] == ["assets"]
    error_message = "Only static files are kept by the CDN."
  }
  assert {
    condition     = toset(local.paths["webhook"]) == toset(["/webhooks", "/webhooks/*"])
    error_message = "A path that ends in /* means the part before it too."
  }
  assert {
    condition     = sort(keys(google_dns_record_set.record)) == tolist(["binder.example.org", "servers.example.org"])
    error_message = "Both names are in the zone."
  }
  assert {
    condition     = local.settings["web.proxies"] == "2" && local.public_url == "https://binder.example.org/"
    error_message = "The load balancer is in front."
  }
}

run "a_standard_cluster" {
  command = plan

  variables {
    cluster = { kind = "standard", spot = true, max_nodes = 3, deletion_protection = false }
  }

  assert {
    condition     = google_container_node_pool.servers[0].node_config[0].spot && google_container_node_pool.servers[0].autoscaling[0].total_max_node_count == 3
    error_message = "The pool is as asked for."
  }
  assert {
    condition     = google_container_node_pool.servers[0].node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"
    error_message = "Pods see no metadata of the node."
  }
  assert {
    condition     = google_container_cluster.hub[0].datapath_provider == "ADVANCED_DATAPATH"
    error_message = "Network policies are enforced."
  }
}

run "an_existing_cluster" {
  command = plan

  variables {
    cluster = { kind = "existing", name = "campus", location = "europe-west4-a" }
    network = { name = "campus", cluster_subnetwork = "nodes", functions_subnetwork = "functions" }
  }

  assert {
    condition     = length(google_container_cluster.hub) == 0 && length(google_compute_network.binderless) == 0 && length(google_service_account.nodes) == 0
    error_message = "Nothing of the cluster is made."
  }
  assert {
    condition     = output.hub_step.cluster.name == "campus" && output.hub_step.cluster.location == "europe-west4-a"
    error_message = "JupyterHub goes into the cluster that is there."
  }
}

run "a_hub_elsewhere" {
  command = plan

  variables {
    cluster          = { kind = "none" }
    config_file      = "tests/existing_hub.yaml"
    servers_domain   = null
    supplied_secrets = { hub_token = "3" }
  }

  assert {
    condition     = output.hub_step == null && length(google_compute_network.binderless) == 0 && length(google_compute_address.hub) == 0
    error_message = "Neither network nor cluster is made."
  }
  assert {
    condition     = !contains(keys(local.settings), "hub.url")
    error_message = "The config file says where the Hub is."
  }
  assert {
    condition     = !contains(keys(google_secret_manager_secret_version.generated), "hub_token") && local.secret_versions["hub_token"] == "3"
    error_message = "The token is the one that was supplied."
  }
}

run "builds_in_another_project_on_machines_of_their_own" {
  command = plan

  variables {
    builds = { project = "my-builds", private_pool = { machine_type = "e2-standard-8" }, log_keep_days = 7 }
  }

  assert {
    condition = alltrue([
      for project in [
        google_service_account.builder.project, google_storage_bucket.build_logs.project,
        google_pubsub_topic.builds.project, google_cloudbuild_worker_pool.builds[0].project
      ] : project == "my-builds"
    ])
    error_message = "What builds need is in the builds' project."
  }
  assert {
    condition     = contains(keys(google_project_service.builds_api), "cloudbuild")
    error_message = "Cloud Build is switched on there."
  }
}

run "webhooks" {
  command = plan

  variables {
    config_file = "tests/webhooks.yaml"
  }

  assert {
    condition     = contains(keys(google_secret_manager_secret_version.generated), "webhooks_github_secrets")
    error_message = "Webhooks in use have a secret."
  }
  assert {
    condition     = google_artifact_registry_repository_iam_member.member["cull images"].role == "roles/artifactregistry.repoAdmin"
    error_message = "A cull that deletes images may do so."
  }
}

run "images_for_ever" {
  command = plan

  variables {
    image_keep_days = 0
  }

  assert {
    condition     = length(google_artifact_registry_repository.images.cleanup_policies) == 0
    error_message = "Nothing is deleted."
  }
}

run "other_numbers_of_instances" {
  command = plan

  variables {
    instances = { build = { min = 2, max = 100 } }
  }

  assert {
    condition     = google_cloudfunctions2_function.function["build"].service_config[0].min_instance_count == 2 && google_cloudfunctions2_function.function["build"].service_config[0].max_instance_count == 100
    error_message = "As asked for."
  }
}
