/*
 * Records as JSON, for people and scripts. Keys and values are texts; what is not UTF-8 stands
 * in base64 under a name with "_base64" behind it, what is none is null. Headers are
 * [{"name":…,"value":…},…]; all as in the dead letters of files.
 */
#ifndef WEIR_CODEC_RECORD_JSON_H
#define WEIR_CODEC_RECORD_JSON_H

#include "base/memory.h"
#include "batch/batch.h"

/* "name":"…", or "name_base64":"…", or "name":null; no comma. */
void record_json_member(struct buffer *out, const char *name, struct bytes value);
/* {"topic":…,"partition":…,"offset":…,"timestamp":…,"key":…,"value":…,"headers":…}, without a line
 * break. */
void record_json_write(struct buffer *out, const char *topic, uint32_t partition,
                       const struct record *record);

#endif
