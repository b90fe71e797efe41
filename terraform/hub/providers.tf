provider "google" {
  project = var.project
}

data "google_container_cluster" "hub" {
  name     = var.cluster.name
  location = var.cluster.location
}

locals {
  # By name where the cluster has one for the outside, with a certificate that everybody knows; else by address.
  dns_endpoints = [
    for endpoint in flatten(data.google_container_cluster.hub.control_plane_endpoints_config[*].dns_endpoint_config) :
    endpoint.endpoint if endpoint.allow_external_traffic
  ]
  by_name = length(local.dns_endpoints) > 0
  cluster = {
    host           = "https://${local.by_name ? local.dns_endpoints[0] : data.google_container_cluster.hub.endpoint}"
    ca_certificate = local.by_name ? null : base64decode(data.google_container_cluster.hub.master_auth[0].cluster_ca_certificate)
  }

  # As kubectl signs in to GKE: a token that lasts as long as the work does, and that no state holds.
  sign_in = {
    api_version = "client.authentication.k8s.io/v1"
    command     = "gke-gcloud-auth-plugin"
  }
}

provider "kubernetes" {
  host                   = local.cluster.host
  cluster_ca_certificate = local.cluster.ca_certificate

  exec {
    api_version = local.sign_in.api_version
    command     = local.sign_in.command
  }
}

provider "helm" {
  kubernetes = {
    host                   = local.cluster.host
    cluster_ca_certificate = local.cluster.ca_certificate
    exec                   = local.sign_in
  }
}
