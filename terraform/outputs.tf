output "dns_records" {
  description = "Host names and the addresses that their A records must have."
  value       = local.dns_records
}

output "functions" {
  description = "Name of each function, by entry point."
  value       = local.function_names
}

output "hub_step" {
  description = "What the next step, hub/, must know; null when JupyterHub is elsewhere."
  value = local.has_cluster ? {
    cluster           = local.cluster
    functions_cidr    = local.functions_cidr
    hub_address       = local.hub_address
    hub_token_version = tonumber(local.secret_versions["hub_token"])
    internal_cidrs    = local.internal_cidrs
    namespace         = local.hub_namespace
    project           = var.project
    servers_address   = google_compute_address.servers[0].address
    servers_domain    = var.servers_domain
  } : null
}

output "hub_token_command" {
  description = "Prints the Hub's token, which hub/ wants as TF_VAR_hub_token."
  value       = "gcloud secrets versions access ${local.secret_versions["hub_token"]} --secret=${google_secret_manager_secret.secret["hub_token"].secret_id} --project=${var.project}"
}

output "image_repository" {
  description = "Where the images are."
  value       = local.image_repository
}

output "secrets" {
  description = "Names in Secret Manager, to read a generated secret (webhooks) or add one of yours."
  value       = { for name, secret in google_secret_manager_secret.secret : name => secret.secret_id }
}

output "url" {
  description = "Where people begin."
  value       = local.public_url
}
