# The values of the zero-to-jupyterhub chart, out of variables alone, so that they can be made and tested without a
# provider. https://z2jh.jupyter.org/en/stable/resources/reference.html
locals {
  token_secret = "binderless-functions"

  config = yamldecode(file(var.config_file))

  # A backstop for a Hub or a cull that is out: half an hour after the cull would have stopped the server, Kubernetes
  # does. 0 means no limit, here as there.
  max_ages_s = concat(
    [try(local.config.cull.max_age_s, 21600)],
    [for limit in values(try(local.config.cull.limits, {})) : limit.max_age_s if can(limit.max_age_s)],
  )
  deadline = contains(local.max_ages_s, 0) ? {} : { activeDeadlineSeconds = max(local.max_ages_s...) + 1800 }
  runtime  = var.sandbox ? { runtimeClassName = "gvisor" } : {}

  # On GKE the metadata server also answers on 169.254.169.252, so the whole link-local range is left out; the
  # resolver on the node is let in by its port below. 100.64.0.0/10 may hold nodes, pods or services.
  not_the_internet = distinct(concat(
    ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
    var.internal_cidrs,
  ))
  dns = [{ port = 53, protocol = "UDP" }, { port = 53, protocol = "TCP" }]

  internet = [
    {
      to    = [{ ipBlock = { cidr = "0.0.0.0/0", except = local.not_the_internet } }]
      ports = [for port in sort([for port in var.egress_ports : format("%05d", port)]) : { port = tonumber(port), protocol = "TCP" }]
    },
  ]
  node_resolver = [{ to = [{ ipBlock = { cidr = "169.254.20.10/32" } }], ports = local.dns }]

  values = {
    hub = {
      activeServerLimit = var.max_servers
      # A new token is only read when the Hub starts.
      annotations             = { "binderless/token-version" = tostring(var.hub_token_version) }
      consecutiveFailureLimit = 0
      concurrentSpawnLimit    = 64
      extraConfig             = { binderless = file("${path.module}/jupyterhub_config.py") }
      extraEnv = {
        HUB_SERVICE_TOKEN = { valueFrom = { secretKeyRef = { name = local.token_secret, key = "token" } } }
      }
      extraFiles = {
        "binderless_spawner.py" = {
          mountPath  = "/usr/local/etc/jupyterhub/binderless_spawner.py"
          stringData = file("${path.module}/../../hub/binderless_spawner.py")
        }
      }
      networkPolicy = {
        ingress = [{ from = [{ ipBlock = { cidr = var.functions_cidr } }], ports = [{ port = 8081 }] }]
      }
      resources = {
        limits   = { memory = "2Gi" }
        requests = { cpu = "250m", memory = "512Mi" }
      }
    }

    proxy = {
      chp = { resources = { limits = { memory = "1Gi" }, requests = { cpu = "250m", memory = "256Mi" } } }
      https = {
        enabled     = true
        hosts       = [var.servers_domain]
        letsencrypt = { contactEmail = var.acme_email }
      }
      service = { loadBalancerIP = var.servers_address }
      traefik = { resources = { limits = { memory = "512Mi" }, requests = { cpu = "100m", memory = "128Mi" } } }
    }

    singleuser = {
      # The network policy does it, without a privileged container in every pod, which Autopilot refuses.
      cloudMetadata  = { blockWithIptables = false }
      cpu            = { guarantee = var.server.cpu_guarantee, limit = var.server.cpu_limit }
      extraPodConfig = merge({ enableServiceLinks = false, restartPolicy = "Never" }, local.deadline, local.runtime)
      memory         = { guarantee = var.server.memory_guarantee, limit = var.server.memory_limit }
      networkPolicy = {
        egress = concat(local.node_resolver, length(var.egress_ports) > 0 ? local.internet : [])
        egressAllowRules = {
          cloudMetadataServer         = false
          dnsPortsCloudMetadataServer = true
          dnsPortsKubeSystemNamespace = true
          dnsPortsPrivateIPs          = false
          nonPrivateIPs               = false
          privateIPs                  = false
        }
      }
      startTimeout = var.server.start_timeout_s
      storage      = { type = "none" }
    }

    scheduling = {
      podPriority     = { enabled = var.placeholders > 0 }
      userPlaceholder = { enabled = var.placeholders > 0, replicas = var.placeholders }
      # Packs servers onto few nodes, so that others can go; Autopilot does that itself.
      userScheduler = { enabled = !var.cluster.autopilot }
    }

    prePuller = {
      continuous  = { enabled = length(var.prepulled_images) > 0 }
      extraImages = var.prepulled_images
      hook        = { enabled = false }
    }

    # The function cull stops what is idle.
    cull = { enabled = false }
  }
}
