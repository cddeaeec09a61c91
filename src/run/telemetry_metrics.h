/* The table of all metrics of a run: names, kinds, help, labels. `weir list metrics` prints it. */
#ifndef WEIR_RUN_TELEMETRY_METRICS_H
#define WEIR_RUN_TELEMETRY_METRICS_H

#include "observe/metrics.h"

enum telemetry_metric {
    BUILD_INFO,
    PLAN_INFO,
    RECORDS,
    RECORD_BYTES,
    VERDICTS,
    REASONS,
    WARNINGS,
    REPAIRS,
    REPLAYED,
    SINK_ROUTED,
    SINK_WRITTEN,
    SINK_REJECTED,
    RECORDS_READ,
    COMMITTED_OFFSET,
    END_OFFSET,
    LAG_RECORDS,
    LAG_BYTES,
    LAG_SECONDS,
    EVENT_TIME,
    WATERMARK,
    COMMIT_DURATION,
    COMMIT_RETRIES,
    SYSTEM_UP,
    SYSTEM_PAUSED,
    SYSTEM_ERROR,
    STATE_KEYS,
    STATE_VALUES,
    STATE_BYTES,
    STATE_LIMIT,
    SNAPSHOT,
    PROCESS_RESIDENT,
    PROCESS_VIRTUAL,
    PROCESS_CPU,
    PROCESS_START,
    PROCESS_FILES,
    TELEMETRY_METRIC_COUNT,
};

extern const struct metric_definition telemetry_metrics[TELEMETRY_METRIC_COUNT];

#endif
