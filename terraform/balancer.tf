# One address for pages, API and webhooks. url_map.yaml says which function answers what, here as in the local gateway.

locals {
  has_balancer = var.domain != null
  _base        = trimsuffix(local.base_path, "/")
  _url_map     = yamldecode(file("${path.root}/url_map.yaml"))

  # `assets` are the pages' files, which are the same for everybody and may be kept near them.
  backends = local.has_balancer ? {
    assets  = { function = "pages", cdn = true }
    build   = { function = "build", cdn = false }
    pages   = { function = "pages", cdn = false }
    webhook = { function = "webhook", cdn = false }
  } : {}
  # A path that ends in /* means the part before it too, which Google's does not.
  paths = {
    for backend, paths in merge(local._url_map.paths, { assets = ["/assets/*"] }) :
    backend => sort(flatten([
      for path in paths : endswith(path, "/*")
      ? ["${local._base}${path}", "${local._base}${trimsuffix(path, "/*")}"]
      : ["${local._base}${path}"]
    ]))
  }
}

resource "google_compute_global_address" "site" {
  count = local.has_balancer ? 1 : 0

  name       = "binderless"
  depends_on = [google_project_service.api]
}

resource "google_compute_managed_ssl_certificate" "site" {
  count = local.has_balancer ? 1 : 0

  # A certificate cannot be changed, only replaced by one of another name.
  name = "binderless-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [var.domain]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "site" {
  count = local.has_balancer ? 1 : 0

  name            = "binderless"
  min_tls_version = "TLS_1_2"
  profile         = "MODERN"
}

resource "google_compute_region_network_endpoint_group" "function" {
  for_each = local.has_balancer ? local.public_functions : []

  name                  = local.function_names[each.key]
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloudfunctions2_function.function[each.key].name
  }
}

resource "google_compute_security_policy" "site" {
  count = local.has_balancer ? 1 : 0

  name = "binderless"

  rule {
    description = "No address may take all of the functions."
    action      = "throttle"
    priority    = 1000

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.requests_per_minute
        interval_sec = 60
      }
    }
  }

  rule {
    description = "Every policy needs a last rule."
    action      = "allow"
    priority    = 2147483647

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_backend_service" "backend" {
  for_each = local.backends

  name                  = "binderless-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  enable_cdn            = each.value.cdn
  security_policy       = google_compute_security_policy.site[0].id

  backend {
    group = google_compute_region_network_endpoint_group.function[each.value.function].id
  }

  dynamic "cdn_policy" {
    for_each = each.value.cdn ? [true] : []
    content {
      # What a function does not declare cacheable is not kept.
      cache_mode = "USE_ORIGIN_HEADERS"
      cache_key_policy {
        include_host         = true
        include_protocol     = true
        include_query_string = true
      }
    }
  }

  log_config {
    enable      = true
    sample_rate = 0.1
  }
}

resource "google_compute_url_map" "site" {
  count = local.has_balancer ? 1 : 0

  name            = "binderless"
  default_service = google_compute_backend_service.backend[local._url_map.default].id

  host_rule {
    hosts        = [var.domain]
    path_matcher = "paths"
  }

  path_matcher {
    name            = "paths"
    default_service = google_compute_backend_service.backend[local._url_map.default].id

    dynamic "path_rule" {
      for_each = local.paths
      content {
        paths   = path_rule.value
        service = google_compute_backend_service.backend[path_rule.key].id
      }
    }
  }
}

resource "google_compute_url_map" "redirect" {
  count = local.has_balancer ? 1 : 0

  name = "binderless-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }
}

resource "google_compute_target_https_proxy" "site" {
  count = local.has_balancer ? 1 : 0

  name             = "binderless"
  ssl_certificates = [google_compute_managed_ssl_certificate.site[0].id]
  ssl_policy       = google_compute_ssl_policy.site[0].id
  url_map          = google_compute_url_map.site[0].id
}

resource "google_compute_target_http_proxy" "redirect" {
  count = local.has_balancer ? 1 : 0

  name    = "binderless-redirect"
  url_map = google_compute_url_map.redirect[0].id
}

resource "google_compute_global_forwarding_rule" "site" {
  for_each = local.has_balancer ? {
    "443" = google_compute_target_https_proxy.site[0].id
    "80"  = google_compute_target_http_proxy.redirect[0].id
  } : {}

  name                  = "binderless-${each.key}"
  ip_address            = google_compute_global_address.site[0].id
  load_balancing_scheme = "EXTERNAL_MANAGED"
  port_range            = each.key
  target                = each.value
}
