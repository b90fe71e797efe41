# Functions reach the Hub's port through this network, and nothing else in it.

locals {
  hub_port      = 8081
  functions_tag = "binderless-functions"
  ranges = {
    cluster   = "10.8.0.0/20"
    functions = "10.8.16.0/24"
    pods      = "10.16.0.0/14"
    services  = "10.8.32.0/20"
  }

  network = (
    !local.has_cluster ? null
    : local.makes_network ? google_compute_network.binderless[0].id
    : data.google_compute_network.existing[0].id
  )
  network_name = (
    !local.has_cluster ? null
    : local.makes_network ? google_compute_network.binderless[0].name
    : var.network.name
  )
  cluster_subnetwork = (
    !local.has_cluster ? null
    : local.makes_network ? google_compute_subnetwork.subnetwork["cluster"].id
    : data.google_compute_subnetwork.existing["cluster"].id
  )
  functions_subnetwork = (
    !local.has_cluster ? null
    : local.makes_network ? google_compute_subnetwork.subnetwork["functions"].name
    : var.network.functions_subnetwork
  )
  functions_cidr = (
    !local.has_cluster ? null
    : local.makes_network ? local.ranges.functions
    : data.google_compute_subnetwork.existing["functions"].ip_cidr_range
  )
  hub_address = local.has_cluster ? google_compute_address.hub[0].address : null

  # What a user's server must not reach.
  internal_cidrs = !local.has_cluster ? [] : local.makes_network ? values(local.ranges) : distinct(flatten([
    for subnetwork in data.google_compute_subnetwork.existing : concat(
      [subnetwork.ip_cidr_range], subnetwork.secondary_ip_range[*].ip_cidr_range
    )
  ]))
  _existing = local.has_cluster && !local.makes_network ? {
    cluster   = var.network.cluster_subnetwork
    functions = var.network.functions_subnetwork
  } : {}
}

data "google_compute_network" "existing" {
  count = local.has_cluster && !local.makes_network ? 1 : 0

  name = var.network.name
}

data "google_compute_subnetwork" "existing" {
  for_each = local._existing

  name   = each.value
  region = var.region
}

resource "google_compute_network" "binderless" {
  count = local.makes_network ? 1 : 0

  name                    = "binderless"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.api]
}

resource "google_compute_subnetwork" "subnetwork" {
  for_each = local.makes_network ? toset(["cluster", "functions"]) : []

  name                     = "binderless-${each.key}"
  network                  = google_compute_network.binderless[0].id
  region                   = var.region
  ip_cidr_range            = local.ranges[each.key]
  private_ip_google_access = true

  dynamic "secondary_ip_range" {
    for_each = each.key == "cluster" ? toset(["pods", "services"]) : []
    content {
      range_name    = secondary_ip_range.key
      ip_cidr_range = local.ranges[secondary_ip_range.key]
    }
  }
}

# Nodes have no address of their own; users' servers go out through this.
resource "google_compute_router" "nat" {
  count = local.makes_network ? 1 : 0

  name    = "binderless"
  network = google_compute_network.binderless[0].id
  region  = var.region
}

resource "google_compute_router_nat" "nat" {
  count = local.makes_network ? 1 : 0

  name                               = "binderless"
  router                             = google_compute_router.nat[0].name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.subnetwork["cluster"].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# The Hub's API, for the functions alone.
resource "google_compute_address" "hub" {
  count = local.has_cluster ? 1 : 0

  name         = "binderless-hub"
  region       = var.region
  address_type = "INTERNAL"
  subnetwork   = local.cluster_subnetwork
}

# The proxy of users' servers, for everybody.
resource "google_compute_address" "servers" {
  count = local.has_cluster ? 1 : 0

  name       = "binderless-servers"
  region     = var.region
  depends_on = [google_project_service.api]
}

resource "google_compute_firewall" "functions_to_hub" {
  count = local.has_cluster ? 1 : 0

  name               = "binderless-functions-to-hub"
  network            = local.network
  direction          = "EGRESS"
  priority           = 1000
  target_tags        = [local.functions_tag]
  destination_ranges = ["${local.hub_address}/32"]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.hub_port)]
  }
}

resource "google_compute_firewall" "functions_to_nothing_else" {
  count = local.has_cluster ? 1 : 0

  name               = "binderless-functions-to-nothing-else"
  network            = local.network
  direction          = "EGRESS"
  priority           = 2000
  target_tags        = [local.functions_tag]
  destination_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}
