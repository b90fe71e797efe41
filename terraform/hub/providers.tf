provider "google" {
  project = var.project
}

data "google_container_cluster" "hub" {
  name     = var.cluster.name
  location = var.cluster.location
}

locals {
  cluster = {
    host           = "https://${data.google_container_cluster.hub.endpoint}"
    ca_certificate = base64decode(data.google_container_cluster.hub.master_auth[0].cluster_ca_certificate)
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
