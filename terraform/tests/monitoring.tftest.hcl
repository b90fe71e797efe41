# What is watched, and who is told.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789" }
  }
}
mock_provider "google" {
  alias = "billing"
}

variables {
  project        = "my-project"
  region         = "europe-west4"
  domain         = "binder.example.org"
  servers_domain = "servers.example.org"
  config_file    = "tests/config.yaml"
}

run "without_addresses_nobody_is_told" {
  command = plan

  assert {
    condition     = length(google_monitoring_notification_channel.email) == 0 && length(google_monitoring_alert_policy.alert) == 6
    error_message = "Alerts are there, and channels are not."
  }
  assert {
    condition     = length(google_billing_budget.month) == 0
    error_message = "There is no budget without a sum."
  }
}

run "health_is_asked_for_where_people_ask" {
  command = plan

  assert {
    condition     = google_monitoring_uptime_check_config.health.monitored_resource[0].labels["host"] == "binder.example.org"
    error_message = "Another host is asked."
  }
  assert {
    condition     = google_monitoring_uptime_check_config.health.http_check[0].path == "/health" && google_monitoring_uptime_check_config.health.http_check[0].validate_ssl
    error_message = "Another path is asked, or whoever answers is believed."
  }
}

run "only_lines_of_our_functions_are_counted" {
  command = plan

  assert {
    condition = alltrue([
      for metric in google_logging_metric.metric : alltrue([
        for name in values(local.function_names) : strcontains(metric.filter, "\"${name}\"")
      ])
    ])
    error_message = "A metric counts lines of others, or not all of ours."
  }
}

run "everybody_named_is_told_of_every_alert" {
  command = plan

  variables {
    alert_emails    = ["one@example.org", "two@example.org"]
    billing_account = "0123AB-4567CD-89EF01"
    monthly_budget  = { currency = "EUR", units = 100 }
  }

  assert {
    condition     = alltrue([for alert in google_monitoring_alert_policy.alert : length(alert.notification_channels) == 2])
    error_message = "Somebody is not told of something."
  }
  assert {
    condition     = length(google_billing_budget.month[0].all_updates_rule[0].monitoring_notification_channels) == 2
    error_message = "Somebody is not told of the budget."
  }
  assert {
    condition     = google_billing_budget.month[0].budget_filter[0].projects == toset(["projects/123456789"])
    error_message = "The budget is of another project, or names it by its id."
  }
  assert {
    condition     = [for rule in google_billing_budget.month[0].threshold_rules : rule.threshold_percent] == [0.5, 0.9, 1, 1]
    error_message = "The budget is told of at other sums."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.binderless.dashboard_json).mosaicLayout.tiles) == length(local.charts)
    error_message = "The dashboard does not have all of the charts."
  }
}
