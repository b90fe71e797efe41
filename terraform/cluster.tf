# The cluster that JupyterHub and users' servers run in. JupyterHub itself is a step of its own: hub/.

locals {
  is_autopilot = (
    var.cluster.kind == "existing"
    ? data.google_container_cluster.existing[0].enable_autopilot
    : var.cluster.kind == "autopilot"
  )
  cluster = local.has_cluster ? {
    name      = var.cluster.kind == "existing" ? var.cluster.name : google_container_cluster.hub[0].name
    location  = coalesce(var.cluster.location, var.region)
    autopilot = local.is_autopilot
  } : null
}

data "google_container_cluster" "existing" {
  count = var.cluster.kind == "existing" ? 1 : 0

  name     = var.cluster.name
  location = coalesce(var.cluster.location, var.region)
}

resource "google_service_account" "nodes" {
  count = local.makes_cluster ? 1 : 0

  project      = var.project
  account_id   = "binderless-nodes"
  display_name = "Nodes of Binderless' cluster"
  depends_on   = [google_project_service.api]
}

resource "google_container_cluster" "hub" {
  count = local.makes_cluster ? 1 : 0

  name                = var.cluster.name
  location            = coalesce(var.cluster.location, var.region)
  network             = local.network
  subnetwork          = local.cluster_subnetwork
  deletion_protection = var.cluster.deletion_protection
  enable_autopilot    = local.is_autopilot ? true : null

  # Of a standard cluster: the pool that comes with it is not ours.
  initial_node_count       = local.is_autopilot ? null : 1
  remove_default_node_pool = local.is_autopilot ? null : true
  datapath_provider        = local.is_autopilot ? null : "ADVANCED_DATAPATH"
  enable_shielded_nodes    = local.is_autopilot ? null : true

  ip_allocation_policy {
    cluster_secondary_range_name  = local.makes_network ? "pods" : null
    services_secondary_range_name = local.makes_network ? "services" : null
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
  }

  # Who may administer it reaches it by name, with IAM, from anywhere; its address answers nobody.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  release_channel {
    channel = var.cluster.release_channel
  }

  dynamic "cluster_autoscaling" {
    for_each = local.is_autopilot ? [true] : []
    content {
      auto_provisioning_defaults {
        service_account = google_service_account.nodes[0].email
      }
    }
  }

  dynamic "workload_identity_config" {
    for_each = local.is_autopilot ? [] : [true]
    content {
      workload_pool = "${var.project}.svc.id.goog"
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.member,
    google_project_iam_member.project,
  ]

  lifecycle {
    ignore_changes = [initial_node_count]
  }
}

resource "google_container_node_pool" "servers" {
  count = var.cluster.kind == "standard" ? 1 : 0

  name     = "servers"
  cluster  = google_container_cluster.hub[0].name
  location = google_container_cluster.hub[0].location

  autoscaling {
    location_policy      = "ANY"
    total_max_node_count = var.cluster.max_nodes
    total_min_node_count = 1
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    image_type      = "COS_CONTAINERD"
    machine_type    = var.cluster.machine_type
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    service_account = google_service_account.nodes[0].email
    spot            = var.cluster.spot

    # Image streaming: a server starts before all of its image is there.
    gcfs_config {
      enabled = true
    }

    metadata = {
      disable-legacy-endpoints = "true"
    }

    shielded_instance_config {
      enable_integrity_monitoring = true
      enable_secure_boot          = true
    }

    # Pods see no metadata of the node.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
