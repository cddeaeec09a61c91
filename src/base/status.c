#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies what fits and never leaves half of a UTF-8 character at the cut. */
static void text_copy_cut(char *out, size_t out_size, const char *text)
{
    size_t size = strnlen(text, out_size);
    if (size == out_size) {
        size = out_size - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

static void message_format(struct error *err, const char *format, va_list arguments)
{
    /* One byte more than the message holds, so that the cut sees the byte behind it. */
    char text[sizeof err->message + 1];
    int length = vsnprintf(text, sizeof text, format, arguments);
    text_copy_cut(err->message, sizeof err->message, length < 0 ? format : text);
}

enum status error_set(struct error *err, enum status status, const char *code, const char *format,
                      ...)
{
    check(status != STATUS_OK);
    if (err == NULL) {
        return status;
    }
    if (err->status != STATUS_OK) {
        return err->status;
    }
    error_clear(err);
    err->status = status;
    text_copy_cut(err->code, sizeof err->code, code);
    va_list arguments;
    va_start(arguments, format);
    message_format(err, format, arguments);
    va_end(arguments);
    return status;
}

enum status error_set_at(struct error *err, enum status status, const char *code, const char *file,
                         uint32_t line, uint32_t column, const char *format, ...)
{
    check(status != STATUS_OK);
    if (err == NULL) {
        return status;
    }
    if (err->status != STATUS_OK) {
        return err->status;
    }
    error_clear(err);
    err->status = status;
    text_copy_cut(err->code, sizeof err->code, code);
    text_copy_cut(err->file, sizeof err->file, file == NULL ? "" : file);
    err->line = line;
    err->column = column;
    va_list arguments;
    va_start(arguments, format);
    message_format(err, format, arguments);
    va_end(arguments);
    return status;
}

void error_clear(struct error *err)
{
    /* Only the heads of the texts: an error is cleared far more often than it is set. */
    err->status = STATUS_OK;
    err->code[0] = '\0';
    err->file[0] = '\0';
    err->line = 0;
    err->column = 0;
    err->message[0] = '\0';
}

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_RETRY:
        return "retry";
    case STATUS_ABORT:
        return "abort";
    case STATUS_IN_DOUBT:
        return "in_doubt";
    case STATUS_FENCED:
        return "fenced";
    case STATUS_CONFIG:
        return "config";
    case STATUS_DATA:
        return "data";
    case STATUS_FATAL:
        return "fatal";
    }
    return "unknown";
}

void check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "weir: internal error: check failed: %s (%s:%d)\n", expression, file, line);
    fflush(stderr);
    abort();
}
