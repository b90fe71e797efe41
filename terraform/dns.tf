locals {
  dns_records = merge(
    local.has_balancer ? { (coalesce(var.domain, "-")) = google_compute_global_address.site[0].address } : {},
    local.has_cluster ? { (coalesce(var.servers_domain, "-")) = google_compute_address.servers[0].address } : {},
  )
}

resource "google_dns_record_set" "record" {
  for_each = var.dns_zone == null ? {} : local.dns_records

  managed_zone = var.dns_zone
  name         = "${each.key}."
  type         = "A"
  ttl          = 300
  rrdatas      = [each.value]
}
