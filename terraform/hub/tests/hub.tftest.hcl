# Which values the chart gets, and which inputs are refused.

mock_provider "google" {
  mock_data "google_container_cluster" {
    defaults = {
      endpoint    = "203.0.113.9"
      master_auth = [{ cluster_ca_certificate = "Y2VydGlmaWNhdGU=" }]
      control_plane_endpoints_config = [{
        dns_endpoint_config = [{ endpoint = "gke-0123.europe-west4.gke.goog", allow_external_traffic = true }]
      }]
    }
  }
}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  acme_email        = "operator@example.org"
  cluster           = { name = "binderless", location = "europe-west1", autopilot = true }
  config_file       = "tests/config.yaml"
  functions_cidr    = "10.8.0.0/24"
  hub_address       = "10.8.1.5"
  hub_token         = "only-for-this-test-0123456789abcdef"
  hub_token_version = 1
  project           = "example-project"
  servers_address   = "192.0.2.7"
  servers_domain    = "servers.example.org"
}

run "only_the_functions_reach_the_hub" {
  command = plan

  assert {
    condition     = kubernetes_service_v1.hub_for_functions.spec[0].load_balancer_source_ranges == toset(["10.8.0.0/24"])
    error_message = "Others than the functions may call the Hub's API."
  }
  assert {
    condition     = local.values.hub.networkPolicy.ingress == [{ from = [{ ipBlock = { cidr = "10.8.0.0/24" } }], ports = [{ port = 8081 }] }]
    error_message = "The Hub's network policy lets others in."
  }
}

run "the_cluster_is_reached_by_name" {
  command = plan

  assert {
    condition     = local.cluster.host == "https://gke-0123.europe-west4.gke.goog" && local.cluster.ca_certificate == null
    error_message = "The cluster's address answers nobody."
  }
}

run "a_cluster_without_a_name_is_reached_by_address" {
  command = plan

  override_data {
    target = data.google_container_cluster.hub
    values = {
      endpoint    = "203.0.113.9"
      master_auth = [{ cluster_ca_certificate = "Y2VydGlmaWNhdGU=" }]
      control_plane_endpoints_config = [{
        dns_endpoint_config = [{ endpoint = "gke-0123.europe-west4.gke.goog", allow_external_traffic = false }]
      }]
    }
  }

  assert {
    condition     = local.cluster.host == "https://203.0.113.9" && local.cluster.ca_certificate == "certificate"
    error_message = "The cluster is not reached by its address and certificate."
  }
}

run "servers_reach_the_internet_only" {
  command = plan

  variables {
    internal_cidrs = ["198.51.100.0/24"]
  }

  assert {
    condition = alltrue([
      for cidr in ["10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.51.100.0/24"] :
      contains(local.internet[0].to[0].ipBlock.except, cidr)
    ])
    error_message = "Servers reach the metadata server or the network of the cluster."
  }
  assert {
    condition     = alltrue([for name, allowed in local.values.singleuser.networkPolicy.egressAllowRules : !allowed || startswith(name, "dns")])
    error_message = "A rule of the chart's opens more than names."
  }
  assert {
    condition     = [for rule in local.internet[0].ports : rule.port] == [80, 443]
    error_message = "Servers reach other ports than asked for."
  }
}

run "without_ports_there_is_no_internet" {
  command = plan

  variables {
    egress_ports = []
  }

  assert {
    condition     = local.values.singleuser.networkPolicy.egress == local.node_resolver
    error_message = "Servers reach the internet."
  }
}

run "a_new_token_restarts_the_hub" {
  command = plan

  variables {
    hub_token_version = 2
  }

  assert {
    condition     = kubernetes_secret_v1.hub_token.data_wo_revision == 2 && local.values.hub.annotations["binderless/token-version"] == "2"
    error_message = "The Hub goes on with the old token."
  }
}

run "pods_end_half_an_hour_after_the_longest_limit" {
  command = plan

  assert {
    condition     = local.values.singleuser.extraPodConfig.activeDeadlineSeconds == 86400 + 1800
    error_message = "The backstop is not the longest limit of the configuration and half an hour."
  }
}

run "servers_without_a_limit_have_no_deadline" {
  command = plan

  variables {
    config_file = "tests/no_limit.yaml"
  }

  assert {
    condition     = !can(local.values.singleuser.extraPodConfig.activeDeadlineSeconds)
    error_message = "Kubernetes ends servers that may run as long as they are used."
  }
}

run "gvisor_where_asked_for" {
  command = plan

  variables {
    sandbox = true
  }

  assert {
    condition     = local.values.singleuser.extraPodConfig.runtimeClassName == "gvisor"
    error_message = "Servers do not run in gVisor."
  }
}

run "room_is_kept_free_where_asked_for" {
  command = plan

  variables {
    cluster      = { name = "binderless", location = "europe-west1", autopilot = false }
    placeholders = 3
  }

  assert {
    condition     = local.values.scheduling.userPlaceholder.replicas == 3 && local.values.scheduling.podPriority.enabled && local.values.scheduling.userScheduler.enabled
    error_message = "Placeholders need a lower priority than servers."
  }
}

run "images_are_pulled_in_advance_where_asked_for" {
  command = plan

  variables {
    prepulled_images = { demo = { name = "europe-docker.pkg.dev/example-project/binder/demo", tag = "c0ffee" } }
  }

  assert {
    condition     = local.values.prePuller.continuous.enabled && !local.values.prePuller.hook.enabled
    error_message = "Images are not pulled in advance."
  }
}

run "wrong_inputs_are_refused" {
  command = plan

  variables {
    acme_email        = "nobody"
    chart_version     = "latest"
    egress_ports      = [0]
    functions_cidr    = "10.8.0.0"
    hub_address       = "hub.internal"
    hub_token         = "short"
    hub_token_version = 0
    internal_cidrs    = ["everything"]
    max_servers       = 0
    namespace         = "Hub"
    placeholders      = -1
    prepulled_images  = { "A B" = { name = "a", tag = "b" } }
    servers_address   = "192.0.2"
    servers_domain    = "https://servers.example.org"
  }

  expect_failures = [
    var.acme_email, var.chart_version, var.egress_ports, var.functions_cidr, var.hub_address, var.hub_token, var.hub_token_version,
    var.internal_cidrs, var.max_servers, var.namespace, var.placeholders, var.prepulled_images, var.servers_address,
    var.servers_domain,
  ]
}

run "a_server_needs_its_guarantee_within_its_limit" {
  command = plan

  variables {
    server = { cpu_guarantee = 4, cpu_limit = 2 }
  }

  expect_failures = [var.server]
}

run "memory_has_a_unit" {
  command = plan

  variables {
    server = { memory_limit = "2Gi" }
  }

  expect_failures = [var.server]
}

run "a_server_has_time_to_start" {
  command = plan

  variables {
    server = { start_timeout_s = 5 }
  }

  expect_failures = [var.server]
}
