"""One JSON object a line, as Cloud Logging reads it (https://cloud.google.com/logging/docs/structured-logging)."""

from __future__ import annotations

import json
import logging
import sys
from typing import TextIO


class Formatter(logging.Formatter):
    """`log.info("launched", extra={"fields": {"seconds": 12}})` becomes `{"severity": "INFO", "message": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"severity": record.levelname, "message": record.getMessage(), "logger": record.name}
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def set_up(stream: TextIO = sys.stderr) -> None:
    """Send what `functions` logs to *stream*; other libraries keep to themselves."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter())
    logger = logging.getLogger("functions")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
