# What is watched, out of the lines that the functions log. Conditions are PromQL:
# https://cloud.google.com/monitoring/promql/promql-mapping says how metrics are named there.
locals {
  our_lines = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for name in values(local.function_names) : "\"${name}\""])})"

  # `labels` are fields of the line.
  log_metrics = {
    builds = {
      description = "Builds that have ended, by Cloud Build's status, as their messages were handled."
      filter      = "jsonPayload.message=\"build ended\""
      labels      = { status = "jsonPayload.status" }
    }
    errors = {
      description = "Lines of severity ERROR or worse."
      filter      = "severity>=ERROR"
      labels      = {}
    }
    launches = {
      description = "Launches that have ended, success or failure, by provider."
      filter      = "jsonPayload.schema=\"binderhub.jupyter.org/launch\""
      labels      = { provider = "jsonPayload.provider", status = "jsonPayload.status" }
    }
    refused = {
      description = "Launches refused before they began: no such repository, banned, over a quota."
      filter      = "jsonPayload.message=\"refused\""
      labels      = { provider = "jsonPayload.provider" }
    }
    rounds = {
      description = "Rounds of the cull that came to their end."
      filter      = "jsonPayload.message=\"culled\" AND jsonPayload.dry_run=false"
      labels      = {}
    }
    troubled_rounds = {
      description = "Rounds of the cull in which something could not be done."
      filter      = "jsonPayload.message=\"culled\" AND jsonPayload.dry_run=false AND jsonPayload.trouble=~\".\""
      labels      = {}
    }
    unhealthy = {
      description = "Services that /health found out."
      filter      = "jsonPayload.message=\"unhealthy\""
      labels      = { service = "jsonPayload.service" }
    }
  }

  # In PromQL a metric that several kinds of resources could write needs the kind named.
  counted = {
    for name in keys(local.log_metrics) :
    name => "logging_googleapis_com:user_binderless_${name}{monitored_resource=\"cloud_run_revision\"}"
  }
  failed_launches = replace(local.counted.launches, "}", ",status=\"failure\"}")
  dead_letters    = "pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.dead_letter.name}\"}"
  up              = "monitoring_googleapis_com:uptime_check_check_passed{monitored_resource=\"uptime_url\",check_id=\"${google_monitoring_uptime_check_config.health.uptime_check_id}\"}"

  # What to do on each is in docs/operating.md, under the same name.
  alerts = {
    cull-failing = {
      query    = "(sum(increase(${local.counted.rounds}[20m])) or vector(0)) < 1"
      for_s    = 300
      severity = "ERROR"
      summary  = "No round of the cull has ended in 20 minutes: servers that nobody uses go on running, and are paid for."
    }
    cull-in-trouble = {
      query    = "sum(increase(${local.counted.troubled_rounds}[30m])) >= 3"
      for_s    = 0
      severity = "WARNING"
      summary  = "Three rounds of the cull within half an hour could not do all of their work."
    }
    dead-letters = {
      query    = "max(${local.dead_letters}) > 0"
      for_s    = 0
      severity = "ERROR"
      summary  = "The end of a build was given up after many deliveries. The cull mends what hung on it; the cause remains."
    }
    errors = {
      query    = "sum(increase(${local.counted.errors}[30m])) > 10"
      for_s    = 0
      severity = "WARNING"
      summary  = "More than ten errors of the functions themselves within half an hour."
    }
    launches-failing = {
      query    = "sum(increase(${local.failed_launches}[30m])) / sum(increase(${local.counted.launches}[30m])) > 0.5 and sum(increase(${local.counted.launches}[30m])) >= 10"
      for_s    = 0
      severity = "ERROR"
      summary  = "More than half of at least ten launches within half an hour have failed."
    }
    unhealthy = {
      query    = "avg(avg_over_time(${local.up}[15m])) < 0.5"
      for_s    = 0
      severity = "CRITICAL"
      summary  = "/health says no, or nothing, to most of the world."
    }
  }

  channels = [for email in sort(tolist(var.alert_emails)) : google_monitoring_notification_channel.email[email].id]

  # Names and addresses in the dashboard are those of the product, not of a project.
  charts = [
    { title = "Launches", query = "sum by (status) (increase(${local.counted.launches}[10m]))" },
    { title = "Success rate of launches", query = "1 - (sum(increase(${local.failed_launches}[1h])) or vector(0)) / sum(increase(${local.counted.launches}[1h]))" },
    # A stream ends when its launch is ready or has failed, so its length is what the person has waited.
    { title = "Time to ready: length of the streams, seconds", query = "histogram_quantile(0.5, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{monitored_resource=\"cloud_run_revision\",service_name=\"${local.function_names.build}\"}[10m]))) / 1000" },
    { title = "Refused", query = "sum by (provider) (increase(${local.counted.refused}[10m]))" },
    { title = "Builds", query = "sum by (status) (increase(${local.counted.builds}[10m]))" },
    { title = "Queue: age of the oldest message of a build's end, seconds", query = "max(pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.build_complete.name}\"})" },
    { title = "Rounds of the cull", query = "sum(increase(${local.counted.rounds}[10m]))" },
    { title = "Errors", query = "sum by (service_name) (increase(${local.counted.errors}[10m]))" },
    { title = "Cost: instances of functions, seconds billed", query = "sum by (service_name) (increase(run_googleapis_com:container_billable_instance_time{monitored_resource=\"cloud_run_revision\"}[10m]))" },
    { title = "Cost: CPUs that servers and the Hub ask for", query = "sum(kubernetes_io:container_cpu_request_cores{monitored_resource=\"k8s_container\",namespace_name=\"${local.hub_namespace}\"})" },
  ]
}

