resource "kubernetes_namespace_v1" "hub" {
  metadata {
    name = var.namespace
    labels = {
      # Nothing in here needs the host's network, devices or files.
      "pod-security.kubernetes.io/enforce" = "baseline"
    }
  }
}

resource "kubernetes_secret_v1" "hub_token" {
  data_wo          = { token = var.hub_token }
  data_wo_revision = var.hub_token_version

  metadata {
    name      = local.token_secret
    namespace = kubernetes_namespace_v1.hub.metadata[0].name
  }
}

resource "helm_release" "jupyterhub" {
  chart           = "jupyterhub"
  cleanup_on_fail = true
  name            = "jupyterhub"
  namespace       = kubernetes_namespace_v1.hub.metadata[0].name
  repository      = "https://hub.jupyter.org/helm-chart/"
  timeout         = 900
  values          = [yamlencode(local.values)]
  version         = var.chart_version

  depends_on = [kubernetes_secret_v1.hub_token]
}

# The functions' way to the Hub's API, and nobody else's: from their subnetwork, to this port.
resource "kubernetes_service_v1" "hub_for_functions" {
  metadata {
    annotations = { "networking.gke.io/load-balancer-type" = "Internal" }
    name        = "hub-for-functions"
    namespace   = kubernetes_namespace_v1.hub.metadata[0].name
  }

  spec {
    # Keeps the caller's address, which the Hub's network policy looks at.
    external_traffic_policy     = "Local"
    load_balancer_ip            = var.hub_address
    load_balancer_source_ranges = [var.functions_cidr]
    selector                    = { app = "jupyterhub", component = "hub", release = "jupyterhub" }
    type                        = "LoadBalancer"

    port {
      name        = "http"
      port        = 8081
      target_port = 8081
    }
  }
}
