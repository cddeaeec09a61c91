/*
 * The connector for files: files of lines and standard input as sources, a folder of NDJSON files
 * as a sink.
 *
 * A source of lines (file_source.c, stdin_source.c) takes every line as a record without key and
 * timestamp; lines.h says what a line is, and what its offset. A partition is a file.
 *
 * A folder as a sink (folder.h) is a system of its own: its parts and its progress records become
 * visible together, part by part. Dead letters in it are JSON objects (letter.h).
 */
#ifndef WEIR_CONNECTOR_FILE_FILE_H
#define WEIR_CONNECTOR_FILE_FILE_H

#include "connector/registry.h"
#include "connector/rows.h"

extern const struct source_ops file_source_ops;
extern const struct source_ops stdin_source_ops;
extern const struct sink_kind file_sink_kind;
extern const struct rows_ops file_rows_ops;

#endif
