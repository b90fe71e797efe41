"""Pub/Sub as google-cloud-pubsub speaks it: topics, filters, pull and push with retries and dead letters.

`filters` and `policy` are pure; `store` keeps the state; `broker` decides; `rpc` and `push` are its two edges.
"""
