output "namespace" {
  description = "Kubernetes namespace of the Hub, for kubectl."
  value       = kubernetes_namespace_v1.hub.metadata[0].name
}

output "servers_url" {
  description = "Address of the Hub for people: the functions' setting hub.url."
  value       = "https://${var.servers_domain}/"
}
