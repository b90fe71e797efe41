# Every validation refuses what it is there to refuse.

mock_provider "google" {}
mock_provider "google" {
  alias = "billing"
}

variables {
  project        = "my-project"
  region         = "europe-west4"
  servers_domain = "servers.example.org"
  config_file    = "tests/config.yaml"
}

run "an_alert_to_nobody" {
  command = plan

  variables {
    alert_emails = ["operators"]
  }

  expect_failures = [var.alert_emails]
}

run "a_billing_account_of_another_form" {
  command = plan

  variables {
    billing_account = "1234"
  }

  expect_failures = [var.billing_account]
}

run "logs_for_no_time" {
  command = plan

  variables {
    builds = { log_keep_days = 0 }
  }

  expect_failures = [var.builds]
}

run "builds_in_a_project_by_name" {
  command = plan

  variables {
    builds = { project = "My builds" }
  }

  expect_failures = [var.builds]
}

run "a_pool_with_a_small_disk" {
  command = plan

  variables {
    builds = { private_pool = { disk_size_gb = 10 } }
  }

  expect_failures = [var.builds]
}

run "an_unknown_kind_of_cluster" {
  command = plan

  variables {
    cluster = { kind = "gke" }
  }

  expect_failures = [var.cluster]
}

run "an_existing_cluster_in_no_network" {
  command = plan

  variables {
    cluster = { kind = "existing" }
  }

  expect_failures = [var.cluster]
}

run "an_unknown_release_channel" {
  command = plan

  variables {
    cluster = { release_channel = "stable" }
  }

  expect_failures = [var.cluster]
}

run "a_cluster_without_nodes" {
  command = plan

  variables {
    cluster = { max_nodes = 0 }
  }

  expect_failures = [var.cluster]
}

run "a_cluster_with_a_bad_name" {
  command = plan

  variables {
    cluster = { name = "Binderless" }
  }

  expect_failures = [var.cluster]
}

run "no_config_file" {
  command = plan

  variables {
    config_file = "examples/nothing.yaml"
  }

  expect_failures = [var.config_file]
}

run "a_config_file_elsewhere" {
  command = plan

  variables {
    config_file = "/etc/passwd"
  }

  expect_failures = [var.config_file]
}

run "a_zone_that_is_a_domain" {
  command = plan

  variables {
    dns_zone = "example.org"
  }

  expect_failures = [var.dns_zone]
}

run "a_domain_that_is_an_address" {
  command = plan

  variables {
    domain = "https://binder.example.org"
  }

  expect_failures = [var.domain]
}

run "images_for_half_a_day" {
  command = plan

  variables {
    image_keep_days = 0.5
  }

  expect_failures = [var.image_keep_days]
}

run "instances_of_no_function" {
  command = plan

  variables {
    instances = { builder = { max = 1 } }
  }

  expect_failures = [var.instances]
}

run "fewer_instances_at_most_than_at_least" {
  command = plan

  variables {
    instances = { build = { min = 5, max = 2 } }
  }

  expect_failures = [var.instances]
}

run "a_label_that_google_refuses" {
  command = plan

  variables {
    labels = { Team = "A" }
  }

  expect_failures = [var.labels]
}

run "a_budget_in_no_currency" {
  command = plan

  variables {
    billing_account = "0123AB-4567CD-89EF01"
    monthly_budget  = { currency = "euro", units = 5 }
  }

  expect_failures = [var.monthly_budget]
}

run "a_budget_of_no_account" {
  command = plan

  variables {
    monthly_budget = { currency = "EUR", units = 5 }
  }

  expect_failures = [var.monthly_budget]
}

run "a_project_by_number" {
  command = plan

  variables {
    project = "123456789"
  }

  expect_failures = [var.project]
}

run "a_zone_for_a_region" {
  command = plan

  variables {
    region = "europe-west4-a"
  }

  expect_failures = [var.region]
}

run "more_requests_than_can_be_counted" {
  command = plan

  variables {
    requests_per_minute = 20000
  }

  expect_failures = [var.requests_per_minute]
}

run "a_generation_of_what_is_not_generated" {
  command = plan

  variables {
    secret_generations = { github_token = 2 }
  }

  expect_failures = [var.secret_generations]
}

run "no_domain_for_the_servers" {
  command = plan

  variables {
    servers_domain = null
  }

  expect_failures = [var.servers_domain]
}

run "servers_on_the_domain_of_the_pages" {
  command = plan

  variables {
    domain = "servers.example.org"
  }

  expect_failures = [var.servers_domain]
}

run "a_servers_domain_that_is_an_address" {
  command = plan

  variables {
    servers_domain = "https://servers.example.org/"
  }

  expect_failures = [var.servers_domain]
}

run "a_secret_that_nobody_asks_for" {
  command = plan

  variables {
    supplied_secrets = { password = "1" }
  }

  expect_failures = [var.supplied_secrets]
}

run "the_latest_version_of_a_secret" {
  command = plan

  variables {
    supplied_secrets = { github_token = "latest" }
  }

  expect_failures = [var.supplied_secrets]
}

run "settings_that_are_secret_or_terraforms" {
  command = plan

  variables {
    config_file = "tests/misplaced.yaml"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "pods_that_no_function_reaches" {
  command = plan

  variables {
    config_file = "tests/pods.yaml"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "a_hub_that_nobody_names" {
  command = plan

  variables {
    cluster        = { kind = "none" }
    servers_domain = null
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "the_image_of_the_examples_which_nobody_has_made" {
  command = plan

  variables {
    config_file = "examples/config.yaml"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "an_image_that_builds_without_a_digest" {
  command = plan

  variables {
    config_file = "tests/no_builder.yaml"
  }

  expect_failures = [google_storage_bucket_object.source]
}