resource "google_logging_metric" "metric" {
  for_each = local.log_metrics

  name             = "binderless_${each.key}"
  description      = each.value.description
  filter           = "${local.our_lines} AND ${each.value.filter}"
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = each.key
  labels       = { email_address = each.key }
  type         = "email"
  user_labels  = local.labels
}

resource "google_monitoring_uptime_check_config" "health" {
  display_name = "Binderless /health"
  # Every five minutes from each of three regions is about one call in two minutes: little enough to cost nothing.
  period           = "300s"
  selected_regions = ["EUROPE", "USA", "ASIA_PACIFIC"]
  timeout          = "10s"

  http_check {
    path         = "${local.base_path}health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { host = local.public_host, project_id = var.project }
  }
}

resource "google_monitoring_alert_policy" "alert" {
  for_each = local.alerts

  combiner              = "OR"
  display_name          = "Binderless: ${each.key}"
  notification_channels = local.channels
  severity              = each.value.severity
  user_labels           = local.labels

  conditions {
    display_name = each.value.summary

    condition_prometheus_query_language {
      # A metric of logs is only known once it has been made and written.
      disable_metric_validation = true
      duration                  = "${each.value.for_s}s"
      evaluation_interval       = "60s"
      query                     = each.value.query
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    content   = "${each.value.summary}\n\nWhat to do: docs/operating.md, \"Alerts\", ${each.key}."
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_metric.metric]
}

resource "google_monitoring_dashboard" "binderless" {
  dashboard_json = templatefile("${path.module}/dashboard.json.tftpl", { charts = local.charts })
}

resource "google_billing_budget" "month" {
  count    = var.billing_account != null && var.monthly_budget != null ? 1 : 0
  provider = google.billing

  billing_account = var.billing_account
  display_name    = "Binderless, ${var.project}"

  amount {
    specified_amount {
      currency_code = var.monthly_budget.currency
      units         = tostring(var.monthly_budget.units)
    }
  }

  budget_filter {
    # Budgets know projects by their numbers.
    projects = ["projects/${data.google_project.this.number}"]
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]

    content {
      threshold_percent = threshold_rules.value
    }
  }

  # Before the money is gone: what the month will come to at this pace.
  threshold_rules {
    spend_basis       = "FORECASTED_SPEND"
    threshold_percent = 1.0
  }

  all_updates_rule {
    monitoring_notification_channels = local.channels
  }

  depends_on = [google_project_service.api]
}
